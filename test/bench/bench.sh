#!/bin/bash
# Speed and memory of the gate beside a webhook on controller-runtime, which decides the same with typed objects, and
# nginx, which answers a constant: how much of the cost is TLS and HTTP anyway. docs/performance.md explains the figures.
# Reviews that change images come to a gate beside a stand-in for the API server and a simulated FE.
# usage: bench.sh BUILD_DIR
# Environment: BENCH_SECONDS (one measurement, 2), BENCH_ROUNDS (3), BENCH_LONG=1 (a million reviews for the memory),
# BENCH_ONLY (of start, throughput, same-rate, crowds, new-connections, rolling-stop, memory, image-changes and
# many-clusters those that are named, separated by commas; what is left out is "not measured"),
# BENCH_PUBLISH=1 (the tables also go into docs/performance.md).
# Writes BUILD_DIR/bench/result.json and result.md. Exit code 1 if a target is missed, 2 if it could not be measured.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: bench.sh BUILD_DIR}
gate=$build/server/app/upgrade-gate
simulator=$build/test/fakes/fe-simulator
page=$here/../../docs/performance.md
marker='<!-- below: written by BENCH_PUBLISH=1 make bench -->'

fail() { echo "bench.sh: $*" >&2; exit 2; }
PATH=$PATH:/usr/sbin
peer_module=$here/controller-runtime
# Without a Go for the peer there is no comparison with it; any Go builds the bench.
if newer_go=$("$here/../../build-support/go-toolchain.sh" "$peer_module"); then export PATH=$newer_go:$PATH; fi
for tool in wrk openssl awk go nginx strip taskset; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
for program in "$gate" "$simulator"; do [ -x "$program" ] || fail "no $program"; done
mkdir -p "$build/bench"
output=$(cd "$build/bench" && pwd)
export GOFLAGS="${GOFLAGS:-} -mod=readonly -trimpath" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0

# As the image has it.
strip -o "$output/upgrade-gate" "$gate"
# A judge that cannot count is worse than none.
(cd "$here" && go test . && go build -o "$output/bench" .) >&2 || fail "the bench does not build or work"

go_version=$(go env GOVERSION)
peer=()
if [ -n "$newer_go" ]; then
  (cd "$peer_module" && go build -ldflags '-s -w' -o "$output/controller-runtime" .) || fail "the peer does not build"
  peer=(-peer "$output/controller-runtime"
    -peer-version "$(awk '$1 == "sigs.k8s.io/controller-runtime" { print $2 }' "$peer_module/go.mod"), $go_version")
else
  echo "bench.sh: no comparison with controller-runtime: $go_version is too old for it" >&2
fi

# One processor for the servers, another for the load.
pin=() pinned=()
if [ "$(nproc)" -gt 1 ]; then pin=(-pin) pinned=(taskset -c 1); fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=bench \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$scratch/tls.key" -out "$scratch/tls.crt" 2>"$scratch/openssl.log"

compiler=${CXX:-g++}
gate_version="$(git -C "$here" describe --always --dirty), $(openssl version | cut -d' ' -f1-2), $compiler $($compiler -dumpfullversion)"
code=0
"${pinned[@]}" "$output/bench" -sources "$here" -scratch "$scratch" -output "$output" "${pin[@]}" \
  -gate "$output/upgrade-gate" -gate-version "$gate_version" -simulator "$simulator" "${peer[@]}" \
  -nginx "$(command -v nginx)" -nginx-version "$(nginx -v 2>&1 | sed 's/.*nginx\///')" || code=$?
if [ "$code" -le 1 ] && [ "${BENCH_PUBLISH:-}" = 1 ]; then
  sed -i "/$marker/q" "$page"
  { echo; cat "$output/result.md"; } >>"$page"
fi
exit "$code"
