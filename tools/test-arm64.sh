#!/bin/sh
# Runs tests as an arm64 program under qemu's user emulation:
#
#	tools/test-arm64.sh [packages or flags of go test]
#
# Without arguments it tests the kernels and the worker pool. qemu-user is installed by apt if it is
# missing.
set -eu
cd "$(dirname "$0")/.."

find_qemu() {
	command -v qemu-aarch64-static || command -v qemu-aarch64 || true
}

qemu=$(find_qemu)
if [ -z "$qemu" ]; then
	root=
	[ "$(id -u)" -eq 0 ] || root=sudo
	$root apt-get update -q
	$root apt-get install -y -q qemu-user || $root apt-get install -y -q qemu-user-static
	qemu=$(find_qemu)
fi
[ -n "$qemu" ] || { echo "test-arm64: qemu-user could not be installed" >&2; exit 1; }

[ $# -gt 0 ] || set -- ./internal/kernel ./internal/parallel
GOARCH=arm64 CGO_ENABLED=0 exec go test -short -exec "$qemu" "$@"
