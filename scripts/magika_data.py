"""Data for the network of the PyPI package `magika` (types of files): python magika_data.py magika.npz FOLDER …

Up to 8 files of each type that the extension gives away are read as magika does: 1,024 bytes from the beginning and 1,024
from the end, after white space is stripped, 256 where there is nothing. Arrays: bytes [n, 2048] and y [n].
"""
import json, pathlib, sys
import magika, numpy as np

TYPES = {".rs": "rust", ".md": "markdown", ".py": "python", ".toml": "toml", ".json": "json", ".svg": "svg", ".png": "png",
         ".npz": "npz", ".onnx": "onnx", ".html": "html", ".c": "c", ".h": "c", ".js": "javascript", ".css": "css", ".sh": "shell",
         ".txt": "txt", ".yaml": "yaml", ".yml": "yaml", ".cpp": "cpp", ".csv": "csv", ".zip": "zip", ".gz": "gzip", ".xml": "xml"}
EACH, HALF, BLOCK, NOTHING = 8, 1024, 4096, 256

folder = pathlib.Path(magika.__file__).parent / "models/standard_v3_3"
labels = json.loads((folder / "config.min.json").read_text())["target_labels_space"]
found, rows, classes = {}, [], []
for root in sys.argv[2:]:
    for path in sorted(pathlib.Path(root).rglob("*")):
        kind = TYPES.get(path.suffix)
        hidden = any(part.startswith(".") or part == "target" for part in path.relative_to(root).parts)
        if kind is None or hidden or not path.is_file() or found.get(kind, 0) == EACH or path.stat().st_size < 64:
            continue
        found[kind] = found.get(kind, 0) + 1
        data = path.read_bytes()
        first, last = list(data[:BLOCK].lstrip()[:HALF]), list(data[-BLOCK:].rstrip()[-HALF:])
        rows.append(first + [NOTHING] * (HALF - len(first)) + [NOTHING] * (HALF - len(last)) + last)
        classes.append(labels.index(kind))
order = np.random.default_rng(0).permutation(len(rows))  # every range of samples has every type
np.savez(sys.argv[1], bytes=np.array(rows, "int32")[order], y=np.array(classes)[order])
print(len(rows), "files:", ", ".join(f"{n} {kind}" for kind, n in sorted(found.items())), "\nmodel:", folder / "model.onnx")
