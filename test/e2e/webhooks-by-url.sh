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
# The manifests name no paths: the gate writes them (--callers=secret-path). One that acts on whoever calls does not, so
# they are those that the webhooks' names stand for.
# kustomize writes maps sorted and indented by two, so "service:" is always this block, and a webhook's name follows it.
cat_documents() { for file in "$work"/admissionregistration.k8s.io_*; do echo "---"; cat "$file"; done; }
cat_documents | awk -v url="${url%/}" -v ca="$ca" '
  BEGIN {
    path["clusters"] = path["warehouses"] = "/validate"
    path["configuration"] = path["configmaps"] = "/validate-configuration"
    path["status"] = "/mutate"
    path["statefulsets"] = "/mutate-statefulsets"
  }
  /^- admissionReviewVersions:/ || /^---$/ { flush() }
  /^  name: [a-z-]+[.]gate[.]starrocks[.]com$/ { split($2, words, "."); webhook = words[1] }
  { lines[++count] = $0 }
  END { flush() }
  function flush(  i, service) {
    for (i = 1; i <= count; ++i) {
      if (lines[i] ~ /^    service:$/) { service = 1; continue }
      if (service && lines[i] ~ /^      /) continue
      if (service) { print "    caBundle: " ca; print "    url: " url path[webhook]; service = 0 }
      if (lines[i] !~ /^    caBundle:/) print lines[i]
    }
    count = 0; webhook = ""
  }' >"$work/rendered"
if grep -q "^    service:" "$work/rendered" || ! grep -q "^    url: " "$work/rendered"; then
  echo "kustomize's output has changed; $0 must learn it" >&2
  exit 1
fi
cat "$work/rendered"
