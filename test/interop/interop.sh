#!/bin/bash
# The gate with its real neighbours, for minutes: each part is passed, failed, or skipped with its reason.
#   interop.sh BUILD_DIR
# INTEROP_KUBERNETES: further releases of the API server (default: v1.30.14, our oldest, and the newest that the Go module
# proxy serves). Builds are kept in the user's cache.
set -uo pipefail
root=$(realpath "$(dirname "$0")/../..")
build=${1:?usage: interop.sh BUILD_DIR}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
part() { # NAME COMMAND...
  local name=$1 code=0; shift
  echo "=== $name"
  "$@" >"$log" 2>&1 || code=$?
  case $code in
    0) passed=$((passed + 1)); tail -n 1 "$log"; echo "passed: $name" ;;
    77) skipped=$((skipped + 1)); echo "skipped: $name: $(tail -n 1 "$log")" ;;
    *) failed=$((failed + 1)); cat "$log"; echo "failed: $name (exit code $code)" ;;
  esac
}
on_kubernetes() { # VERSION COMMAND...
  local assets version=$1; shift
  assets=$(KUBERNETES_VERSION=$version "$root/build-support/build-kubernetes.sh") || return
  KUBEBUILDER_ASSETS=$assets "$@"
}
e2e() {
  local out code=0
  out=$(ctest --test-dir "$build" --tests-regex '^e2e_' --label-exclude '^long$' --no-tests=error --output-on-failure 2>&1) || code=$?
  echo "$out"
  # ctest calls it a success when tests skip themselves; here each of them is what was asked for.
  if ((code == 0)) && grep -q 'tests did not run' <<<"$out"; then return 77; fi
  return "$code"
}
newest_kubernetes() {
  local go
  go=$("$root/build-support/go-toolchain.sh" "$root/test/e2e/kubernetes") || return
  PATH=$go:$PATH GOWORK=off GOTOOLCHAIN=local GOFLAGS='' go list -m -versions k8s.io/kubernetes 2>/dev/null | tr ' ' '\n' |
    grep -xE 'v1\.[0-9]+\.[0-9]+' | sort -V | tail -n 1
}

assets=$("$root/build-support/build-kubernetes.sh" 2>"$log") && export KUBEBUILDER_ASSETS=$assets
part "cert-manager" "$root/test/interop/cert_manager_test.sh" "$build"
part "Flux's kustomize-controller" "$root/test/interop/flux_test.sh" "$build"
part "plugin, Prometheus and Jaeger" "$root/test/interop/watched_test.sh" "$build"
if versions=${INTEROP_KUBERNETES:-"v1.30.14 $(cd /tmp && newest_kubernetes)"}; then
  for version in $versions; do
    part "manifests on Kubernetes $version" on_kubernetes "$version" "$root/test/e2e/manifests_test.sh"
    part "an upgrade on Kubernetes $version" on_kubernetes "$version" "$root/test/e2e/demo_cluster.sh" "$build"
    part "e2e on Kubernetes $version" on_kubernetes "$version" e2e
  done
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
