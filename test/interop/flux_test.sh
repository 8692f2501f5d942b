#!/bin/bash
# Flux's real kustomize-controller drives an upgrade to its end: commits are refused while the hooks run and applied by
# its own retries, it waits for the rollout and the restore, and what depends on the cluster comes after that, not before.
# Real API server. Its sources are this test's: a GitRepository whose status names archives on a file server; so no
# source-controller is needed.
#   flux_test.sh BUILD_DIR     exits 77, saying why, where something is missing
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${2:-} != inside ]]; then
  build=$(realpath "${1:?usage: flux_test.sh BUILD_DIR}")
  module=$root/test/interop/flux
  package=github.com/fluxcd/kustomize-controller
  version=$(awk -v package="$package" '$1 == package { print $2; exit }' "$module/go.mod")
  program=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/flux/$version/kustomize-controller
  mkdir -p "$(dirname "$program")"
  "$root/build-support/build-go.sh" "$module" "$program" "$package"
  [[ -x $program ]] || { echo "SKIPPED: no kustomize-controller $version could be built here"; exit 77; }
  command -v python3 >/dev/null || { echo "SKIPPED: no python3 to serve files (make install-packages)"; exit 77; }
  go=$("$root/build-support/go-toolchain.sh" "$module")
  export PATH=$go:$PATH
  crds=$(cd "$module" && GOWORK=off GOTOOLCHAIN=local go list -mod=readonly -m -f '{{.Dir}}' "$package")/config/crd/bases
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  KUSTOMIZE_CONTROLLER=$program FLUX_CRDS=$crds \
    "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" "$build" inside || code=$?
  exit "$code"
fi
build=$1
# shellcheck source=test/interop/upgrade-lib.sh
source "$root/test/interop/upgrade-lib.sh"

title "StarRocks' kinds, the FE, the gate; Flux's kinds, its kustomize-controller, a file server"
install_gate "$build"
k apply --server-side -f "$FLUX_CRDS" >/dev/null
source_kind() { # KIND PLURAL: only what kustomize-controller reads of it.
  cat <<END
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $2.source.toolkit.fluxcd.io}
spec:
  group: source.toolkit.fluxcd.io
  scope: Namespaced
  names: {kind: $1, plural: $2, singular: ${1,,}, listKind: $1List}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
END
}
{ source_kind GitRepository gitrepositories; source_kind OCIRepository ocirepositories; source_kind Bucket buckets
  source_kind ExternalArtifact externalartifacts; } | k apply -f - >/dev/null
k wait --for=condition=Established crd --all --timeout=30s >/dev/null
mkdir "$demo_dir/files"
files_port=$(free_port)
python3 -m http.server "$files_port" --bind 127.0.0.1 --directory "$demo_dir/files" >"$demo_dir/files.log" 2>&1 & others+=($!)
until_true "files are served" curl -fsS "http://127.0.0.1:$files_port/"
k create namespace flux-system >/dev/null
RUNTIME_NAMESPACE=flux-system "$KUSTOMIZE_CONTROLLER" --metrics-addr=0 --health-addr=0 --requeue-dependency=1s \
  --log-level=info >"$demo_dir/kustomize-controller.log" 2>&1 & others+=($!)

# commit NUMBER BE_VERSION: what source-controller would have made of a commit.
k apply -f - >/dev/null <<'END'
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: platform, namespace: flux-system}
spec: {interval: 1m, url: "https://git.example.com/platform"}
END
commit() {
  local folder=$demo_dir/commit-$1 archive=$1.tar.gz
  mkdir -p "$folder/cluster" "$folder/after"
  cluster "$2" >"$folder/cluster/cluster.yaml"
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: after, namespace: default}\ndata: {for: "%s"}\n' "$2" >"$folder/after/after.yaml"
  tar -C "$folder" -czf "$demo_dir/files/$archive" .
  k get gitrepository platform -n flux-system -o json | jq --arg url "http://127.0.0.1:$files_port/$archive" \
    --arg digest "sha256:$(sha256sum "$demo_dir/files/$archive" | cut -d ' ' -f 1)" --arg revision "$(revision "$1")" \
    --argjson size "$(stat -c %s "$demo_dir/files/$archive")" \
    '.status = {observedGeneration: .metadata.generation, artifact: {url: $url, path: $url, digest: $digest,
       revision: $revision, size: $size, lastUpdateTime: (now | todate)},
       conditions: [{type: "Ready", status: "True", reason: "Succeeded", message: $revision,
         lastTransitionTime: (now | todate), observedGeneration: .metadata.generation}]}' |
    k replace --subresource=status -f - >/dev/null
}
revision() { printf 'main@sha1:%040d' "$1"; }

