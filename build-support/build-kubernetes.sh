#!/bin/bash
# Builds kube-apiserver, kube-controller-manager and kubectl, once, from the Go module in test/e2e/kubernetes into the
# user's cache, and prints the folder they are in (the last line of stdout). KUBEBUILDER_ASSETS, when set, is believed and
# printed: it must hold the first and the last; tests that need the controllers are skipped where it lacks them.
# Exits with 77, and says why on stderr, when this machine cannot build them.
set -euo pipefail

module=$(cd "$(dirname "$0")/../test/e2e/kubernetes" && pwd)
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$program" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no $program" >&2; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/kubernetes
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$module/go.mod")
current() { [ -x "$cache/kube-apiserver" ] && [ -x "$cache/kube-controller-manager" ] && [ -x "$cache/kubectl" ] && "$cache/kube-apiserver" --version 2>/dev/null | grep -qFx "Kubernetes $version"; }
if current; then echo "$cache"; exit 0; fi

minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || true
if [ "${minor:-0}" -lt 24 ]; then
  echo "no KUBEBUILDER_ASSETS, and no Go 1.24 or newer to build kube-apiserver $version" >&2
  exit 77
fi

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock --timeout 1800 9
if current; then echo "$cache"; exit 0; fi

# A module build leaves the version at v0.0.0-master, on which kube-apiserver refuses to start; releases stamp it.
minor_version=${version#v1.}
stamp() { # PACKAGE
  echo "-X $1.gitVersion=$version -X $1.gitMajor=1 -X $1.gitMinor=${minor_version%%.*} -X $1.gitTreeState=clean"
}
echo "building kube-apiserver, kube-controller-manager and kubectl $version into $cache (once; 3 to 20 minutes)" >&2
cd "$module"
GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 \
  go build -trimpath -ldflags "-s -w $(stamp k8s.io/component-base/version) $(stamp k8s.io/client-go/pkg/version)" \
  -o "$cache/new/" ./kube-apiserver ./kube-controller-manager ./kubectl >&2
mv -f "$cache"/new/* "$cache/"
rmdir "$cache/new"
current || { echo "the kube-apiserver that was built does not say 'Kubernetes $version'" >&2; exit 1; }
echo "$cache"
