#!/bin/bash
# Puts what the last run of the e2e tests saw into the docs: the plugin's screens (e2e_gitops_test) into
# docs/kubectl-plugin.md, what each panel's query answered (e2e_operations_test) into docs/dashboards.md.
#   captures.sh BUILD_DIR
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
build=${1:?usage: captures.sh BUILD_DIR}

put() { # DOCUMENT: between its marks, what comes on standard input
  local text
  text=$(sed 's/\\/\\\\/g; s/ *$//')
  [[ -n $text ]] || { echo "captures.sh: nothing for $1" >&2; return 1; }
  awk -v text="$text" '
    /^<!-- capture: begin/ { print; print "```text"; print text; print "```"; skip = 1; next }
    /^<!-- capture: end/ { skip = 0 }
    !skip' "$1" >"$1.new"
  mv "$1.new" "$1"
}
awk 'FNR == 1 && NR > 1 { print "" } 1' "$build"/gitops-moments/*.screen | put "$root/docs/kubectl-plugin.md"
# One line for each panel and query, the columns aligned.
awk -F ' [|] ' '{ where[NR] = $1; answer[NR] = $2; if (length($1) > width) width = length($1) }
  END { for (i = 1; i <= NR; i++) printf "%-" width "s  %s\n", where[i], answer[i] }' "$build/dashboard-answers" |
  put "$root/docs/dashboards.md"
