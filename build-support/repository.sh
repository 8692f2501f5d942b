#!/bin/bash
# Where the project lives: the one line of build-support/repository. Charts, alerts, dashboards, the krew manifest, the issue
# forms and CODEOWNERS must repeat it. The address and the owners' team are assumptions until the project is published.
# usage: repository.sh             prints it
#        repository.sh --check     fails, naming each file that says another one
#        repository.sh --set URL   writes it everywhere: https://github.com/OWNER/NAME
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$(cat build-support/repository)
readonly kPattern='https://github\.com/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+'
[[ $repository =~ ^${kPattern}$ ]] || { echo "repository.sh: invalid value \"$repository\" in build-support/repository: want https://github.com/OWNER/NAME" >&2; exit 1; }
owner_of() { cut -d/ -f4 <<<"$1"; }

# said FILE: each address of the project that FILE has, one a line.
said() {
  case $1 in
    .github/CODEOWNERS) sed -n 's|.* @\([^/]*\)/.*|\1|p' "$1" ;;
    manifests/chart/Chart.yaml) grep -E '^(home|sources): ' "$1" | grep -oE "$kPattern" ;;
    manifests/plugin/krew.yaml) grep -E '^ +(homepage|uri): ' "$1" | grep -oE "$kPattern" ;;
    # What lies in the project: runbooks, releases, the policy.
    *) grep -oE "$kPattern/(blob|tree|security|releases)/" "$1" | grep -oE "$kPattern" ;;
  esac
}
places() {
  cat <<'PLACES'
.github/CODEOWNERS
.github/ISSUE_TEMPLATE/config.yml
build-support/version.sh
manifests/chart/Chart.yaml
manifests/monitoring/alerts.yaml
manifests/monitoring/dashboards/overview.json
manifests/monitoring/dashboards/upgrade.json
manifests/plugin/krew.yaml
test/monitoring/alerts_test.yaml
PLACES
}

case ${1:-} in
  "") echo "$repository" ;;
  --check)
    wrong=0
    for file in $(places); do
      expected=$repository
      [[ $file != .github/CODEOWNERS ]] || expected=$(owner_of "$repository")
      found=$(said "$file" | sort -u || true)
      [[ $found == "$expected" ]] && continue
      echo "$file does not say $expected, which build-support/repository does: ${found:-nothing}" >&2
      wrong=1
    done
    # A new place must be one of those above.
    while read -r file; do
      grep -qFx -- "$file" <(places; echo build-support/repository) && continue
      echo "$file says $repository and is not one of the places that build-support/repository.sh knows" >&2
      wrong=1
    done < <(git ls-files --cached --others --exclude-standard -z | xargs -0 grep -lF -- "$repository" 2>/dev/null |
    xargs -r realpath --relative-to=. | sort -u) # links count as what they lead to
    exit "$wrong" ;;
  --set)
    [[ ${2:-} =~ ^${kPattern}$ ]] || { echo "repository.sh: invalid value \"${2:-}\": want https://github.com/OWNER/NAME" >&2; exit 2; }
    for file in $(places) build-support/repository; do sed -i "s|${repository//./\\.}|$2|g" "$file"; done
    sed -i "s| @$(owner_of "$repository")/| @$(owner_of "$2")/|" .github/CODEOWNERS ;;
  *) echo "usage: repository.sh [--check | --set URL]" >&2; exit 2 ;;
esac
