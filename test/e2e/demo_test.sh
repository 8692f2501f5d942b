#!/bin/bash
# The demo on an API server succeeds, and docs/transcript.md tells its chapters and commands as they are.
#   demo_test.sh BUILD_DIR [--write]      --write: puts the output into docs/transcript.md
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
build=${1:?usage: demo_test.sh BUILD_DIR [--write]}
transcript=$root/docs/transcript.md
[[ -n ${KUBEBUILDER_ASSETS:-} ]] || { echo "SKIPPED: KUBEBUILDER_ASSETS is not set (build-support/build-kubernetes.sh)"; exit 77; }
command -v etcd >/dev/null || { echo "SKIPPED: no etcd on this machine"; exit 77; }

output=$(mktemp)
trap 'rm -f "$output"' EXIT
"$root/test/e2e/demo_cluster.sh" "$build" >"$output" || { tail -n 30 "$output"; exit 1; }
if [[ ${2:-} == --write ]]; then
  # Empty lines within a chapter's output end in no spaces; the machine's own paths do not occur.
  awk -v output="$output" '
    /^<!-- transcript: begin/ { print; print "```text"; first = 1
      while ((getline line < output) > 0) { sub(/ +$/, "", line); if (!first || line != "") print line; first = 0 }
      print "```"; skip = 1; next }
    /^<!-- transcript: end/ { skip = 0 }
    !skip' "$transcript" >"$transcript.new"
  mv "$transcript.new" "$transcript"
fi
told() { grep -E '^(== |   \$ |All steps)' "$1"; }
if ! diff <(told "$transcript") <(told "$output"); then
  echo "docs/transcript.md tells another story than make demo-cluster: test/e2e/demo_test.sh $build --write" >&2
  exit 1
fi
