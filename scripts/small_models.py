"""Small ONNX models of kinds that importers get wrong, each with the right loss and Hessian:

    python small_models.py crates/saddlescope-onnx/tests/fixtures/small

Writes OUT/NAME.onnx, OUT/NAME.npz and OUT/NAME.json: loss kind, loss, and the dense Hessian in the order of the file's
parameters, from NumPy in f64 by central differences of a loss written out by hand. Needs numpy and onnx.
"""
import json, os, sys
import numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

N = h.make_node
rng = np.random.default_rng(11)
out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def f(*shape):
    return rng.normal(size=shape).astype(np.float32)


def hessian(loss, theta, step=2e-4):
    """Central differences of second order; with f64 and a step of 2e-4 exact to about 1e-7 for these losses."""
    theta, n = theta.astype(float), theta.size
    H, e = np.zeros((n, n)), np.eye(n) * step
    for i in range(n):
        for j in range(i + 1):
            H[i, j] = H[j, i] = (loss(theta + e[i] + e[j]) - loss(theta + e[i] - e[j]) - loss(theta - e[i] + e[j])
                                 + loss(theta - e[i] - e[j])) / (4 * step ** 2)
    return H


def save(name, nodes, tensors, data, loss, theta, kind="mse", opset=17, H=None, batch="n", fixed=None, preview=False):
    """`fixed`: inputs that are the same for all samples, with element type, shape and numbers."""
    inputs = [h.make_tensor_value_info(k, T.FLOAT, [batch, *v.shape[1:]]) for k, v in data.items() if k != "y"]
    fixed = fixed or {}
    inputs += [h.make_tensor_value_info(k, element, shape) for k, (element, shape, _) in fixed.items()]
    graph = h.make_graph(nodes, "g", inputs, [h.make_tensor_value_info("o", T.FLOAT, None)],
                         [nh.from_array(v, k) for k, v in tensors.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)] + [h.make_opsetid("ai.onnx.preview", 1)] * preview)
    model.ir_version = 8
    onnx.save(model, f"{out}/{name}.onnx")
    np.savez(f"{out}/{name}.npz", **data)
    theta = np.concatenate([np.ravel(t) for t in theta]).astype(float)
    H = hessian(loss, theta) if H is None else np.array(H, float)
    json.dump({"loss_kind": kind, "loss": float(loss(theta)), "hessian": [[round(x, 10) for x in row] for row in H.tolist()],
               **({"fixed_inputs": {k: numbers for k, (_, _, numbers) in fixed.items()}} if fixed else {})},
              open(f"{out}/{name}.json", "w"))


def half_square(d):
    return .5 * (d.reshape(len(d), -1) ** 2).sum(1).mean()


# A reduction without axes and with noop_with_empty_axes=1 applies its function to every element and sums nothing.
x, w, y = f(3, 4), np.array([.5, 2, -1, 3], np.float32), np.full((3, 4), .7, np.float32)
for op, fn in {"ReduceL1": np.abs, "ReduceL2": np.abs, "ReduceSumSquare": np.square, "ReduceLogSumExp": lambda a: a,
               "ReduceSum": lambda a: a, "ReduceMean": lambda a: a, "ReduceMax": lambda a: a, "ReduceMin": lambda a: a,
               "ReduceProd": lambda a: a, "ReduceLogSum": lambda a: np.log(np.abs(a))}.items():
    before = N("Abs", ["a"], ["b"]) if op == "ReduceLogSum" else N("Identity", ["a"], ["b"])
    save("noop_" + op.lower(), [N("Mul", ["x", "w"], ["a"]), before, N(op, ["b", "ax"], ["o"], noop_with_empty_axes=1, keepdims=1)],
         {"w": w, "ax": np.zeros(0, np.int64)}, {"x": x, "y": y}, lambda v, fn=fn: half_square(fn(x.astype(float) * v) - y), [w], opset=18)

# Two zeros among the factors of a product: the Hessian is not zero.
save("prod_two_zeros", [N("Mul", ["x", "w"], ["a"]), N("ReduceProd", ["a"], ["o"], axes=[1], keepdims=1)],
     {"w": np.array([2, 3, 0, 0], np.float32)}, {"x": np.ones((2, 4), np.float32), "y": np.ones((2, 1), np.float32)},
     lambda v: .5 * (np.prod(v) - 1) ** 2, [np.array([2, 3, 0, 0.])], opset=13)

# Where does not take the root where its derivative is infinite: ½ Σ w over w > 0, ½ Σ w² elsewhere.
w0 = np.array([0, 1, 4, 0], np.float32)
save("where_sqrt_at_zero", [N("Mul", ["x", "w"], ["a"]), N("Sqrt", ["a"], ["s"]), N("Greater", ["a", "z"], ["c"]), N("Where", ["c", "s", "a"], ["o"])],
     {"w": w0, "z": np.array(0, np.float32)}, {"x": np.ones((2, 4), np.float32), "y": np.zeros((2, 4), np.float32)},
     lambda v: .5 * np.where(v > 0, v, v ** 2).sum(), [w0], opset=13, H=np.diag([1., 0, 0, 1]))

# A row of attention in which everything is masked has a softmax of NaN, which a guard replaces.
q, Wq, Wk, ya = f(2, 3, 4), f(4, 4), f(4, 4), f(2, 3, 4)
mask = np.tril(np.ones((3, 3), bool))
mask[0] = False


def attention(v):
    a, b, z = v[:16].reshape(4, 4), v[16:].reshape(4, 4), q.astype(float)
    s = (z @ a) @ (z @ b).transpose(0, 2, 1)
    e = np.where(mask, np.exp(s - s.max(-1, keepdims=True)), 0)
    total = e.sum(-1, keepdims=True)
    return half_square(np.where(total > 0, e / np.where(total > 0, total, 1), 0) @ z - ya)


