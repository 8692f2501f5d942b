#!/bin/bash
# Builds helm, once, from its Go module in test/chart/helm (or helm4) into the user's cache, and prints the program's
# path. Exits with 77, and says why on stderr, when this machine cannot build it.
#   build-helm.sh [3|4]    default: 3
set -euo pipefail
major=${1:-3}
case $major in 3) folder=helm ;; 4) folder=helm4 ;; *) echo "invalid value \"$major\": want 3 or 4" >&2; exit 2 ;; esac
support=$(cd "$(dirname "$0")" && pwd)
module=$(cd "$support/../test/chart/$folder" && pwd)
version=$(awk -v path="helm.sh/helm/v$major" '$1 == path { print $2; exit }' "$module/go.mod")
program=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/helm/$version/helm
if [ -x "$program" ]; then echo "$program"; exit 0; fi
go=$("$support/go-toolchain.sh" "$module")
export PATH=$go:$PATH
mkdir -p "$(dirname "$program")"
exec 9>"$(dirname "$program")/.lock"
flock --timeout 1800 9
if [ ! -x "$program" ]; then
  echo "building helm $version into $(dirname "$program") (once; 2 to 5 minutes)" >&2
  cd "$module"
  # A module build does not know its version: helm would call itself v3.22.
  GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X helm.sh/helm/v$major/internal/version.version=$version" \
    -o "$program.new" "helm.sh/helm/v$major/cmd/helm" >&2
  mv -f "$program.new" "$program"
fi
echo "$program"
