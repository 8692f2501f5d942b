#!/bin/bash
# Speed and memory of the gate beside a webhook on controller-runtime, which decides the same with typed objects, and
# nginx, which answers a constant: how much of the cost is TLS and HTTP anyway. docs/performance.md explains the figures.
# usage: bench.sh BUILD_DIR
# Environment: BENCH_SECONDS (one measurement, 2), BENCH_ROUNDS (3), BENCH_LONG=1 (a million reviews for the memory),
# BENCH_PUBLISH=1 (the tables also go into docs/performance.md).
# Writes BUILD_DIR/bench/result.json and result.md. Exit code 1 if a target is missed, 2 if it could not be measured.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: bench.sh BUILD_DIR}
output=$build/bench
gate=$build/server/app/upgrade-gate
page=$here/../../docs/performance.md

fail() { echo "bench.sh: $*" >&2; exit 2; }
PATH=$PATH:/usr/sbin
for tool in wrk openssl awk go nginx taskset; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
[ -x "$gate" ] || fail "no $gate"
mkdir -p "$output"

go_build() { (cd "$1" && GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$2" .); }
output=$(cd "$output" && pwd)
go_build "$here" "$output/bench" || fail "the bench does not build"

peer_module=$here/controller-runtime
peer=() go_wanted=$(awk '$1 == "go" { print $2 }' "$peer_module/go.mod")
go_version=$(go env GOVERSION)
if [ "$(printf '%s\n' "$go_wanted" "${go_version#go}" | sort -V | head -n 1)" = "$go_wanted" ]; then
  go_build "$peer_module" "$output/controller-runtime" || fail "the peer does not build"
  peer=(-peer "$output/controller-runtime" -peer-version
    "controller-runtime $(awk '$1 == "sigs.k8s.io/controller-runtime" { print $2 }' "$peer_module/go.mod"), $go_version")
else
  echo "bench.sh: no comparison with controller-runtime: it needs Go $go_wanted, this is $go_version" >&2
fi

# One processor for the servers, another for the load.
pin=() pinned=()
if [ "$(nproc)" -gt 1 ]; then pin=(-pin) pinned=(taskset -c 1); fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=bench \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$scratch/tls.key" -out "$scratch/tls.crt" 2>"$scratch/openssl.log"

code=0
"${pinned[@]}" "$output/bench" -sources "$here" -scratch "$scratch" -output "$output" "${pin[@]}" \
  -gate "$gate" -gate-version "$(git -C "$here" describe --always --dirty), $(openssl version | cut -d' ' -f1-2), ${CXX:-g++} $(${CXX:-g++} -dumpfullversion)" \
  -nginx "$(command -v nginx)" -nginx-version "$(nginx -v 2>&1 | sed 's/.*: //')" "${peer[@]}" || code=$?
if [ "$code" -le 1 ] && [ "${BENCH_PUBLISH:-}" = 1 ]; then
  sed -i '/<!-- below: written by BENCH_PUBLISH=1 make bench -->/q' "$page"
  { echo; cat "$output/result.md"; } >>"$page"
fi
exit "$code"
