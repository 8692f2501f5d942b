#!/bin/bash
# The gate with the real cert-manager: its webhook judges our Issuers and Certificates, its controller issues and renews the
# gate's certificate, its cainjector writes the CA into our webhook configurations; reviews go on all the time, and not one
# may be refused or lost while the certificate is renewed. Real API server; cert-manager works as the administrator.
#   cert_manager_test.sh BUILD_DIR     exits 77, saying why, where something is missing
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${2:-} != inside ]]; then
  build=$(realpath "${1:?usage: cert_manager_test.sh BUILD_DIR}")
  module=$root/test/interop/cert-manager
  version=$(awk '$1 == "require" && $2 == "github.com/cert-manager/cert-manager" { print $3 }' "$module/go.mod")
  program=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/cert-manager/$version/cert-manager
  mkdir -p "$(dirname "$program")"
  "$root/build-support/build-go.sh" "$module" "$program"
  [[ -x $program ]] || { echo "SKIPPED: no cert-manager $version could be built here"; exit 77; }
  go=$("$root/build-support/go-toolchain.sh" "$module")
  export PATH=$go:$PATH
  crds=$(cd "$module" && GOWORK=off GOTOOLCHAIN=local go list -mod=readonly -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)/deploy/crds
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  CERT_MANAGER=$program CERT_MANAGER_CRDS=$crds \
    "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" "$build" inside || code=$?
  exit "$code"
fi
build=$1
# shellcheck source=test/e2e/demo-lib.sh
source "$root/test/e2e/demo-lib.sh"
k() { "$KUBECTL" "$@"; }
readonly kNamespace=starrocks-upgrade-gate
readonly kReviewsBefore=20 kReviewsAfter=50   # Reviews on each side of the renewal, besides those during it.

