#!/usr/bin/env bash
# Trains the networks of this folder into collapse and draws their trajectories:
#
#   examples/collapse/run.sh IMAGES [NAME...]
#
# IMAGES is the folder of the data sets (docs/datasets.md says what belongs there); NAME is mnist or cifar10, default both.
# MNIST takes about a minute on two cores, CIFAR-10 about ten.
set -euo pipefail
if [ $# -lt 1 ]; then
	echo "usage: $0 IMAGES [NAME...]" >&2
	exit 2
fi
images=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/../.."
if [ $# = 0 ]; then
	set -- mnist cifar10
fi
for name; do
	go run ./cmd/collapsar train --config "examples/collapse/$name.yaml" --data-root "$images" --out "runs/collapse/$name" --overwrite
	go run ./tools/trajectory "runs/collapse/$name/metrics.jsonl" >"docs/pictures/$name.svg"
done
