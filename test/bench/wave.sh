#!/bin/bash
# A wave of upgrades on a real API server: CLUSTERS objects in NAMESPACES namespaces change their images within SPREAD,
# HANGING of them with an FE that hangs, two replicas of the gate; then everybody repeats, and stops asking for hooks.
# Tells how soon all are prepared with and without those that hang, how soon repeated requests are admitted, what a
# change costs the API server from its first request to the closed record, memory, and what ordinary reviews feel of it.
# With WAVE_LED=1, instead: upgrades that the gate leads pod by pod, all at once (wave/led.go); what each step costs.
# usage: wave.sh BUILD_DIR [FE_SIMULATOR]
# Environment: WAVE_LED, WAVE_CLUSTERS (1000), WAVE_NAMESPACES (20), WAVE_HANGING (20), WAVE_SPREAD (10s), WAVE_PATIENCE (10m),
# WAVE_KEEP=1 (logs of all processes are kept).
# Writes BUILD_DIR/bench/wave.md, or led.md. Exit code 1 if a target is missed, 2 if it could not be measured.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
fail() { echo "wave.sh: $*" >&2; exit 2; }

if [ "${1:-}" = inside ]; then
  directory=$2 build=$3 simulator=$4
  "$KUBECTL" create -f "$root/test/e2e/starrocks-crds.yaml" >/dev/null
  "$KUBECTL" apply -f "$root/manifests/crd/upgradepreparation.yaml" >/dev/null
  "$KUBECTL" patch crd starrocksclusters.starrocks.com --type=json \
    --patch-file "$root/manifests/crd-extension/starrocksclusters-patch.yaml" >/dev/null
  "$KUBECTL" wait --for=condition=Established crd --all --timeout=30s >/dev/null
  "$KUBECTL" apply -f "$root/manifests/base/namespace.yaml" -f "$root/manifests/base/rbac.yaml" \
    -f "$root/manifests/rollouts/rbac.yaml" >/dev/null
  "$root/certs/make-certificates.sh" "$directory/tls" 127.0.0.1 >"$directory/tls.log" 2>&1
  token=$("$KUBECTL" -n starrocks-upgrade-gate create token upgrade-gate --duration=4h)
  server=$("$KUBECTL" config view --raw -o 'jsonpath={.clusters[0].cluster.server}')
  (umask 077; cat >"$directory/gate.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority: "$directory/ca.crt"}}]
users: [{name: u, user: {token: "$token"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
  )
  report=wave
  leads=false
  if [ -n "${WAVE_LED:-}" ]; then report=led leads=true; fi
  exec "$directory/wave" -control-plane "$directory" -gate "$build/server/app/upgrade-gate" -simulator "$simulator" \
    -led="$leads" -scripts "$root/test/e2e" -output "$build/bench/$report.md" -clusters "${WAVE_CLUSTERS:-1000}" \
    -namespaces "${WAVE_NAMESPACES:-20}" -hanging "${WAVE_HANGING:-20}" -spread "${WAVE_SPREAD:-10s}" \
    -patience "${WAVE_PATIENCE:-10m}"
fi

build=$(realpath "${1:?usage: wave.sh BUILD_DIR [FE_SIMULATOR]}")
simulator=$(realpath "${2:-$build/test/fakes/fe-simulator}")
for program in "$build/server/app/upgrade-gate" "$simulator"; do [ -x "$program" ] || fail "no $program"; done
go=$("$root/build-support/go-toolchain.sh" "$here") || fail "no Go"
export PATH=$go:$PATH
KUBEBUILDER_ASSETS=$("$root/build-support/build-kubernetes.sh") || fail "no kube-apiserver"
export KUBEBUILDER_ASSETS
mkdir -p "$build/bench"
scratch=$(mktemp -d)
if [ -n "${WAVE_KEEP:-}" ]; then echo "wave.sh: logs and database stay in $scratch" >&2; else trap 'rm -rf "$scratch"' EXIT; fi
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
# A judge that cannot count is worse than none.
(cd "$here" && go test ./wave && go build -o "$scratch/wave" ./wave) >&2 ||
  fail "the bench does not build"
# What the gate asks is counted by the API server.
cat >"$scratch/audit.yaml" <<END
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, users: ["system:serviceaccount:starrocks-upgrade-gate:upgrade-gate"]}
- {level: None}
END
export KUBE_APISERVER_FLAGS="--audit-policy-file=$scratch/audit.yaml --audit-log-path=$scratch/audit.log"
code=0
"$root/test/e2e/start-control-plane.sh" "$scratch" "$0" inside "$scratch" "$build" "$simulator" || code=$?
if [ "$code" -gt 1 ]; then tail -n 20 "$scratch"/*.log >&2; fi
exit "$code"
