#!/bin/bash
# Argo CD's Lua and Flux's healthCheckExprs on the objects that e2e_gitops_test wrote down in its run just before: real
# statuses, at moments of which it is known what is right.
#   moments_test.sh MOMENTS argocd LUA | flux FLUX_HEALTH
# Exits with 77, and says why, where there are no moments (no API server here) or the program is missing.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
moments=${1:?usage: moments_test.sh MOMENTS argocd|flux PROGRAM}
skip() { echo "SKIPPED: $*"; exit 77; }
[[ -s $moments/expected ]] || skip "no moments: e2e_gitops_test did not run"
[[ -x $3 ]] || skip "no $3"
cd "$moments"
case $2 in
  argocd)
    expected=$(awk '{ print $1, $2, $4 }' expected)
    mapfile -t files < <(cut -d' ' -f1 expected)
    actual=$("$3" "$root/test/gitops/judge.lua" "$root/manifests/gitops/argocd" "${files[@]}" | tr '\t' ' ')
    ;;
  flux)
    expected=$(awk '$3 != "-" { print $1, $3 }' expected)
    mapfile -t files < <(cut -d' ' -f1 <<<"$expected")
    actual=$("$3" "$root/manifests/gitops/flux/kustomization.yaml" "${files[@]}")
    ;;
  *) echo "invalid value \"$2\": want argocd or flux" >&2; exit 2 ;;
esac
# The whole story was told; a run that ended early is no proof.
for moment in running hook-failed hooks-run rolling-out closed held paused taken-back argocd-rolling argocd-done flux-rolling \
  flux-done; do
  grep -q "^$moment.json " expected || { echo "no moment $moment"; exit 1; }
done
if ! difference=$(diff <(echo "$expected") <(echo "$actual")); then
  printf '%s\nexpected above (<), %s below (>)\n' "$difference" "$2"
  for file in $(sed -n 's/^> \([^ ]*\) .*/\1/p' <<<"$difference"); do echo "$file:"; python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["status"], indent=1))' "$file"; done
  exit 1
fi
echo "$(wc -l <<<"$actual") moments judged right"
