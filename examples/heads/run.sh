#!/usr/bin/env bash
# Learned and fixed heads, on features of the network's own dimension and on as many as there are classes: the table of
# docs/losses.md.
#
#   examples/heads/run.sh IMAGES [OUT]
#
# IMAGES is the folder of the data sets (docs/datasets.md says what belongs there); OUT, runs/heads by default, gets the run folders.
# Runs that are there are not made again; interrupted ones go on. All take two minutes of processor time.
set -euo pipefail
if [ $# -lt 1 ]; then
	echo "usage: $0 IMAGES [OUT]" >&2
	exit 2
fi
images=$(cd "$1" && pwd)
out=$(mkdir -p "${2:-runs/heads}" && cd "${2:-runs/heads}" && pwd)
cd "$(dirname "$0")/../.."
go build -o "$out/collapsar" ./cmd/collapsar

echo '| data | head, dimension | seeds | training accuracy, % | test accuracy, % | nc1 | nc2_etf | nc3_distance | parameters | saved | memory, bytes | test accuracy, difference |'
echo '|---|---|---|---|---|---|---|---|---|---|---|---|'
for data in mnist fashion-mnist; do
	rows=()
	for head in linear simplex; do
		for dim in 256 10; do
			run="$out/$data-$head-$dim"
			if grep -qs '"status": "finished"' "$run/run.json"; then
				:
			elif [ -e "$run/config.yaml" ]; then
				"$out/collapsar" --quiet train --resume "$run" >"$run.txt"
			else
				"$out/collapsar" --quiet train "$data" --config examples/heads/heads.yaml --data-root "$images" --head "$head" --feature-dim "$dim" \
					--out "$run" >"$run.txt"
			fi
			rows+=("$data | $head, $dim=$run")
		done
	done
	go run ./tools/runtable -columns runs,train,test,nc1,nc2_etf,nc3_distance,parameters,saved,memory -difference test "${rows[@]}"
done
