#!/usr/bin/env bash
# Times the solvers of unconstrained features models, and one of them beside PyTorch's L-BFGS (bench/setup.sh installs it).
# Wants an otherwise idle machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/tmp"
(cd "$here" && CGO_ENABLED=0 go build -o tmp/solve ./solve)
exec "$here/.venv/bin/python" "$here/solve/compare.py" "$here/tmp/solve" "$@"
