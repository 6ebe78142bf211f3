#!/usr/bin/env bash
# Minority collapse along the ratio of class sizes, and two cures: the table of docs/imbalance.md.
#
#   examples/minority/run.sh IMAGES [OUT]
#
# IMAGES is the folder of the data sets (docs/datasets.md says what belongs there); OUT, runs/minority by default, gets the run
# folders. Runs that are there are not made again; interrupted ones go on. All take five minutes of processor time.
set -euo pipefail
if [ $# -lt 1 ]; then
	echo "usage: $0 IMAGES [OUT]" >&2
	exit 2
fi
images=$(cd "$1" && pwd)
out=$(mkdir -p "${2:-runs/minority}" && cd "${2:-runs/minority}" && pwd)
cd "$(dirname "$0")/../.."
go build -o "$out/collapsar" ./cmd/collapsar

rows=()
row() { # CURE RATIO FLAG...
	local run="$out/$1-$2"
	if grep -qs '"status": "finished"' "$run/run.json"; then
		:
	elif [ -e "$run/config.yaml" ]; then
		"$out/collapsar" --quiet train --resume "$run" >"$run.txt"
	else
		"$out/collapsar" --quiet train --config examples/minority/minority.yaml --data-root "$images" --ratio "$2" "${@:3}" \
			--out "$run" >"$run.txt"
	fi
	rows+=("$2 | $1=$run")
}
for ratio in 1 10 20 50 100; do
	row none "$ratio"
done
for ratio in 10 100; do
	row oversample "$ratio" --sampler oversample
	row simplex "$ratio" --head simplex
done
echo '| R | cure | seeds | minority_cos_w | majority_cos_w | minority_cos_mean | minority_norm_ratio_w | training accuracy, % | test accuracy, % | majority | minority |'
echo '|---|---|---|---|---|---|---|---|---|---|---|'
go run ./tools/runtable -columns runs,minority_cos_w,majority_cos_w,minority_cos_mean,minority_norm_ratio_w,train,test,test:0-4,test:5-9 "${rows[@]}"
