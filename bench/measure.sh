#!/usr/bin/env bash
# Compares `collapsar measure` with its peers (bench/setup.sh installs them) and prints the tables of
# docs/speed.md. Arguments go to bench/measure/compare.py, as in
#
#   bench/measure.sh --case k10 --rounds 7 --peers torch,limit
#
# Wants an otherwise idle machine, 4 GB of memory and, the first time, half a gigabyte below bench/tmp.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/tmp"
(cd "$here/.." && CGO_ENABLED=0 go build -o "$here/tmp/collapsar" ./cmd/collapsar)
exec "$here/.venv/bin/python" "$here/measure/compare.py" --collapsar "$here/tmp/collapsar" "$@"
