#!/bin/bash
# The chart's tests with the real helm 3 and helm 4, each against a real API server of its own where one can be started.
#   chart_test.sh          exits 77, saying why, where there is no helm 3 and no Go to build it
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${1:-} != inside ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  for major in 3 4; do
    if ! HELM=$("$root/build-support/build-helm.sh" $major); then
      ((major == 4)) || exit 77
      echo "without helm 4: it cannot be built here"
      continue
    fi
    export HELM
    echo "== helm $major"
    "$root/test/e2e/start-control-plane.sh" "$work/control-plane-$major" "$0" inside >"$work/out" 2>&1 || code=$?
    grep -v '^counts: ' "$work/out" || true
    sed -n 's/^counts: //p' "$work/out" >>"$work/counts"
  done
  awk '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed }' "$work/counts"
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
printf 'counts: %d %d\n' "$(grep -c -E '^\s*--- PASS' "$log")" "$(grep -c -E '^\s*--- FAIL' "$log")"
exit "$code"
