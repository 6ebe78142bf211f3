#!/usr/bin/env bash
# Runs every check of the project: formatting, vet, the tests, the tests again on every path through the
# kernels that this machine can take, and builds for the other platforms.
#
#   tools/test.sh            everything
#   tools/test.sh --short    formatting, vet and the short tests: a minute or two
#
# What needs something that is not there (qemu-aarch64 for arm64, shellcheck, a C compiler for the race
# detector) is left out and named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

short=no
case "${1-}" in
--short) short=yes ;;
"") ;;
*)
	echo "usage: tools/test.sh [--short]" >&2
	exit 2
	;;
esac

left_out=()
step() { printf '\n== %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# The packages whose results depend on how the kernels are built and chosen.
numeric=(./internal/kernel ./internal/linalg ./moments ./geometry ./collapse ./nn)
# The packages that start goroutines, or are called by several.
concurrent=(./internal/parallel ./internal/progress ./internal/array ./moments ./geometry ./collapse ./features ./features/npz ./ufm ./decode ./dataset ./nn ./train)

step "formatting"
unformatted=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt would change:" && echo "$unformatted"
	exit 1
fi
if has shellcheck; then
	git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 shellcheck
else
	left_out+=("shellcheck")
fi

step "fixtures are small"
bytes=$(git ls-files -z testdata | xargs -0 cat | wc -c)
echo "$bytes bytes in testdata"
if [ "$bytes" -gt 300000 ]; then
	echo "testdata is to stay below 300,000 bytes"
	exit 1
fi

step "vet"
go vet ./...
go vet -tags purego ./...

if [ "$short" = yes ]; then
	step "short tests"
	go test -short ./...
	exit 0
fi

step "tests"
go test -timeout 20m ./...

step "tests without assembly (purego)"
go test -tags purego -timeout 20m "${numeric[@]}"

if [ "$(go env GOARCH)" = amd64 ]; then
	for level in go avx2; do
		step "tests at kernel level $level"
		# The variable is read before tests can be seen to read it, so a cached result says nothing.
		COLLAPSAR_KERNEL=$level go test -count=1 -timeout 20m ./moments ./geometry ./collapse ./nn
	done
	if grep -qw avx2 /proc/cpuinfo 2>/dev/null && grep -qw fma /proc/cpuinfo; then
		step "tests with GOAMD64=v3 (fused multiply-add in compiled code)"
		GOAMD64=v3 go test -timeout 20m "${numeric[@]}"
	else
		left_out+=("GOAMD64=v3")
	fi
fi

if has gcc || has clang; then
	step "race detector"
	CGO_ENABLED=1 go test -race -short -timeout 20m "${concurrent[@]}"
else
	left_out+=("race detector: no C compiler")
fi

step "builds for other platforms"
for platform in linux/arm64 darwin/arm64 darwin/amd64 windows/amd64; do
	echo "$platform"
	GOOS=${platform%/*} GOARCH=${platform#*/} go vet ./internal/kernel ./features/... ./collapse
	GOOS=${platform%/*} GOARCH=${platform#*/} go build ./...
done

if [ "$(go env GOARCH)" = arm64 ]; then
	:
elif has qemu-aarch64; then
	step "tests on arm64, emulated"
	GOARCH=arm64 go test -exec qemu-aarch64 -short -timeout 40m \
		./internal/... ./features/... ./moments ./geometry ./collapse ./nn ./dataset
else
	left_out+=("arm64 tests: no qemu-aarch64")
fi

step "the other modules"
for module in bench internal/kernel/gen; do
	(cd "$module" && go vet ./...)
done

printf '\nAll checks passed.\n'
if [ ${#left_out[@]} -gt 0 ]; then
	printf 'Left out here: %s\n' "${left_out[@]}"
fi
