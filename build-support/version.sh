#!/bin/bash
# The project's version: it stands in CMakeLists.txt, and what cannot read that repeats it.
# usage: version.sh                prints it
#        version.sh --check        fails, naming each file that says another one
#        version.sh --set X.Y.Z    writes it everywhere
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^project(upgrade-gate VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "version.sh: CMakeLists.txt has no project(upgrade-gate VERSION X.Y.Z" >&2; exit 1; }

# file|what stands before the version, to its end|what stands behind it; each exactly once in the file
repeated() {
  cat <<'PLACES'
CMakeLists.txt|^project(upgrade-gate VERSION | 
Dockerfile|^ARG VERSION=|$
manifests/base/kustomization.yaml|^    newTag: |$
manifests/chart/Chart.yaml|^version: |$
manifests/chart/Chart.yaml|^appVersion: |$
manifests/plugin/krew.yaml|^  version: v|$
manifests/plugin/krew.yaml|^      uri: https://github.com/upgrade-gate/upgrade-gate/releases/download/v|/kubectl-upgrade_gate-linux-amd64.tar.gz$
PLACES
}

case ${1:-} in
  "") echo "$version" ;;
  --check)
    wrong=0
    while IFS='|' read -r file before after; do
      [[ $(grep -c -- "$before${version//./\\.}$after" "$file") == 1 ]] && continue
      echo "$file does not say $version, which CMakeLists.txt does: $(grep -e "$before" "$file" || echo "no line like ${before#^}...")" >&2
      wrong=1
    done < <(repeated)
    exit "$wrong" ;;
  --set)
    [[ ${2:-} =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "version.sh: invalid version \"${2:-}\": want X.Y.Z" >&2; exit 2; }
    while IFS='|' read -r file before after; do
      sed -i "s|\(${before}\)[0-9][0-9.]*[0-9]\(${after}\)|\1$2\2|" "$file"
    done < <(repeated) ;;
  *) echo "usage: version.sh [--check | --set X.Y.Z]" >&2; exit 2 ;;
esac