title "Kustomizations: the cluster as shipped in manifests/gitops/flux, and one that depends on it"
kustomization() { # The shipped one, for this repository, with retries at a test's pace.
  sed -e 's|path: .*|path: ./cluster|' -e '/dependsOn:/d' -e 's/retryInterval: .*/retryInterval: 2s/' \
    "$root/manifests/gitops/flux/kustomization.yaml"
}
kustomization | grep -q 'wait: true' || die "the shipped Kustomization does not wait any more"
commit 1 3.5.7
{ kustomization; cat <<'END'
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: after, namespace: flux-system}
spec:
  interval: 10m
  retryInterval: 2s
  prune: true
  sourceRef: {kind: GitRepository, name: platform}
  path: ./after
  dependsOn: [{name: starrocks-cluster}]
END
} | k apply -f - >/dev/null
until_true "Flux makes the cluster" image_is 3.5.7
operator_says running
ready() { # KUSTOMIZATION NUMBER
  [[ $(k get kustomization "$1" -n flux-system -o jsonpath='{.status.conditions[?(@.type=="Ready")].status} {.status.lastAppliedRevision}') == "True $(revision "$2")" ]]
}
message() { k get kustomization "$1" -n flux-system -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}'; }
after_is() { [[ $(k get configmap after -o jsonpath='{.data.for}') == "$1" ]]; }
until_true "it is ready" ready starrocks-cluster 1
until_true "what depends on it is there" after_is 3.5.7
uid=$(k get starrockscluster sr -o jsonpath='{.metadata.uid}')

title "A commit with another image while the FE is slow: refused, in the gate's words, and tried again"
fe 'delay disable_balance=60' >/dev/null
commit 2 3.5.8
refused() { [[ $(message starrocks-cluster) == *"is on hold"*"(1/2 hooks)"* ]]; }
until_true "Flux tells that the upgrade is on hold" refused
show "Ready=False: $(message starrocks-cluster)"
image_is 3.5.7 || die "the refused commit changed the image"
after_is 3.5.7 || die "what depends on the cluster came before it"

title "The FE answers: Flux's own retry is admitted"
fe clear >/dev/null
until_true "the image is changed by Flux" image_is 3.5.8
[[ $(setting disable_balance) == true ]] || die "the image was changed before the hooks had run"
operator_says reconciling
rolling() { [[ $(k get kustomization starrocks-cluster -n flux-system -o jsonpath='{.status.conditions[?(@.type=="Reconciling")].status}') == True ]] && records | grep -qx 'RollingOut/'; }
until_true "Flux waits for the rollout" rolling
after_is 3.5.7 || die "what depends on the cluster came before its rollout had ended"
show "Reconciling: $(k get kustomization starrocks-cluster -n flux-system -o jsonpath='{.status.conditions[?(@.type=="Reconciling")].message}')"

title "The pods are replaced: settings are restored, and Flux goes on with what depends on the cluster"
pods_roll 3.5.8
operator_says running
until_true "the upgrade is closed" succeeded
restored || die "the settings are not restored: $(setting disable_balance)/$(setting tablet_sched_max_scheduling_tablets)"
until_true "Flux calls it ready" ready starrocks-cluster 2
until_true "what depends on it follows" after_is 3.5.8
[[ $(records | wc -l) == 1 ]] || die "more than one record of one upgrade: $(records)"
[[ $(k get starrockscluster sr -o jsonpath='{.metadata.uid}') == "$uid" ]] || die "Flux deleted the cluster and made it anew"
show "Ready=True at $(k get kustomization starrocks-cluster -n flux-system -o jsonpath='{.status.lastAppliedRevision}'); the same cluster, one record"

printf '\nAll steps succeeded.\n'
