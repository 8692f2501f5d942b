#!/bin/bash
# Builds helm, once, from its Go module in test/chart/helm (or helm4) into the user's cache, and prints the program's
# path. Exits with 77, and says why on stderr, when this machine cannot build it.
#   build-helm.sh [3|4]    default: 3
set -euo pipefail
major=${1:-3}
case $major in 3) folder=helm ;; 4) folder=helm4 ;; *) echo "invalid value \"$major\": want 3 or 4" >&2; exit 2 ;; esac
module=$(cd "$(dirname "$0")/../test/chart/$folder" && pwd)
version=$(awk -v path="helm.sh/helm/v$major" '$1 == path { print $2; exit }' "$module/go.mod")
needed=$(awk '$1 == "go" { print $2; exit }' "$module/go.mod")
program=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/helm/$version/helm
if [ -x "$program" ]; then echo "$program"; exit 0; fi
have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//') || true
if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$needed" "$have" | sort -V | head -n 1)" != "$needed" ]; then
  echo "no Go $needed or newer to build helm $version" >&2
  exit 77
fi
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
