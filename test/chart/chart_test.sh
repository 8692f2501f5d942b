#!/bin/bash
# The chart's tests with the real helm, against a real API server where one can be started.
#   chart_test.sh          exits 77, saying why, where there is no helm and no Go to build it
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${1:-} != inside ]]; then
  HELM=$("$root/build-support/build-helm.sh") || exit
  export HELM
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" inside || code=$?
  exit "$code"
fi
cd "$root/test/chart/helm"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
go=$("$root/build-support/go-toolchain.sh" .)
export PATH=$go:$PATH
ROOT=$root GOTOOLCHAIN=local GOWORK=off go test -count=1 -v ./... >"$log" 2>&1 || code=$?
grep -v -E '^\s*=== ' "$log" || true
printf '%d passed, %d failed\n' "$(grep -c -E '^\s*--- PASS' "$log")" "$(grep -c -E '^\s*--- FAIL' "$log")"
exit "$code"
