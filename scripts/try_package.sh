#!/usr/bin/env bash
# Installs a wheel or a source distribution of the Python package into a fresh virtual environment, and tries import, command and a solve.
#
#   scripts/try_package.sh PYTHON FILE
set -euo pipefail
python=$1 file=$2
size=$(stat -c %s "$file")
limit=$((25 * 1000 * 1000))
if [ "$size" -gt "$limit" ]; then
  echo "$file has $size bytes; at most $limit are allowed"
  exit 1
fi
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
"$python" -m venv "$venv"
if ! timeout 300 "$venv/bin/pip" install -q "numpy>=1.24" "maturin>=1.9.4,<2" >/dev/null 2>&1; then
  echo "NumPy and maturin could not be installed: $(basename "$file") is not tried"
  exit 0
fi
"$venv/bin/pip" install -q --no-deps --no-build-isolation "$file"
cd "$venv"
bin/saddlescope --version
bin/python - <<'PY'
import numpy as np
import saddlescope as ss

found = ss.eigsh(np.diag(np.arange(100.0) - 30), tol=1e-9)
assert found.converged and np.abs(found.values - [69, -30]).max() < 1e-7, found
result = ss.analyze(ss.onnx.Risk("digits-mlp", samples=32), stages=["eigenpairs"], largest=1, smallest=1)
assert all(pair.converged for pair in result.eigenpairs) and result.report.exists(), result
PY
echo "$(basename "$file"): $((size / 1000)) kB, installed and tried"