others=()
end_others() {
  touch "$demo_dir/enough"
  for pid in "${others[@]}"; do kill "$pid" 2>/dev/null || true; done
  demo_cleanup
}
trap end_others EXIT
die() {
  printf '\nFAILED: %s\n' "$*" >&2
  tail -n 5 "$demo_dir"/*.log >&2
  exit 1
}

title "cert-manager: controller, cainjector, webhook"
k apply --server-side -f "$CERT_MANAGER_CRDS" >/dev/null
k create namespace cert-manager >/dev/null
k create namespace $kNamespace >/dev/null
free_port() {
  local port
  while port=$((RANDOM % 20000 + 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
webhook_port=$(free_port)
for part in controller cainjector "webhook $webhook_port"; do
  read -r name port <<<"$part"
  # shellcheck disable=SC2086 # a port, or nothing
  "$CERT_MANAGER" "$name" "$KUBECONFIG" $port >"$demo_dir/cert-manager-$name.log" 2>&1 &
  others+=($!)
done
configuration() { # KIND PATH RESOURCES
  cat <<END
apiVersion: admissionregistration.k8s.io/v1
kind: $1
metadata:
  name: cert-manager-webhook
  annotations: {cert-manager.io/inject-ca-from-secret: cert-manager/cert-manager-webhook-ca}
webhooks:
  - name: webhook.cert-manager.io
    rules: [{apiGroups: [cert-manager.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: ["$3"]}]
    admissionReviewVersions: [v1]
    failurePolicy: Fail
    sideEffects: None
    clientConfig: {url: "https://localhost:$webhook_port/$2"}
---
END
}
{ configuration ValidatingWebhookConfiguration validate '*/*'; configuration MutatingWebhookConfiguration mutate certificaterequests; } | k apply -f - >/dev/null

title "Our Issuers and Certificates, as shipped, and one that is wrong"
# As shipped, and for the name by which the API server calls a gate outside of the cluster.
certificates() { sed 's/^  dnsNames: \[\(.*\)\]/  dnsNames: [\1, localhost]/' "$root/manifests/base/certificates.yaml"; }
accepted() { certificates | k apply --dry-run=server -f -; }
until_true "cert-manager's webhook takes our objects" accepted
certificates | k apply -f - >/dev/null
# Its webhook really judges: renewal after the end of the certificate makes no sense.
if wrong=$(certificates | sed 's/renewBefore: 720h/renewBefore: 7200h/' | k apply --dry-run=server -f - 2>&1); then die "cert-manager accepted: $wrong"; fi
expect "cert-manager's refusal" "$wrong" renewBefore
k wait certificate/upgrade-gate --namespace=$kNamespace --for=condition=Ready --timeout=120s >/dev/null || die "no certificate"
secret() { k get secret upgrade-gate-tls --namespace=$kNamespace -o jsonpath="{.data.${1/./\\.}}" | base64 -d; }
serial() { openssl x509 -noout -serial; }
# What a kubelet does: the pod's files follow the Secret, each pair at once.
mkdir "$demo_dir/pairs"
mount_secret() {
  local pair=$demo_dir/pairs/$RANDOM$RANDOM
  mkdir "$pair"
  secret tls.crt >"$pair/tls.crt"
  secret tls.key >"$pair/tls.key"
  ln -sfn "$pair" "$demo_dir/new"
  mv -T "$demo_dir/new" "$demo_dir/tls"
}
mount_secret
first=$(serial <"$demo_dir/tls/tls.crt")

title "The gate, its webhook configurations without a CA: cainjector puts it in"
k create -f "$root/test/e2e/starrocks-crds.yaml" >/dev/null
k apply -f "$root/manifests/crd/upgradepreparation.yaml" >/dev/null
k wait --for=condition=Established crd --all --timeout=30s >/dev/null
until_true "the new kinds are served" k get starrocksclusters,upgradepreparations
start_frontend "$build"
start_gate "$build" --kubeconfig "$KUBECONFIG" --tls-cert-file "$demo_dir/tls/tls.crt" --tls-key-file "$demo_dir/tls/tls.key"
"$root/test/e2e/webhooks-by-url.sh" "https://localhost:$gate_port" /dev/null | sed '/^ *caBundle:/d' | k apply -f - >/dev/null
bundles() { k get validatingwebhookconfiguration,mutatingwebhookconfiguration upgrade-gate -o jsonpath='{range .items[*].webhooks[*]}{.clientConfig.caBundle}{"\n"}{end}' | sort -u; }
ca=$(k get secret upgrade-gate-tls --namespace=$kNamespace -o jsonpath='{.data.ca\.crt}')
injected() { [[ $(bundles) == "$ca" ]]; }
until_true "every webhook of ours has the CA" injected

title "Reviews without a pause"
k apply -f - >/dev/null <<'END'
apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata: {name: sr, annotations: {starrocks.com/prepare-upgrade: "true", starrocks.com/upgrade-hooks: disable-balancer}}
spec: {starRocksBeSpec: {image: "starrocks/be-ubuntu:3.5.7", replicas: 3}}
END
review() { k patch starrockscluster sr --type=merge --dry-run=server -p '{"spec":{"starRocksBeSpec":{"image":"starrocks/be-ubuntu:3.5.8"}}}' 2>&1; }
judged() { [[ $(review) == *"dry run only"* ]]; }
until_true "the webhooks are in use" judged
# By way of the API server, and by connections of their own, of which each makes a handshake.
reviews() {
  local answer
  while [[ ! -e $demo_dir/enough ]]; do
    if answer=$(review) && [[ $answer == *"dry run only"* ]]; then echo ok; else echo "refused: $answer"; fi
  done
}
handshakes() {
  base64 -d <<<"$ca" >"$demo_dir/ca.pem"
  while [[ ! -e $demo_dir/enough ]]; do
    curl -sS --max-time 10 --cacert "$demo_dir/ca.pem" -o /dev/null -w 'ok\n' "https://localhost:$gate_port/" 2>&1 || true
  done
}
reviews >"$demo_dir/reviews" & others+=($!)
handshakes >"$demo_dir/handshakes" & others+=($!)
reviewed() { (($(wc -l <"$demo_dir/reviews") >= $1 && $(wc -l <"$demo_dir/handshakes") >= $1)); }
until_true "reviews before" reviewed $kReviewsBefore

title "cert-manager renews the certificate"
# What cmctl renew does.
k get certificate upgrade-gate --namespace=$kNamespace -o json |
  jq '.status.conditions += [{type: "Issuing", status: "True", reason: "ManuallyTriggered", message: "renewed by the test",
       lastTransitionTime: (now | todate), observedGeneration: .metadata.generation}]' |
  k replace --subresource=status -f - >/dev/null
renewed() { [[ $(secret tls.crt | serial) != "$first" ]]; }
until_true "a new certificate is in the Secret" renewed
mount_secret
served() { openssl s_client -connect "localhost:$gate_port" -servername localhost </dev/null 2>/dev/null | serial; }
second=$(serial <"$demo_dir/tls/tls.crt")
swapped() { [[ $(served) == "$second" ]]; }
until_true "the gate serves it" swapped
until_true "reviews after" reviewed $(($(wc -l <"$demo_dir/reviews") + kReviewsAfter))
touch "$demo_dir/enough"
injected || die "the CA in the webhook configurations is not the Secret's"
show "certificate ${first#serial=} became ${second#serial=}; $(wc -l <"$demo_dir/reviews") reviews, $(wc -l <"$demo_dir/handshakes") handshakes"
if grep -v '^ok$' "$demo_dir/reviews" "$demo_dir/handshakes"; then die "a review was refused or lost over the renewal"; fi

printf '\nAll steps succeeded.\n'