save("masked_row", [N("MatMul", ["x", "Wq"], ["q"]), N("MatMul", ["x", "Wk"], ["k"]), N("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
                    N("MatMul", ["q", "kt"], ["s"]), N("Where", ["mask", "zero", "ninf"], ["mm"]), N("Add", ["s", "mm"], ["sm"]),
                    N("Softmax", ["sm"], ["p"], axis=-1), N("IsNaN", ["p"], ["nan"]), N("Where", ["nan", "zero", "p"], ["p2"]), N("MatMul", ["p2", "x"], ["o"])],
     {"Wq": Wq, "Wk": Wk, "mask": mask, "zero": np.array(0, np.float32), "ninf": np.array(-np.inf, np.float32)}, {"x": q, "y": ya}, attention, [Wq, Wk], opset=18)

# Weights in Constant nodes, behind other operators, and as integers with a scale.
W, x3, y2 = f(3, 2), f(5, 3), f(5, 2)
lin = lambda v: half_square(x3.astype(float) @ v.reshape(3, 2) - y2)
const = N("Constant", [], ["W"], value=nh.from_array(W))
save("constant_weights", [const, N("Identity", ["W"], ["W2"]), N("MatMul", ["x", "W2"], ["o"])], {}, {"x": x3, "y": y2}, lin, [W])
save("constant_transposed", [N("Constant", [], ["W"], value=nh.from_array(np.ascontiguousarray(W.T))), N("Transpose", ["W"], ["W2"], perm=[1, 0]), N("MatMul", ["x", "W2"], ["o"])],
     {}, {"x": x3, "y": y2}, lambda v: lin(v.reshape(2, 3).T), [W.T])
save("constant_reshaped", [N("Constant", [], ["W"], value=nh.from_array(W.reshape(6))), N("Cast", ["W"], ["W1"], to=1), N("Reshape", ["W1", "s"], ["W2"]), N("MatMul", ["x", "W2"], ["o"])],
     {"s": np.array([3, 2])}, {"x": x3, "y": y2}, lin, [W])
Wi, scale, zero = rng.integers(-100, 100, (3, 2)).astype(np.int8), np.array([.03, .02], np.float32), np.array([3, -5], np.int8)
Wd = (Wi.astype(np.float32) - zero) * scale
save("dequantized_weights", [N("DequantizeLinear", ["Wi", "s", "z"], ["W"], axis=1), N("MatMul", ["x", "W"], ["o"])],
     {"Wi": Wi, "s": scale, "z": zero}, {"x": x3, "y": y2}, lin, [Wd])

# One-hot labels with a network that returns logits: the cross-entropy with those weights, never a squared error.
Wc, bc, labels = f(3, 4), f(4), np.array([0, 1, 2, 3, 1])


def ce(v):
    z = x3.astype(float) @ v[:12].reshape(3, 4) + v[12:]
    z = z - z.max(1, keepdims=True)
    return float((np.log(np.exp(z).sum(1)) - z[np.arange(5), labels]).mean())


save("one_hot_labels", [N("Gemm", ["x", "W", "b"], ["o"])], {"W": Wc, "b": bc}, {"x": x3, "y": np.eye(4, dtype=np.float32)[labels]}, ce, [Wc, bc], kind="soft-cross-entropy")

# Einsum with two and three operands, an ellipsis, and a diagonal.
save("einsum", [N("Einsum", ["x", "W"], ["o"], equation="bi,ij->bj")], {"W": W}, {"x": x3, "y": y2}, lin, [W])
x4, A, B, y4 = f(2, 3, 2), f(2, 2), f(2, 3), f(2, 3)
save("einsum_ellipsis", [N("Einsum", ["x", "A", "B"], ["h"], equation="...ti,ij,jk->...tk"), N("Einsum", ["h"], ["o"], equation="btt->bt")],
     {"A": A, "B": B}, {"x": x4, "y": y4},
     lambda v: half_square(np.einsum("btt->bt", x4.astype(float) @ v[:4].reshape(2, 2) @ v[4:].reshape(2, 3)) - y4), [A, B])


# Recurrent layers, time first, gates in ONNX's order; the batch is the middle axis.
n, t, i, hd = 4, 3, 2, 2
xr, yr = f(n, t, i), f(n, hd)
sig = lambda z: 1 / (1 + np.exp(-z))


def recurrent(name, op, gates, cell, bias=True, **attributes):
    Wr, Rr, Br = f(1, gates * hd, i), f(1, gates * hd, hd), f(1, 2 * gates * hd)

    def loss(v):
        a, b = gates * hd * i, gates * hd * (i + hd)
        return half_square(cell(xr.astype(float), v[:a].reshape(-1, i), v[a:b].reshape(-1, hd), v[b:]) - yr)
    save(name, [N("Transpose", ["x"], ["xt"], perm=[1, 0, 2]), N(op, ["xt", "W", "R", "B"], ["", "hn"], hidden_size=hd, **attributes), N("Squeeze", ["hn", "z"], ["o"])],
         {"W": Wr, "R": Rr, "B": Br, "z": np.array([0])}, {"x": xr, "y": yr}, loss, [Wr, Rr, Br], opset=14)


def lstm(x, Wv, Rv, b):
    H, C = np.zeros((n, hd)), np.zeros((n, hd))
    for k in range(t):
        gi, go, gf, gc = np.split(x[:, k] @ Wv.T + H @ Rv.T + b[:4 * hd] + b[4 * hd:], 4, 1)
        C = sig(gf) * C + sig(gi) * np.tanh(gc)
        H = sig(go) * np.tanh(C)
    return H


def gru(after):
    def cell(x, Wv, Rv, b):
        H = np.zeros((n, hd))
        wb, rb = b[:3 * hd], b[3 * hd:]
        for k in range(t):
            z, r, h = np.split(x[:, k] @ Wv.T + wb, 3, 1)
            z, r = sig(z + H @ Rv[:hd].T + rb[:hd]), sig(r + H @ Rv[hd:2 * hd].T + rb[hd:2 * hd])
            inner = r * (H @ Rv[2 * hd:].T + rb[2 * hd:]) if after else (r * H) @ Rv[2 * hd:].T + rb[2 * hd:]
            H = (1 - z) * np.tanh(h + inner) + z * H
        return H
    return cell


def rnn_backward(x, Wv, Rv, b):
    H = np.zeros((n, hd))
    for k in reversed(range(t)):
        H = np.tanh(x[:, k] @ Wv.T + H @ Rv.T + b[:hd] + b[hd:])
    return H


recurrent("lstm", "LSTM", 4, lstm)
recurrent("gru", "GRU", 3, gru(False))
recurrent("gru_reset_after", "GRU", 3, gru(True), linear_before_reset=1)
recurrent("rnn_backward", "RNN", 1, rnn_backward, direction="reverse")

# The three largest of four, of which two samples choose different ones.
Wt, yt = f(3, 4), f(5, 3)
save("top_k", [N("MatMul", ["x", "W"], ["h"]), N("TopK", ["h", "k"], ["o", "i"], axis=1)], {"W": Wt, "k": np.array([3])}, {"x": x3, "y": yt},
     lambda v: half_square(-np.sort(-(x3.astype(float) @ v.reshape(3, 4)), 1)[:, :3] - yt), [Wt])

# Determinants, one of a singular matrix: x₀ has equal rows.
xd, Wd3, yd = f(3, 3, 3), f(3, 3), f(3)
xd[0, 1] = xd[0, 0]
save("det", [N("MatMul", ["x", "W"], ["h"]), N("Det", ["h"], ["o"])], {"W": Wd3}, {"x": xd, "y": yd},
     lambda v: half_square(np.linalg.det(xd.astype(float) @ v.reshape(3, 3)) - yd), [Wd3])

# A convolution whose places are moved by a layer's output, with a mask; two groups of offsets, two of filters.
xi, yi = f(2, 2, 3, 3), f(2, 2, 3, 2)
Wo, Wm, Wf, bf = .3 * f(8, 2, 1, 2), f(4, 2, 1, 2), f(2, 1, 1, 2), f(2)


def conv(x, w):
    rows, columns = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    return sum(np.einsum("nchw,oc->nohw", x[:, :, i:i + rows, j:j + columns], w[:, :, i, j]) for i in range(w.shape[2]) for j in range(w.shape[3]))


def deformed(v):
    a, b, c = Wo.size, Wo.size + Wm.size, Wo.size + Wm.size + Wf.size
    x = xi.astype(float)
    offset, m = conv(x, v[:a].reshape(Wo.shape)), sig(conv(x, v[a:b].reshape(Wm.shape)))
    filters, result = v[b:c].reshape(Wf.shape), np.zeros((2, 2, 3, 2))
    for n, g, k, p, q in np.ndindex(2, 2, 2, 3, 2):
        at = [p + offset[n, 4 * g + 2 * k, p, q], q + k + offset[n, 4 * g + 2 * k + 1, p, q]]
        low, value = np.floor(at).astype(int), 0.
        for s, t in np.ndindex(2, 2):
            i, j = low[0] + s, low[1] + t
            if 0 <= i < 3 and 0 <= j < 3:
                value += x[n, g, i, j] * (1 - abs(at[0] - i)) * (1 - abs(at[1] - j))
        result[n, g, p, q] += filters[g, 0, 0, k] * m[n, 2 * g + k, p, q] * value
    return half_square(result + v[c:, None, None] - yi)


save("deform_conv", [N("Conv", ["x", "Wo"], ["off"]), N("Conv", ["x", "Wm"], ["l"]), N("Sigmoid", ["l"], ["mask"]),
                     N("DeformConv", ["x", "W", "off", "b", "mask"], ["o"], group=2, offset_group=2)],
     {"Wo": Wo, "Wm": Wm, "W": Wf, "b": bf}, {"x": xi, "y": yi}, deformed, [Wo, Wm, Wf, bf], opset=19)

# Normalisation with statistics of their own for every place (before operator set 9), and instance normalisation with running
# statistics as PyTorch writes it: samples and channels as one axis.
xb, yb, mean, var = f(3, 2, 2, 2), f(3, 2, 2, 2), f(2, 2, 2), f(2, 2, 2) ** 2 + .5
sb, hb = f(2, 2, 2), f(2, 2, 2)
save("batch_norm_places", [N("Tanh", ["x"], ["t"]), N("BatchNormalization", ["t", "s", "h", "m", "v"], ["a"], spatial=0, epsilon=1e-3), N("Exp", ["a"], ["o"])],
     {"s": sb, "h": hb, "m": mean, "v": var}, {"x": xb, "y": yb},
     lambda p: half_square(np.exp((np.tanh(xb.astype(float)) - mean) / np.sqrt(var.astype(float) + 1e-3) * p[:8].reshape(2, 2, 2) + p[8:].reshape(2, 2, 2)) - yb), [sb, hb], opset=8)
s2, h2, g2, m2, v2 = f(2), f(2), f(2, 1, 1), np.array([1, -1]), np.array([1, 2])  # integers are no parameters
tiled = [N("Shape", ["x"], ["size"]), N("Slice", ["size", "zero", "one"], ["n"]), N("Cast", ["mi"], ["m"], to=1), N("Cast", ["vi"], ["v"], to=1),
         *[N("Tile", [k, "n"], [k + "_n"]) for k in "shmv"]]
save("instance_norm_running", [*tiled, N("Slice", ["size", "two", "four"], ["hw"]), N("Concat", ["flat", "hw"], ["target"], axis=0), N("Mul", ["x", "g"], ["xg"]), N("Reshape", ["xg", "target"], ["xs"]),
                               N("BatchNormalization", ["xs", "s_n", "h_n", "m_n", "v_n"], ["ys"], epsilon=1e-3), N("Reshape", ["ys", "size"], ["a"]), N("Exp", ["a"], ["o"])],
     {"g": g2, "s": s2, "h": h2, "mi": m2, "vi": v2, "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "four": np.array([4]), "flat": np.array([1, -1])},
     {"x": xb, "y": yb},
     lambda p: half_square(np.exp(((xb.astype(float) * p[:2, None, None] - m2[:, None, None]) / np.sqrt(v2.astype(float) + 1e-3)[:, None, None]) * p[2:4, None, None] + p[4:, None, None]) - yb), [g2, s2, h2])

# A file written for a batch of one: a class token that is joined to every sample's, and a target shape [1, -1].
xt, ct, Wt2, yt2 = f(3, 2, 2), f(1, 1, 2), f(6, 2), f(3, 2)
save("fixed_batch", [N("Concat", ["c", "x"], ["t"], axis=1), N("Tanh", ["t"], ["a"]), N("Reshape", ["a", "flat"], ["r"]), N("MatMul", ["r", "W"], ["o"])],
     {"c": ct, "flat": np.array([1, -1]), "W": Wt2}, {"x": xt, "y": yt2},
     lambda p: half_square(np.tanh(np.concatenate([np.broadcast_to(p[:2], (3, 1, 2)), xt], 1)).reshape(3, 6) @ p[2:].reshape(6, 2) - yt2), [ct, Wt2], batch=1)

# Inputs that are the same for all samples: one decides an If, another scales, a third is a truth value.
xf, Wf2, yf = f(5, 3), f(3, 2), f(5, 2)
branch = lambda op: h.make_graph([N("MatMul", ["x", "W"], [op + "_z"]), N(op, [op + "_z"], [op + "_o"])], op, [], [h.make_tensor_value_info(op + "_o", T.FLOAT, None)])
save("fixed_inputs", [N("Equal", ["sr", "rate"], ["c0"]), N("And", ["c0", "on"], ["c"]), N("If", ["c"], ["a"], then_branch=branch("Tanh"), else_branch=branch("Sigmoid")), N("Mul", ["a", "gain"], ["o"])],
     {"W": Wf2, "rate": np.array(16000)}, {"x": xf, "y": yf}, lambda p: half_square(np.tanh(xf @ p.reshape(3, 2)) * np.array([2, .5]) - yf), [Wf2],
     fixed={"sr": (T.INT64, [], [16000]), "gain": (T.FLOAT, ["k"], [2, .5]), "on": (T.BOOL, [1], [1])})

# The places of maxima: values put back to them, and, as PyTorch's exporters write it, places within a plane that pick the maxima again.
xm, wm, ym = f(3, 2, 4, 4), f(2, 4, 4), f(3, 2, 4, 5)


def unpooled(p):
    a, o = xm.astype(float) * p.reshape(2, 4, 4), np.zeros((3, 2, 4, 5))
    for n, c, i, j in np.ndindex(3, 2, 2, 2):
        window = a[n, c, 2 * i:2 * i + 2, 2 * j:2 * j + 2]
        r, s = np.unravel_index(window.argmax(), (2, 2))
        o[n, c, 2 * i + r, 2 * j + s] = np.tanh(window.max())
    return half_square(o - ym)


pool = lambda x, values, places, size, **more: N("MaxPool", [x], [values, places], kernel_shape=[size, size], **more)
save("max_unpool", [N("Mul", ["x", "w"], ["a"]), pool("a", "m", "i", 2, strides=[2, 2]), N("Tanh", ["m"], ["t"]),
                    N("Shape", ["x"], ["s"]), N("Add", ["s", "more"], ["size"]), N("MaxUnpool", ["t", "i", "size"], ["o"], kernel_shape=[2, 2], strides=[2, 2])],
     {"w": wm, "more": np.array([0, 0, 0, 1])}, {"x": xm, "y": ym}, unpooled, [wm])
ym = f(3, 2, 25)
padded = lambda p: np.pad(xm.astype(float) * p.reshape(2, 4, 4), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
windows = lambda p: np.lib.stride_tricks.sliding_window_view(padded(p), (2, 2), (2, 3)).max((4, 5)).reshape(3, 2, 25)
save("max_pool_places", [N("Mul", ["x", "w"], ["a"]), pool("a", "m", "i", 2, pads=[1, 1, 1, 1]), pool("a", "m1", "i1", 1), N("Slice", ["i1", "zero", "one", "axes"], ["first"]),
                         N("Sub", ["i", "first"], ["local"]), N("Reshape", ["local", "flat"], ["l"]), N("Reshape", ["a", "flat"], ["af"]), N("GatherElements", ["af", "l"], ["g"], axis=2),
                         N("Reshape", ["m", "flat"], ["mf"]), N("Mul", ["g", "mf"], ["o"])],
     {"w": wm, "zero": np.array([0, 0]), "one": np.array([1, 1]), "axes": np.array([2, 3]), "flat": np.array([0, 0, -1])}, {"x": xm, "y": ym},
     lambda p: half_square(windows(p) ** 2 - ym), [wm])

# Regions of images: each of its own sample's, with places that depend on data; moved by parameters; constant ones with as many samples
# as they have pixels, of which the largest counts; and regions that choose between images.
def aligned(image, region, size, scale, half, samples=0, largest=False):
    """One region of one channel [height, width]."""
    x0, y0, x1, y1 = np.asarray(region, float) * scale - (.5 if half else 0)
    extent = [y1 - y0, x1 - x0] if half else [max(y1 - y0, 1), max(x1 - x0, 1)]
    out = np.zeros(size)
    for i, j in np.ndindex(*size):
        steps = [samples or int(np.ceil(extent[d] / size[d])) for d in (0, 1)]
        found = []
        for k, l in np.ndindex(*steps):
            at = [start + (place + (step + .5) / count) * e / n for start, place, step, count, e, n in
                  zip((y0, x0), (i, j), (k, l), steps, extent, size)]
            if any(p < -1 or p > n for p, n in zip(at, image.shape)):
                found.append([0.])
                continue
            at = [min(max(p, 0), n - 1) for p, n in zip(at, image.shape)]
            low = [int(p) for p in at]
            found.append([image[min(low[0] + s, image.shape[0] - 1), min(low[1] + t, image.shape[1] - 1)]
                          * (1 - abs(at[0] - low[0] - s)) * (1 - abs(at[1] - low[1] - t)) for s, t in np.ndindex(2, 2)])
        out[i, j] = max(max(f) for f in found) if largest else sum(sum(f) for f in found) / (steps[0] * steps[1])
    return out


xr, wr, regions = f(3, 2, 4, 5), f(2, 4, 5), np.array([[.3, .2, 3.6, 2.9], [1.1, -.6, 5.7, 3.3], [0.4, 1.3, 2.2, 4.8]], np.float32)
yr = f(3, 2, 2, 3)
own = [N("Shape", ["x"], ["s"]), N("Gather", ["s", "zero"], ["n"], axis=0), N("Range", ["zero", "n", "one"], ["i"])]
ends = {"zero": np.array(0), "one": np.array(1)}
many = lambda images, list_, size, **more: np.array([[aligned(c, r, size, **more) for c in image] for image, r in zip(images, list_)])
save("roi_align", [*own, N("Mul", ["x", "w"], ["a"]), N("Tanh", ["a"], ["h"]),
                   N("RoiAlign", ["h", "r", "i"], ["o"], output_height=2, output_width=3, sampling_ratio=2, spatial_scale=.9)],
     {"w": wr, **ends}, {"x": xr, "r": regions, "y": yr},
     lambda p: half_square(many(np.tanh(xr * p.reshape(2, 4, 5)), regions, (2, 3), scale=np.float32(.9), half=True, samples=2) - yr), [wr])
move = np.array([.13, -.07, .21, .05], np.float32)
save("roi_align_moved", [*own, N("Mul", ["x", "w"], ["h"]), N("Add", ["r", "p"], ["q"]),
                         N("RoiAlign", ["h", "q", "i"], ["o"], output_height=2, output_width=3, sampling_ratio=1, coordinate_transformation_mode="output_half_pixel")],
     {"w": wr[:, :1, :1], "p": move, **ends}, {"x": xr, "r": regions, "y": yr},
     lambda p: half_square(many(xr * p[:2, None, None], regions + p[2:], (2, 3), scale=1, half=False, samples=1) - yr), [wr[:, :1, :1], move])
whole, ym3 = np.array([[0, 0, 4, 3], [1, 1, 2, 5]]), f(3, 2, 2, 2, 1)
save("roi_align_max", [N("Shape", ["x"], ["s"]), N("Gather", ["s", "zero"], ["n"], axis=0), N("Mul", ["n", "two"], ["m"]), N("Range", ["zero", "m", "one"], ["j"]), N("Div", ["j", "two"], ["i"]),
                       N("Cast", ["ri"], ["rf"], to=1), N("Unsqueeze", ["n", "zero_"], ["n_"]), N("Concat", ["n_", "one_"], ["times"], axis=0), N("Tile", ["rf", "times"], ["r"]),
                       N("Mul", ["x", "w"], ["h"]), N("RoiAlign", ["h", "r", "i"], ["a"], output_height=2, output_width=1, mode="max"), N("Reshape", ["a", "flat"], ["o"])],
     {"w": wr, **ends, "two": np.array(2), "zero_": np.array([0]), "one_": np.array([1]), "ri": whole, "flat": np.array([-1, 2, 2, 2, 1])}, {"x": xr, "y": ym3},
     lambda p: half_square(np.array([[[aligned(c, r, (2, 1), scale=1, half=True, largest=True) for c in image] for r in whole] for image in xr * p.reshape(2, 4, 5)]) - ym3), [wr])
pictures, which = f(2, 1, 4, 5), [0, 1, 1]
save("roi_align_images", [N("Slice", ["r", "zero_", "one_", "one_"], ["c"]), N("Greater", ["c", "half"], ["g"]), N("Reshape", ["g", "flat"], ["gf"]), N("Cast", ["gf"], ["i"], to=7),
                          N("RoiAlign", ["P", "r", "i"], ["o"], output_height=2, output_width=3, sampling_ratio=2)],
     {"P": pictures, "zero_": np.array([0]), "one_": np.array([1]), "half": np.array(.35, np.float32), "flat": np.array([-1])},
     {"r": regions, "y": yr[:, :1]},
     lambda p: half_square(np.array([[aligned(p.reshape(2, 4, 5)[k], r, (2, 3), scale=1, half=True, samples=2)] for k, r in zip(which, regions)]) - yr[:, :1]), [pictures])

# Sequences of several lengths, reversed; a circle; a pooling of powers whose last windows hang over; blocks in three dimensions.
xs, ws, vs, lengths, ys = f(3, 4, 2), f(2), f(4, 2), np.array([1, 3, 4], np.float32), f(3, 4, 2)
turned = lambda a: np.array([np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(a, lengths.astype(int))])
save("reverse_sequence", [N("Cast", ["l"], ["n"], to=7), N("Mul", ["x", "w"], ["a"]), N("ReverseSequence", ["a", "n"], ["b"], time_axis=1, batch_axis=0), N("Tanh", ["b"], ["c"]), N("Mul", ["c", "v"], ["o"])],
     {"w": ws, "v": vs}, {"x": xs, "l": lengths, "y": ys}, lambda p: half_square(np.tanh(turned(xs * p[:2])) * p[2:].reshape(4, 2) - ys), [ws, vs])
xw, ww, vw, yw = f(3, 1, 3, 2), f(3, 2), f(8, 3), f(3, 1, 8, 3)
save("pad_wrap", [N("Mul", ["x", "w"], ["a"]), N("Pad", ["a", "p"], ["b"], mode="wrap"), N("Tanh", ["b"], ["c"]), N("Mul", ["c", "v"], ["o"])],
     {"w": ww, "v": vw, "p": np.array([0, 0, 4, 0, 0, 0, 1, 1])}, {"x": xw, "y": yw},
     lambda p: half_square(np.tanh(np.pad(xw * p[:6].reshape(3, 2), ((0, 0), (0, 0), (4, 1), (0, 1)), mode="wrap")) * p[6:].reshape(8, 3) - yw), [ww, vw], opset=19)
xv, wv, yv = f(3, 1, 3, 2, 4), f(3, 2, 4), f(3, 1, 2, 1, 2)


def lp_pooled(p):
    a = np.pad(np.abs(xv * p.reshape(3, 2, 4)) ** 3, ((0, 0), (0, 0), (0, 1), (0, 0), (0, 0)))
    return half_square(np.lib.stride_tricks.sliding_window_view(a, (2, 2, 2), (2, 3, 4))[:, :, ::2, ::2, ::2].sum((5, 6, 7)) ** (1 / 3) - yv)


save("lp_pool_volume", [N("Mul", ["x", "w"], ["a"]), N("LpPool", ["a"], ["o"], kernel_shape=[2, 2, 2], strides=[2, 2, 2], p=3, ceil_mode=1)],
     {"w": wv}, {"x": xv, "y": yv}, lp_pooled, [wv], opset=18)
xc, wc3, yc = f(3, 8, 4), f(8, 4), f(3, 1, 2, 3, 3)


def blocks(p):
    o = np.zeros((3, 1, 2, 3, 3))
    for n, e, b in np.ndindex(3, 8, 4):
        (i, j, k), (r, c) = np.unravel_index(e, (2, 2, 2)), np.unravel_index(b, (2, 2))
        o[n, 0, i, r + j, c + k] += np.tanh(xc[n, e, b] * p[4 * e + b])
    return half_square(o - yc)


save("col2im_volume", [N("Mul", ["x", "w"], ["a"]), N("Tanh", ["a"], ["t"]), N("Col2Im", ["t", "size", "block"], ["o"])],
     {"w": wc3, "size": np.array([2, 3, 3]), "block": np.array([2, 2, 2])}, {"x": xc, "y": yc}, blocks, [wc3], opset=18)

# What language models with a cache or a state are made of.
xt3, ut3, wt3, vt3, starts, yt3 = f(3, 1, 4, 2), f(3, 1, 3, 2), f(4, 2), f(3, 2), np.array([2, 0, 3], np.float32), f(3, 1, 4, 2)


def put(p):
    o = np.tanh(xt3 * p[:8].reshape(4, 2))
    for n, k in np.ndindex(3, 3):
        o[n, 0, (int(starts[n]) + k) % 4] = np.sin(ut3[n, 0, k] * p[8:].reshape(3, 2)[k])
    return half_square(o - yt3)


save("tensor_scatter", [N("Mul", ["x", "w"], ["a"]), N("Tanh", ["a"], ["t"]), N("Mul", ["u", "v"], ["b"]), N("Sin", ["b"], ["c"]), N("Cast", ["l"], ["i"], to=7),
                        N("TensorScatter", ["t", "c", "i"], ["o"], mode="circular")],
     {"w": wt3, "v": vt3}, {"x": xt3, "u": ut3, "l": starts, "y": yt3}, put, [wt3, vt3], opset=24)
xl3, wl3, bl3, fl3, yl3 = f(3, 2, 4), f(2, 4), f(2), f(2, 1, 3), f(3, 2, 4)


def causal(p):
    a = np.pad(xl3 * p[:8].reshape(2, 4), ((0, 0), (0, 0), (2, 0)))
    c = sum(a[:, :, k:k + 4] * p[10:].reshape(2, 3)[:, k, None] for k in range(3)) + p[8:10, None]
    return half_square(c * sig(c) - yl3)


save("causal_conv", [N("Mul", ["x", "w"], ["a"]), N("CausalConvWithState", ["a", "F", "b"], ["o", "state"], activation="silu")],
     {"w": wl3, "b": bl3, "F": fl3}, {"x": xl3, "y": yl3}, causal, [wl3, bl3, fl3], opset=27)
xa, Wq3, Wk3, Wv3, Wg, Wb, ya3 = f(3, 3, 2), .7 * f(2, 8), .7 * f(2, 4), .7 * f(2, 4), .5 * f(2, 2), .5 * f(2, 2), f(3, 3, 8)


def recurrence(p):
    parts = np.split(p, np.cumsum([16, 8, 8, 4]))
    q, k, v, g, b = (xa @ part.reshape(2, -1) for part in parts)
    q, k, v, S, o = q.reshape(3, 3, 4, 2), k.reshape(3, 3, 2, 2), v.reshape(3, 3, 2, 2), np.zeros((3, 2, 2, 2)), np.zeros((3, 3, 4, 2))
    for t in range(3):
        S = S * np.exp(g[:, t])[..., None, None]
        new = sig(b)[:, t][..., None] * (v[:, t] - np.einsum("bhdm,bhd->bhm", S, k[:, t]))
        S = S + k[:, t][..., :, None] * new[..., None, :]
        o[:, t] = .5 * np.einsum("bhd,bhdm->bhm", q[:, t], np.repeat(S, 2, 1))
    return half_square(o.reshape(3, 3, 8) - ya3)


save("linear_attention", [*[N("MatMul", ["x", "W" + k], [k]) for k in "qkvgb"], N("Sigmoid", ["b"], ["rate"]),
                          N("LinearAttention", ["q", "k", "v", "", "g", "rate"], ["o", "state"], q_num_heads=4, kv_num_heads=2, scale=.5)],
     {"Wq": Wq3, "Wk": Wk3, "Wv": Wv3, "Wg": Wg, "Wb": Wb}, {"x": xa, "y": ya3}, recurrence, [Wq3, Wk3, Wv3, Wg, Wb], opset=27)

# Weights inside the graphs of If, Scan and FlexAttention are parameters, those of a loop one for all turns.
Wi, Wi2, yi2 = f(3, 2), f(3, 2), f(5, 2)
inside = lambda op, W: h.make_graph([N("MatMul", ["x", "W"], [op + "_z"]), N(op, [op + "_z"], [op + "_o"])], op, [], [h.make_tensor_value_info(op + "_o", T.FLOAT, None)], [nh.from_array(W, "W")])
save("if_weights", [N("If", ["c"], ["o"], then_branch=inside("Tanh", Wi), else_branch=inside("Sigmoid", Wi2))], {"c": np.array(False)}, {"x": xf, "y": yi2},
     lambda p: half_square(sig(xf @ p.reshape(3, 2)) - yi2), [Wi2])
Wsc, bsc, xsc, ysc = f(2, 2), f(1, 2), f(3, 4, 2), f(3, 2)


def scan(p):
    s = np.zeros((3, 2)) + p[:2]
    for t in range(4):
        s = np.tanh(s @ p[4:].reshape(2, 2) + xsc[:, t] + p[2:4])
    return half_square(s - ysc)


step = h.make_graph([N("Constant", [], ["W"], value=nh.from_array(Wsc)), N("MatMul", ["s", "W"], ["z"]), N("Add", ["z", "xt"], ["a"]), N("Add", ["a", "b"], ["c"]), N("Tanh", ["c"], ["s2"]), N("Identity", ["s2"], ["out"])], "step",
                    [h.make_tensor_value_info(k, T.FLOAT, None) for k in ("s", "xt")], [h.make_tensor_value_info(k, T.FLOAT, None) for k in ("s2", "out")], [nh.from_array(bsc, "b")])
first = f(2)
save("scan_weights", [N("ReduceSum", ["x", "axis"], ["x0"], keepdims=0), N("Mul", ["x0", "nothing"], ["x1"]), N("Add", ["x1", "start"], ["s0"]), N("Scan", ["s0", "x"], ["o", "all"], body=step, num_scan_inputs=1, scan_input_axes=[1])],
     {"start": first, "axis": np.array([1]), "nothing": np.array(0, np.float32)}, {"x": xsc, "y": ysc}, scan, [first, bsc, Wsc])
Wqf, bias, slope, yf3 = f(4, 4), f(3, 3), np.array([1.3], np.float32), f(2, 1, 3, 4)
changed = lambda name, node, weight: h.make_graph([N(node, [name + "_in", weight[0]], [name + "_out"])], name, [h.make_tensor_value_info(name + "_in", T.FLOAT, None)], [h.make_tensor_value_info(name + "_out", T.FLOAT, None)], [nh.from_array(weight[1], weight[0])])
qf = f(2, 1, 3, 4)


def flexible(p):
    s = (qf @ p[:16].reshape(4, 4)) @ qf.transpose(0, 1, 3, 2) / 2 + p[17:].reshape(3, 3)
    e = np.exp(s - s.max(-1, keepdims=True))
    return half_square((e / e.sum(-1, keepdims=True) * p[16]) @ qf - yf3)


save("flex_attention", [N("MatMul", ["x", "Wq"], ["q"]), N("FlexAttention", ["q", "x", "x"], ["o"], domain="ai.onnx.preview", score_mod=changed("score", "Add", ("layer.bias", bias)), prob_mod=changed("prob", "Mul", ("layer.slope", slope)))],
     {"Wq": Wqf}, {"x": qf, "y": yf3}, flexible, [Wqf, slope, bias], opset=24, preview=True)

# Lengths are counted in single precision: 10 times the stored 0.9 is 9.
xr, wr, yr = f(2, 1, 1, 10), f(10), f(2, 1, 1, 9)


def shortened(p):
    at = np.clip((np.arange(9) + .5) / float(np.float32(.9)) - .5, 0, 9)
    left = np.minimum(np.floor(at).astype(int), 8)
    a = xr.astype(float) * p
    return half_square(a[..., left] * (1 - at + left) + a[..., left + 1] * (at - left) - yr)


save("resize_length", [N("Mul", ["x", "w"], ["a"]), N("Resize", ["a", "", "s"], ["o"], mode="linear")], {"w": wr, "s": np.array([1, 1, 1, .9], np.float32)},
     {"x": xr, "y": yr}, shortened, [wr])
# Set 10 takes the entry behind where it shrinks.
xr4, wr4, yr4 = f(2, 1, 1, 4), f(4), f(2, 1, 1, 2)
save("resize_set_10", [N("Mul", ["x", "w"], ["a"]), N("Resize", ["a", "s"], ["o"], mode="nearest")], {"w": wr4, "s": np.array([1, 1, 1, .6], np.float32)},
     {"x": xr4, "y": yr4}, lambda p: half_square((xr4.astype(float) * p)[..., [0, 2]] - yr4), [wr4], opset=10)
# An odd number of cropped places: the larger half comes first without SAME_UPPER.
xt, wt, yt = f(2, 1, 4), f(1, 1, 3), f(2, 1, 8)


def spread(p):
    full = np.zeros((2, 1, 9))
    for i in range(4):
        full[:, 0, 2 * i:2 * i + 3] += xt[:, 0, i:i + 1] * p
    return half_square(full[..., 1:] - yt)


save("conv_transpose_output_shape", [N("ConvTranspose", ["x", "w"], ["o"], strides=[2], output_shape=[8])], {"w": wt}, {"x": xt, "y": yt}, spread, [wt])
# A bound that is a parameter.
xc, wcl, yc, alpha = f(6, 3), f(3), f(6, 3), np.array(.2, np.float32)
save("clip_bound", [N("Mul", ["x", "w"], ["a"]), N("Clip", ["a", "", "act.alpha"], ["o"])], {"w": wcl, "act.alpha": alpha}, {"x": xc, "y": yc},
     lambda p: half_square(np.minimum(xc.astype(float) * p[:3], p[3]) - yc), [wcl, alpha])
# Both conditions hold where λ is negative; the one below −λ comes first.
save("shrink_negative", [N("Mul", ["x", "w"], ["a"]), N("Shrink", ["a"], ["o"], lambd=-.5, bias=.125)], {"w": wcl}, {"x": xc, "y": yc},
     lambda p: half_square(np.where(xc * p < .5, xc * p + .125, xc * p - .125) - yc), [wcl])
# Before set 7 the second operand may begin at an axis.
xo, Wo, bo, yo = f(2, 3, 2), f(2, 2), f(3), f(2, 3, 2)
save("broadcast_axis", [N("MatMul", ["x", "W"], ["a"]), N("Add", ["a", "b"], ["o"], axis=1, broadcast=1)], {"W": Wo, "b": bo}, {"x": xo, "y": yo},
     lambda p: half_square(xo.astype(float) @ p[:4].reshape(2, 2) + p[4:, None] - yo), [Wo, bo], opset=6)
# A weight as a list of numbers, and a bias of one number with the name that another program gives it.
save("constant_floats", [N("Constant", [], ["w"], value_floats=wcl.tolist()), N("Mul", ["x", "w"], ["o"])], {}, {"x": xc, "y": yc},
     lambda p: half_square(xc.astype(float) * p - yc), [wcl])
Wb, bb, yb = f(3, 1), f(1), f(6, 1)
save("bias_of_one", [N("MatMul", ["x", "dense/kernel"], ["a"]), N("Add", ["a", "dense/bias"], ["o"])], {"dense/kernel": Wb, "dense/bias": bb}, {"x": xc, "y": yb},
     lambda p: half_square(xc.astype(float) @ p[:3, None] + p[3] - yb), [Wb, bb])
# Soft targets have their classes where the logits have them.
xs, Ws = f(3, 2, 2, 2), f(2, 2, 1, 1)
soft = rng.dirichlet(np.ones(2), (3, 2, 2)).transpose(0, 3, 1, 2).astype(np.float32)


def soft_images(p):
    z = np.einsum("oi,nihw->nohw", p.reshape(2, 2), xs.astype(float))
    return -(soft * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1).mean()


save("soft_labels_of_images", [N("Conv", ["x", "W"], ["o"])], {"W": Ws}, {"x": xs, "y": soft}, soft_images, [Ws], kind="soft-cross-entropy")
# Group normalisation as PyTorch writes it: groups become the channels of an instance normalisation with γ = 1 and β = 0, which are no
# parameters. And the same operation on images, and with another γ.
xg, Wg = f(3, 2, 2, 3), f(4, 2, 1, 1)


def standardized(p, shape, scale=1.0):
    h = np.einsum("oi,nihw->nohw", p.reshape(4, 2), xg.astype(float)).reshape(shape)
    axes = tuple(range(2, h.ndim))
    h = (h - h.mean(axes, keepdims=True)) / np.sqrt(h.var(axes, keepdims=True) + 1e-5) * np.reshape(scale, (-1,) + (1,) * (h.ndim - 2))
    return h.reshape(3, 4, 2, 3)


def whole(name):
    """Whole numbers as floats: no parameter."""
    return N("Cast", [name + " whole"], [name], to=T.FLOAT)


yg, tripled = f(3, 4, 2, 3), np.array([1, 1, 3, 1.])
save("group_norm_of_torch", [N("Conv", ["x", "W"], ["h"]), whole("g"), whole("b"), N("Reshape", ["h", "split"], ["s"]),
                             N("InstanceNormalization", ["s", "g", "b"], ["t"], epsilon=1e-5), N("Reshape", ["t", "joined"], ["o"])],
     {"W": Wg, "g whole": np.ones(2, np.int64), "b whole": np.zeros(2, np.int64), "split": np.array([0, 2, -1]), "joined": np.array([-1, 4, 2, 3])}, {"x": xg, "y": yg},
     lambda p: half_square(standardized(p, (3, 2, 12)) - yg), [Wg])
for name, scale in {"instance_norm_plain": np.ones(4), "instance_norm_scaled": tripled}.items():
    save(name, [N("Conv", ["x", "W"], ["h"]), whole("g"), whole("b"),
                N("InstanceNormalization", ["h", "g", "b"], ["o"], epsilon=1e-5)],
         {"W": Wg, "g whole": scale.astype(np.int64), "b whole": np.zeros(4, np.int64)}, {"x": xg, "y": yg},
         lambda p, scale=scale: half_square(standardized(p, (3, 4, 2, 3), scale) - yg), [Wg])
