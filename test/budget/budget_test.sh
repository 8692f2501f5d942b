#!/bin/bash
# Counts the instructions of one answer of each case of fast_path, with valgrind, and compares them with the committed
# budget of this Debian release (its libraries count, too). Time would vary with the machine; instructions hardly do.
# usage: budget_test.sh [--update] FAST_PATH      --update: writes what is measured into the budget
# Exit code: 1 when an answer has become dearer by more than the slack, 77 (skipped) where nothing can be compared.
set -euo pipefail
update=false
if [ "${1:-}" = --update ]; then update=true; shift; fi
program=${1:?usage: budget_test.sh [--update] FAST_PATH}
budget=$(cd "$(dirname "$0")" && pwd)/budget.txt
# For another compiler or C library of the same release, and for other processors.
slack_percent=15

command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed (build-support/install-packages.sh test)"; exit 77; }
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

dearer=()
missing=0
for name in update_1k update_8k update_60k image_change_8k; do
  # This processor's own instructions are valgrind's to choose; the cache simulation is off: only the count matters.
  if ! answers=$(valgrind --tool=callgrind --toggle-collect=gate_counted_answers --callgrind-out-file="$work/out" \
    "$program" "$name" 2>"$work/log"); then
    cat "$work/log"
    exit 1
  fi
  total=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log")
  if [ "${total:-0}" -eq 0 ]; then echo "valgrind counted nothing:"; cat "$work/log"; exit 1; fi
  measured=$((total / answers))
  allowed=$(awk -v r="$release" -v n="$name" '$1 == r && $2 == n { print $3 }' "$budget")
  if $update; then
    awk -v r="$release" -v n="$name" '!($1 == r && $2 == n)' "$budget" >"$work/budget"
    echo "$release $name $measured" >>"$work/budget"
    cat "$work/budget" >"$budget"
    echo "$name: $measured instructions written to $budget"
  elif [ -z "$allowed" ]; then
    echo "$name: $measured instructions, no budget for $release"
    missing=$((missing + 1))
  else
    echo "$name: $measured instructions, budget $allowed ($(((measured - allowed) * 100 / allowed)) %)"
    if [ $((measured * 100)) -gt $((allowed * (100 + slack_percent))) ]; then dearer+=("$name"); fi
  fi
done
if [ ${#dearer[@]} -gt 0 ]; then
  echo "FAILED: dearer than the budget by more than $slack_percent %: ${dearer[*]}"
  echo "Where it goes: valgrind --tool=callgrind --toggle-collect=gate_counted_answers $program ${dearer[0]}; callgrind_annotate"
  echo "If the price is worth it, raise the budget and say why in the commit: test/budget/budget_test.sh --update $program"
  exit 1
fi
if [ "$missing" -gt 0 ]; then
  echo "skipped: $budget knows nothing about Debian $release; add it with --update"
  exit 77
fi
