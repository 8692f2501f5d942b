#!/bin/bash
# Puts what the plugin showed in the last run of e2e_gitops_test into docs/kubectl-plugin.md.
#   screens.sh MOMENTS       MOMENTS: build/dev/gitops-moments
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
moments=${1:?usage: screens.sh MOMENTS}
document=$root/docs/kubectl-plugin.md
ls "$moments"/*.screen >/dev/null
awk -v screens="$(awk 'FNR == 1 && NR > 1 { print "" } 1' "$moments"/*.screen | sed 's/\\/\\\\/g; s/ *$//')" '
  /^<!-- screens: begin/ { print; print "```text"; print screens; print "```"; skip = 1; next }
  /^<!-- screens: end/ { skip = 0 }
  !skip' "$document" >"$document.new"
mv "$document.new" "$document"
