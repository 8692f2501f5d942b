#!/bin/bash
# Our webhook configurations, as shipped, for a gate that runs outside the cluster: clientConfig.url instead of a Service.
#   webhooks-by-url.sh https://127.0.0.1:9443 CA_FILE [KUSTOMIZATION] | kubectl apply -f -
# KUSTOMIZATION defaults to manifests/base.
set -euo pipefail
url=${1:?usage: webhooks-by-url.sh URL CA_FILE [KUSTOMIZATION]}
ca=$(base64 -w0 "${2:?usage: webhooks-by-url.sh URL CA_FILE [KUSTOMIZATION]}")
kustomization=${3:-$(dirname "$0")/../../manifests/base}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${KUBECTL:-kubectl}" kustomize "$kustomization" -o "$work"
# kustomize writes maps sorted and indented by two, so "service:" with its path is always this block.
cat_documents() { for file in "$work"/admissionregistration.k8s.io_*; do echo "---"; cat "$file"; done; }
cat_documents | awk -v url="${url%/}" -v ca="$ca" '
  /^    service:$/ { service = 1; next }
  service && /^      / { if ($1 == "path:") path = $2; next }
  service { print "    caBundle: " ca; print "    url: " url path; service = 0 }
  /^    caBundle:/ { next }
  { print }' >"$work/rendered"
if grep -q "^    service:" "$work/rendered" || ! grep -q "^    url: " "$work/rendered"; then
  echo "kustomize's output has changed; $0 must learn it" >&2
  exit 1
fi
cat "$work/rendered"
