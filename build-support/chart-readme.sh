#!/bin/bash
# Writes manifests/chart/README.md from the comments ("# -- ...") and defaults of values.yaml.
# usage: chart-readme.sh [--check]      --check: writes nothing, and fails when the README is not current
set -euo pipefail
chart=$(realpath "$(dirname "$0")/../manifests/chart")
made=$(mktemp)
trap 'rm -f "$made"' EXIT

{
  cat <<'TEXT'
# upgrade-gate

A gate in front of the StarRocks operator: image changes are admitted once the upgrade is prepared on the FE. See the
project's README for what it does, and `docs/who-may-ask.md` for who may call it.

    helm install upgrade-gate manifests/chart --namespace starrocks-upgrade-gate --create-namespace \
      --set image.registry=REGISTRY

cert-manager must be installed, or `certificates.source` set to something else. `helm test` lets the API server ask the
gate. `helm uninstall` restores all settings first, and leaves the records' CRD unless `crds.keep` is false. Names are
fixed: webhook configurations are cluster-wide, and two gates would hold each other's changes.

## Values

Made by `build-support/chart-readme.sh` from `values.yaml`. `values.schema.json` refuses whatever is not in this list.

| value | default | meaning |
|---|---|---|
TEXT
  awk '
    function path(  i, out) {
      for (i = 0; i <= depth; ++i) out = out (i ? "." : "") names[i]
      return out
    }
    /^ *# -- / { text = $0; sub(/^ *# -- /, "", text); next }
    /^ *# / { if (text != "") { more = $0; sub(/^ *# /, "", more); text = text " " more } next }
    /^ *[A-Za-z][A-Za-z0-9]*:/ {
      match($0, /^ */)
      depth = RLENGTH / 2
      line = substr($0, RLENGTH + 1)
      name = line; sub(/:.*/, "", name)
      value = line; sub(/^[^:]*: */, "", value)
      names[depth] = name
      if (value == "" && text == "") next
      gsub(/\|/, "\\|", text)
      printf "| `%s` | %s | %s |\n", path(), value == "" ? "see values.yaml" : "`" value "`", text
      text = ""
    }' "$chart/values.yaml"
} >"$made"

if [ "${1:-}" = --check ]; then
  diff -u "$chart/README.md" "$made" || { echo "manifests/chart/README.md is not current: run $0" >&2; exit 1; }
else
  cp "$made" "$chart/README.md"
fi
