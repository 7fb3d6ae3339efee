"""Imports the ONNX models of published packages and compares their losses with onnxruntime's, in f32:

    cargo build --release -p saddlescope-onnx --example probe
    python scripts/check_packages.py FOLDER [--out RESULTS.md]

FOLDER has a folder for each package (`pip download --no-deps -d FOLDER/NAME NAME`). Inputs are random; the loss is the mean squared
distance of the first output to random targets. The table also says how far a Hessian product is off central differences of the
gradient in f64. numpy, onnx and onnxruntime are needed.
"""
import argparse
import glob
import os
import subprocess
import tempfile
import zipfile

import numpy as np
import onnxruntime

PROBES = ["target/release/examples/probe", "target/debug/examples/probe"]

# Lengths for open dimensions (after the samples), by file; highest index of integer inputs; options of the command.
SHAPES = {
    "320n.onnx": {"images": (3, 64, 64)},
    "ch_PP-OCRv4_det_infer.onnx": {"x": (3, 64, 64)},
    "ch_PP-OCRv4_rec_infer.onnx": {"x": (3, 48, 64)},
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": (3, 48, 64)},
    "Run_1663829550_Stage_0.onnx": {"input": (1, 3, 40, 160)},
    "Run_1663915512_Stage_0.onnx": {"input": (1, 3, 40, 160)},
    "Run_1668423760_Stage_0.onnx": {"input": (1, 3, 40, 160)},
    "plcmos_v2.onnx": {"degraded_audio": (1, 60, 257)},
    "attacut-c.onnx": {"input": (1, 30)},
    "attacut-sc.onnx": {"input": (1, 2, 30)},
    "silero_vad.onnx": {"input": (512,), "state": (2, 128)},
    "silero_vad_16k_op15.onnx": {"input": (512,)},
    "silero_vad_half.onnx": {"input": (512,)},
    "silero_vad_op18_ifless.onnx": {"input": (512,)},
    "silero_vad_16k_sequence.onnx": {"input": (6, 576)},
}
HIGHEST = {"attacut-c.onnx": 60, "attacut-sc.onnx": 60, "model.onnx": 256}
# Their outputs have no batch axis.
ONE_SAMPLE = ["attacut-c.onnx", "attacut-sc.onnx", "silero_vad_16k_sequence.onnx", "Run_1663829550_Stage_0.onnx",
              "Run_1663915512_Stage_0.onnx", "Run_1668423760_Stage_0.onnx"]
NUMPY = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(double)": np.float64}


# Inputs that are the same for all samples.
FIXED = {"sr": 16000}


def batch_axis(file, name):
    """Recurrent states have the layers first."""
    return 1 if name in ("h0", "state") and file not in ONE_SAMPLE else 0


def inputs_of(session, file, samples, rng):
    """Random inputs as the data set has them, samples first."""
    data = {}
    for i in session.get_inputs():
        axis = batch_axis(file, i.name)
        shape = SHAPES.get(file, {}).get(i.name)
        if shape is None:
            whole = list(i.shape) if file in ONE_SAMPLE else [d for k, d in enumerate(i.shape) if k != axis]
            shape = tuple(d if isinstance(d, int) else 64 for d in whole)
        full = shape if file in ONE_SAMPLE else (samples, *shape)
        kind = NUMPY[i.type]
        if i.name in FIXED:
            continue
        if kind in (np.int64, np.int32):
            data[i.name] = rng.integers(0, HIGHEST.get(file, 8), full).astype(kind)
        elif shape == (21,):
            data[i.name] = rng.integers(0, 8, full).astype(kind)  # numbers of letters, as floats
        else:
            data[i.name] = rng.standard_normal(full).astype(kind)
    return data


def outputs(session, file, data):
    """The first output, sample by sample."""
    name = session.get_outputs()[0].name
    if file in ONE_SAMPLE:
        fixed = {i.name: np.array(FIXED[i.name], NUMPY[i.type]) for i in session.get_inputs() if i.name in FIXED}
        return session.run([name], {**data, **fixed})[0]
    rows = []
    for n in range(len(next(iter(data.values())))):
        one = {}
        for i in session.get_inputs():
            if i.name in FIXED:
                one[i.name] = np.array(FIXED[i.name], NUMPY[i.type])
            else:
                one[i.name] = np.moveaxis(data[i.name][n:n + 1], 0, batch_axis(file, i.name))
        y = session.run([name], one)[0]
        rows.append(y.reshape(1, *y.shape[1:]))
    return np.concatenate(rows)


def check(path, folder, probe):
    file = os.path.basename(path)
    rng = np.random.default_rng(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 2, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    data = inputs_of(session, file, 3, rng)
    y = outputs(session, file, data)
    targets = (y + rng.standard_normal(y.shape)).astype(np.float32)
    theirs = float(np.mean((y.astype(np.float64) - targets) ** 2))
    place = os.path.join(folder, "data.npz")
    np.savez(place, y=targets, **{n: v for n, v in data.items()})
    more = ["--one-sample"] if file in ONE_SAMPLE else []
    for i in session.get_inputs():
        if i.name in FIXED:
            more += ["--fix-input", f"{i.name}={FIXED[i.name]}"]
        elif file not in ONE_SAMPLE and batch_axis(file, i.name):
            more += ["--batch-axis", f"{i.name}=1"]
    run = subprocess.run([probe, "--loss", "mse-mean", *more, path, place], capture_output=True, text=True)
    if run.returncode:
        return ["refused: " + run.stderr.strip().split("; supported are")[0][:300], "", "", ""]
    line = run.stdout.splitlines()[0]
    ours = float(line.split("loss ")[1].split()[0])
    parameters = line.split()[0]
    off = line.split("differences by ")[1].split()[0]
    return ["imports" + (" (" + " ".join(more) + ")" if more else ""), parameters, f"{abs(ours - theirs) / abs(theirs):.0e}", off]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out")
    a = parser.parse_args()
    probe = next(p for p in PROBES if os.path.exists(p))
    rows = [["package", "model", "import", "parameters", "loss off onnxruntime's (f32)", "product off differences (f64)"]]
    rows.append(["---"] * 4 + ["---:"] * 2)
    with tempfile.TemporaryDirectory() as folder:
        for wheel in sorted(glob.glob(os.path.join(a.folder, "*", "*.whl"))):
            package = os.path.basename(os.path.dirname(wheel))
            with zipfile.ZipFile(wheel) as archive:
                models = sorted(n for n in archive.namelist() if n.endswith(".onnx"))
                for model in models:
                    path = os.path.join(folder, os.path.basename(model))
                    with open(path, "wb") as f:
                        f.write(archive.read(model))
                    try:
                        found = check(path, folder, probe)
                    except Exception as e:
                        found = [f"onnxruntime: {type(e).__name__} {str(e)[:200]}", "", "", ""]
                    rows.append([package, os.path.basename(model), *[c.replace("|", "/").replace("\n", " ") for c in found]])
                    print(*rows[-1], sep=" | ", flush=True)
    if a.out:
        with open(a.out, "w") as f:
            f.writelines("| " + " | ".join(row) + " |\n" for row in rows)


main()
