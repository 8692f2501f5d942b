#!/bin/bash
# Builds the programs that e2e tests need around a control plane (test/e2e/kubernetes: world, operator) into DIRECTORY.
# What is up to date is not built again: Go's own cache decides.
#   build-world.sh DIRECTORY
# Where this machine cannot build them, it says why, leaves none there and exits with 0: the tests skip themselves.
set -euo pipefail
support=$(cd "$(dirname "$0")" && pwd)
directory=$(mkdir -p "${1:?usage: build-world.sh DIRECTORY}" && cd "$1" && pwd)
cd "$support/../test/e2e/kubernetes"

leave() { echo "no world for e2e tests: $*" >&2; rm -f "$directory/world" "$directory/operator"; exit 0; }
go=$("$support/go-toolchain.sh" .) || leave "they need a newer Go"
export PATH=$go:$PATH GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
# Modules that are neither here nor to be had are no fault of the sources.
go list -deps ./world ./operator >/dev/null 2>"$directory/modules.log" || leave "$(tail -n 1 "$directory/modules.log")"
# The same flags as build-kubernetes.sh, and so the same packages in Go's cache.
go build -trimpath -ldflags "-s -w" -o "$directory/" ./world ./operator
