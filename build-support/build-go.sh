#!/bin/bash
# Builds the Go program of a module in the tree. What is up to date is not built again: Go's own cache decides.
#   build-go.sh MODULE_FOLDER PROGRAM [PACKAGE]    PACKAGE: of another module, a tool of this one's go.mod
# Where this machine cannot build it, it says why, leaves none there and exits with 0: the tests skip themselves.
set -euo pipefail
support=$(cd "$(dirname "$0")" && pwd)
program=$(realpath -m "${2:?usage: build-go.sh MODULE_FOLDER PROGRAM [PACKAGE]}")
package=${3:-.}
cd "$1"
leave() { echo "no $(basename "$program"): $*" >&2; rm -f "$program"; exit 0; }
go=$("$support/go-toolchain.sh" .) || leave "it needs a newer Go"
export PATH=$go:$PATH GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
# Modules that are neither here nor to be had are no fault of the sources.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
go list -deps "$package" >/dev/null 2>"$log" || leave "$(tail -n 1 "$log")"
go build -trimpath -ldflags "-s -w" -o "$program" "$package"
