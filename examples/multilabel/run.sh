#!/usr/bin/env bash
# Rows with several tags, from training to prediction: the tables of docs/multilabel.md.
#
#   examples/multilabel/run.sh IMAGES TABLES [OUT]
#
# IMAGES is the folder of the image data sets and TABLES that of yeast, scene and emotions (docs/datasets.md says what belongs there); OUT,
# runs/multilabel by default, gets the run folders. Runs that are there are not made again. All take about half an hour of processor time.
set -euo pipefail
if [ $# -lt 2 ]; then
	echo "usage: $0 IMAGES TABLES [OUT]" >&2
	exit 2
fi
images=$(cd "$1" && pwd)
tables=$(cd "$2" && pwd)
out=$(mkdir -p "${3:-runs/multilabel}" && cd "${3:-runs/multilabel}" && pwd)
cd "$(dirname "$0")/../.."
go build -o "$out/collapsar" ./cmd/collapsar

run() { # NAME CONFIG ROOT FLAG...
	if ! grep -qs '"status": "finished"' "$out/$1/run.json"; then
		"$out/collapsar" --quiet train --config "examples/multilabel/$2" --data-root "$3" "${@:4}" --out "$out/$1" --overwrite >"$out/$1.txt"
	fi
}
triples=(--composite "1:60,2:24,3:10" --composite-test "1:30,2:10,3:4")

echo 'Composites to the end, beside the unconstrained features model'
run pairs pairs.yaml "$images" --export "$out/pairs.npz"
run triples pairs.yaml "$images" "${triples[@]}" --export "$out/triples.npz"
for name in pairs triples; do
	rows=$([ $name = pairs ] && echo 2850 || echo 2880)
	"$out/collapsar" --quiet measure "$out/$name.npz" --lambda-w 2e-2 --lambda-h "$(awk "BEGIN { print 2e-2 / $rows }")" \
		--metrics 'ml_nc1,ml_nc2_w_etf,ml_nc3_single,ml_tagwise_angle_m*,ml_tagwise_angle_ratio_m*,ml_scale_m*,ml_scale_spread_m*,ml_margin_m*,ml_set_error'
done

echo
echo 'A fixed simplex in as many dimensions as there are tags, against a trained classifier'
fixed=(--epochs 120 --seeds 0..5 --head simplex --feature-dim 10)
run head-linear pairs.yaml "$images" --epochs 120 --seeds 0..5
run head-simplex pairs.yaml "$images" "${fixed[@]}"
run head-simplex-long pairs.yaml "$images" "${fixed[@]}" --head-scale 1.26 # as long as the rows of a trained head end in theory
run head-simplex-short pairs.yaml "$images" "${fixed[@]}" --head-scale 0.58 --feature-decay 4.24e-3 # as they begin; 4.24e-3 = 2e-2 (0.58/1.26)^2
echo '| head | parameters | ml_nc1 | ml_tagwise_angle_ratio_m2 | ml_scale_m2 | exact match | F1 by row | F1 | told the number of tags | exact match, difference |'
echo '|---|---|---|---|---|---|---|---|---|---|'
go run ./tools/runtable -difference onn_euclid/exact_match \
	-columns parameters,ml_nc1,ml_tagwise_angle_ratio_m2,ml_scale_m2,onn_euclid/exact_match,onn_euclid/f1_sample,onn_euclid/f1_micro,top_m_oracle/exact_match \
	"trained, 32 features=$out/head-linear" "simplex of unit rows, 10 features=$out/head-simplex" "simplex of rows of 1.26, 10 features=$out/head-simplex-long" \
	"simplex of rows of 0.58, 10 features, decay 4.24e-3=$out/head-simplex-short"

echo
echo 'Tables: losses and rules, against one-vs-rest logistic regression'
for set in yeast scene emotions; do
	for loss in pal pal_mean bce; do
		run "$set-$loss" tables.yaml "$tables" --loss "$loss" "$set"
	done
done
go run ./examples/multilabel/rules "$out" "$tables"
