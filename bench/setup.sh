#!/usr/bin/env bash
# Puts the peers of the comparisons into bench/.venv. Run it again at any time: what is there stays.
# The torch wheel of PyPI brings its CUDA libraries and does not load without them: about 3 GB to fetch
# and 6 GB on disk, although only the processor is used here.
set -euo pipefail
cd "$(dirname "$0")"

if [ ! -x .venv/bin/python ]; then
	python3 -m venv .venv
fi
if ! cmp -s requirements.txt .venv/requirements.installed; then
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	cp requirements.txt .venv/requirements.installed
fi
.venv/bin/python - <<'PY'
import numpy, pyarrow, safetensors, sklearn, torch

print(f"numpy {numpy.__version__}, torch {torch.__version__}, safetensors {safetensors.__version__}, "
      f"pyarrow {pyarrow.__version__}, scikit-learn {sklearn.__version__}")
PY
