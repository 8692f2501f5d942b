#!/bin/bash
# Builds kube-apiserver, kube-controller-manager and kubectl, once, from the Go module in test/e2e/kubernetes into the
# user's cache, and prints the folder they are in (the last line of stdout). KUBEBUILDER_ASSETS, when set, is believed and
# printed: it must hold the first and the last; tests that need the controllers are skipped where it lacks them.
# KUBERNETES_VERSION=v1.30.14 builds another release's API server and controllers instead, from a module that is written
# for it, beside the pinned release's kubectl. Checksums of that one are asked of Go's checksum database, not committed.
# Exits with 77, and says why on stderr, when this machine cannot build them.
set -euo pipefail

support=$(cd "$(dirname "$0")" && pwd)
module=$(cd "$support/../test/e2e/kubernetes" && pwd)
if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -z "${KUBERNETES_VERSION:-}" ]; then
  for program in kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$program" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no $program" >&2; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/kubernetes
pinned=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$module/go.mod")
version=${KUBERNETES_VERSION:-$pinned}
[[ $version =~ ^v1\.[0-9]+\.[0-9]+$ ]] || { echo "invalid value \"$version\" of KUBERNETES_VERSION: want a release such as v1.30.14" >&2; exit 2; }
programs="kube-apiserver kube-controller-manager kubectl"
if [ "$version" != "$pinned" ]; then
  pinned_cache=$(KUBERNETES_VERSION='' KUBEBUILDER_ASSETS='' "$support/build-kubernetes.sh")
  cache=$cache-$version
  programs="kube-apiserver kube-controller-manager"
fi
current() {
  local program
  for program in $programs; do [ -x "$cache/$program" ] || return 1; done
  "$cache/kube-apiserver" --version 2>/dev/null | grep -qFx "Kubernetes $version"
}
if current; then echo "$cache"; exit 0; fi

go=$("$support/go-toolchain.sh" "$module") || { echo "no KUBEBUILDER_ASSETS, and no Go to build kube-apiserver $version" >&2; exit 77; }
export PATH=$go:$PATH

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock --timeout 1800 9
if current; then echo "$cache"; exit 0; fi

# write_module FOLDER: a module like test/e2e/kubernetes for $version. Kubernetes' own requirements keep its dependencies at
# the versions that it was released with; its staging modules, which it requires as v0.0.0, are served as v0.MINOR.PATCH.
write_module() {
  local theirs staging
  theirs=$(cd "$cache" && GOWORK=off GOTOOLCHAIN=local go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  [ -n "$theirs" ] || return 1
  staging=$(awk '$1 ~ /^k8s\.io\// && $2 == "v0.0.0" { print $1 }' "$theirs")
  rm -rf "$1"
  mkdir -p "$1/unused"
  echo 'module unused' >"$1/unused/go.mod"
  local program
  for program in $programs; do
    mkdir "$1/$program"
    cp "$module/$program/main.go" "$1/$program/"
  done
  {
    printf 'module upgrade-gate/test/interop/kubernetes\n\n'
    # From its go line to its replaces, which name folders of its own.
    awk '/^replace/ { exit } /^go / { on = 1 } on' "$theirs"
    printf '\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$version"
    local name
    # The samples are required and never imported; not every proxy serves them.
    for name in $staging; do
      case $name in
        k8s.io/sample-*) printf '\t%s => ./unused\n' "$name" ;;
        *) printf '\t%s => %s v0.%s\n' "$name" "$name" "${version#v1.}" ;;
      esac
    done
    printf ')\n'
  } >"$1/go.mod"
  (cd "$1" && GOFLAGS='' GOWORK=off GOTOOLCHAIN=local go mod tidy >&2)
}

# A module build leaves the version at v0.0.0-master, on which kube-apiserver refuses to start; releases stamp it.
minor_version=${version#v1.}
stamp() { # PACKAGE
  echo "-X $1.gitVersion=$version -X $1.gitMajor=1 -X $1.gitMinor=${minor_version%%.*} -X $1.gitTreeState=clean"
}
echo "building ${programs// /, } $version into $cache (once; 3 to 20 minutes)" >&2
if [ "$version" != "$pinned" ]; then
  write_module "$cache/module" || { echo "no module for Kubernetes $version" >&2; exit 77; }
  module=$cache/module
fi
cd "$module"
mkdir -p "$cache/new"
# shellcheck disable=SC2086 # one path for each program
GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 \
  go build -trimpath -ldflags "-s -w $(stamp k8s.io/component-base/version) $(stamp k8s.io/client-go/pkg/version)" \
  -o "$cache/new/" $(printf './%s ' $programs) >&2
mv -f "$cache"/new/* "$cache/"
rmdir "$cache/new"
[ "$version" = "$pinned" ] || ln -sf "$pinned_cache/kubectl" "$cache/kubectl"
current || { echo "the kube-apiserver that was built does not say 'Kubernetes $version'" >&2; exit 1; }
echo "$cache"
