#!/bin/sh
# Trains the baseline runs, and compares them with a reference.
#
#     examples/baseline/run.sh DATA_ROOT RUNS REFERENCE.json
set -eu
[ $# = 3 ] || { sed -n 4p "$0"; exit 2; }
here=$(dirname "$0")
for config in "$here"/*.yaml; do
	out=$2/$(basename "$config" .yaml)
	if [ -e "$out/config.yaml" ]; then
		collapsar train --resume "$out"
	else
		collapsar train --config "$config" --data-root "$1" --out "$out"
	fi
done
cd "$here/../.." && go run ./examples/baseline -reference "$3" "$2"
