"""Write the seeds of the fuzz targets:   python fuzz_seeds.py CASES fuzz/seeds

CASES: the standard's node cases as scripts/onnx_cases.py writes them. For each operator the smallest is taken, with the first float input turned
into an initialiser, so that the engine's operations are reached. The fixtures of the tests are seeds without a copy
(crates/saddlescope-onnx/tests/fixtures/onnx).
"""
import collections, io, json, pathlib, struct, sys
import numpy as np, onnx
from onnx import numpy_helper

cases, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
rng = np.random.default_rng(0)


def write(target, name, data):
    path = out / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


by_operator = collections.defaultdict(list)
for folder in sorted(cases.iterdir()):
    data = (folder / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    if len(data) < 700 and "_expanded" not in folder.name and model.graph.node:
        by_operator[model.graph.node[-1].op_type].append((len(data), folder))
for operator, found in by_operator.items():
    for _, folder in sorted(found)[:1]:
        model = onnx.load(folder / "model.onnx")
        graph = model.graph
        for place, value in enumerate(graph.input):
            tensor = onnx.load_tensor(folder / f"test_data_set_0/input_{place}.pb") if (
                folder / f"test_data_set_0/input_{place}.pb").exists() else None
            if tensor is not None and tensor.data_type == 1 and 1 < len(numpy_helper.to_array(tensor).ravel()) < 100:
                tensor.name = value.name
                graph.initializer.append(tensor)
                del graph.input[place]
                break
        model.doc_string = graph.doc_string = ""
        write("onnx", f"{folder.name}.onnx", model.SerializeToString())


def safetensors(tensors, metadata=None):
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, array) in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def normal(*shape):
    return rng.standard_normal(shape).astype("<f4")


layers = {"0.weight": ("F32", normal(3, 2)), "0.bias": ("F32", normal(3)),
          "2.weight": ("F64", normal(2, 3).astype("<f8")), "2.bias": ("F16", normal(2).astype("<f2"))}
write("safetensors", "weights", safetensors(layers, {"format": "pt"}))
write("safetensors", "empty", safetensors({}))
write("safetensors", "data", safetensors({"x": ("F32", normal(4, 2)), "y": ("I64", np.arange(4))}))
write("safetensors", "splits", safetensors({
    "train_x": ("U8", np.arange(27, dtype="u1").reshape(3, 3, 3)), "train_labels": ("I32", np.arange(3, dtype="<i4")),
    "x_test": ("BF16", np.arange(8, dtype="<u2").reshape(2, 4)), "y_test": ("BOOL", np.zeros(2, dtype="u1"))}))


def npy(array, version=None):
    f = io.BytesIO()
    np.lib.format.write_array(f, array, version=version, allow_pickle=False)
    return f.getvalue()


def npz(save, **arrays):
    f = io.BytesIO()
    save(f, **arrays)
    return f.getvalue()


write("numpy", "f4.npy", npy(normal(3, 2)))
write("numpy", "big_endian_fortran.npy", npy(np.asfortranarray(normal(3, 2).astype(">f8")), (2, 0)))
write("numpy", "i8_v3.npy", npy(np.arange(6), (3, 0)))
write("numpy", "bool.npy", npy(np.ones((2, 2), dtype=bool)))
write("numpy", "half.npy", npy(normal(2, 2).astype("<f2")))
write("numpy", "stored.npz", npz(np.savez, x=normal(4, 2), y=np.arange(4)))
write("numpy", "deflated.npz", npz(np.savez_compressed, x=np.zeros((4, 3, 3), "u1"), y=np.arange(4)))
write("numpy", "splits.npz", npz(np.savez, x_train=normal(2, 3), y_train=normal(2), x_test=np.arange(6).reshape(3, 2),
                                 y_test=np.array([[0, 1], [-100, 2], [1, 1]])))

write("cifar10", "one", bytes([0, 1, 0, 0, 3]) + bytes(range(256)) * 12)
write("cifar10", "short", bytes([0, 0, 9, 0, 9]))
write("cifar10", "no_class", bytes([0, 1, 0, 0, 10, 1]))
