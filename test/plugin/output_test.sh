#!/bin/bash
# An answer that could not be written is no success: a pipeline would go on with an empty plan or status.
#   output_test.sh UPGRADE_GATE
set -euo pipefail
binary=$(realpath "${1:?usage: output_test.sh UPGRADE_GATE}")
if [[ ! -c /dev/full ]]; then echo "there is no /dev/full here"; exit 77; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\necho "{\\"items\\": []}"\n' >"$work/kubectl"
chmod 755 "$work/kubectl"
cat >"$work/sr.yaml" <<'END'
apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata: {name: sr}
spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}
END

passed=0 failed=0
row() { # NAME WORD...
  local name=$1 code=0 said
  shift
  "$binary" "$@" >/dev/null || code=$?
  ((code == 0)) || { echo "FAILED: $name: exits with $code where it can write"; failed=$((failed + 1)); return; }
  said=$("$binary" "$@" 2>&1 >/dev/full) || code=$?
  if ((code == 2)) && [[ $said == *"standard output cannot be written"* ]]; then
    passed=$((passed + 1))
  else
    printf 'FAILED: %s: exits with %s and says: %s\n' "$name" "$code" "$said"
    failed=$((failed + 1))
  fi
}
row "the version" version
row "the version as a flag" --version
row "the help" --help
row "a plan" plan "$work/sr.yaml" --set-image fe=fe:3.5.8
row "a plan in JSON" plan "$work/sr.yaml" -o json
row "the list of upgrades" status --kubectl "$work/kubectl"
row "the list in JSON" status -o json --kubectl "$work/kubectl"
row "a cluster" status sr --kubectl "$work/kubectl"

echo "$passed passed, $failed failed"
((failed == 0))
