#!/bin/bash
# Proves manifests/ on a real API server: everything is accepted, the webhooks' match conditions compile and call the
# gate for what they should and nothing else, and the service account may do what it needs and no more.
#   manifests_test.sh          (exits 77, saying why, where no API server can be started)
# No gate runs: the webhooks point to a port where nobody listens. A call then shows as a refusal where failurePolicy
# is Fail, and in the API server's fail-open counter where it is Ignore.
# STARROCKS_CRDS=FOLDER uses the StarRocks operator's real CRDs instead of the stand-ins.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${1:-} != inside ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" inside "$work" || code=$?
  exit "$code"
fi
work=$2
readonly kNamespace=starrocks-upgrade-gate
readonly kServiceAccount=system:serviceaccount:$kNamespace:upgrade-gate
readonly kNobody=https://127.0.0.1:1     # Port 1 is refused at once on any machine that is not odd.
readonly kActiveSeconds=30               # The API server picks up new webhook configurations within about a second.

k() { "$KUBECTL" "$@"; }
passed=0 failed=0
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); printf 'FAILED: %s\n%s\n' "$1" "${2:-}" >&2; }
# check NAME COMMAND...: COMMAND succeeds, and prints no warning.
check() {
  local name=$1 output; shift
  if output=$("$@" 2>&1) && [[ $output != *Warning:* ]]; then pass; else fail "$name" "$output"; fi
}
# called WEBHOOK NAME COMMAND...: the API server tried to call WEBHOOK (failurePolicy Fail).
called() {
  local webhook=$1 name=$2 output; shift 2
  if output=$("$@" 2>&1); then fail "$name: calls $webhook" "$output"
  elif [[ $output == *"failed calling webhook \"$webhook\""* ]]; then pass
  else fail "$name: calls $webhook" "$output"; fi
}
fail_open_count() {
  k get --raw /metrics | awk -v name="name=\"$1\"" '/^apiserver_admission_webhook_fail_open_count/ && index($0, name) { n += $NF } END { print n + 0 }'
}
# opened WEBHOOK COUNT NAME COMMAND...: COMMAND succeeds and WEBHOOK (failurePolicy Ignore) was called COUNT times.
opened() {
  local webhook=$1 expected=$2 name=$3 before output; shift 3
  before=$(fail_open_count "$webhook")
  if ! output=$("$@" 2>&1); then fail "$name" "$output"; return; fi
  local actual=$(($(fail_open_count "$webhook") - before))
  if ((actual == expected)); then pass; else fail "$name: calls $webhook $expected times, not $actual" "$output"; fi
}
# wait_until COMMAND...: for what the API server does in its own time.
wait_until() {
  local until=$((SECONDS + kActiveSeconds))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || { echo "gave up waiting for: $*" >&2; exit 1; }
    sleep 0.2
  done
}

# --- The kinds ---------------------------------------------------------------------------------------------------------
crds=$root/test/e2e/starrocks-crds.yaml
[[ -n ${STARROCKS_CRDS:-} ]] && crds=$STARROCKS_CRDS
k create -f "$crds" >/dev/null
k apply -f "$root/test/e2e/cert-manager-stand-in.yaml" >/dev/null
for kind in starrocksclusters starrockswarehouses; do
  for patch in "$root/manifests/crd-extension/$kind"*; do
    check "CRD extension of $kind applies" k patch crd "$kind.starrocks.com" --type=json --patch-file "$patch"
  done
done
k wait --for=condition=Established crd --all --timeout=30s >/dev/null
wait_until k get starrocksclusters,starrockswarehouses,issuers,certificates

# --- Everything is accepted --------------------------------------------------------------------------------------------
# A dry run stores no namespace for the rest to be in: it comes first, for real.
k apply -f "$root/manifests/base/namespace.yaml" >/dev/null
check "base passes a dry run" k apply --dry-run=server -k "$root/manifests/base"
check "default-hooks passes a dry run" k apply --dry-run=server -k "$root/manifests/overlays/default-hooks"
check "script-hooks passes a dry run" k apply --dry-run=server -k "$root/manifests/overlays/script-hooks"

cp -r "$root/manifests" "$work/manifests"
overlay=$work/manifests/overlays/without-cert-manager
certificates=$work/manifests/components/without-cert-manager/certificates
rm -rf "$certificates"
"$root/certs/make-certificates.sh" "$certificates"
check "without-cert-manager passes a dry run" k apply --dry-run=server -k "$overlay"
check "its certificate is valid for the Service's name" openssl verify -CAfile "$certificates/ca.crt" \
  -purpose sslserver -verify_hostname "upgrade-gate.$kNamespace.svc" "$certificates/tls.crt"
bundles=$(k apply --dry-run=server -k "$overlay" -o jsonpath='{range .items[*]}{range .webhooks[*]}{.clientConfig.caBundle}{"\n"}{end}{end}' | grep . | sort | uniq -c | awk '{ print $1 " " $2 }')
if [[ $bundles == "5 $(base64 -w0 "$certificates/ca.crt")" ]]; then pass; else fail "every webhook of it has the CA" "$bundles"; fi
if k kustomize "$overlay" | grep -q cert-manager; then fail "it needs nothing of cert-manager"; else pass; fi
# --- Components together, another namespace and prefix -----------------------------------------------------------------
mine() {  # FOLDER LINE...: a kustomization beside the manifests
  mkdir -p "$work/$1"
  { printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n'; printf '%s\n' "${@:2}"; } >"$work/$1/kustomization.yaml"
}
at=../manifests/components
mine all 'resources: [../manifests/base]' "components: [$at/without-cert-manager, $at/default-hooks, $at/script-hooks, $at/tracing]"
check "all components together pass a dry run" k apply --dry-run=server -k "$work/all"
together=$(k kustomize "$work/all")
for part in --default-hooks=recommended --script-hook-image= caBundle OTEL_EXPORTER_OTLP_ENDPOINT; do
  if grep -q -- "$part" <<<"$together"; then pass; else fail "all components together have $part"; fi
done
mine moved 'resources: [../manifests/base]' 'namespace: platform' 'namePrefix: sr-'
mine named 'resources: [../moved]' "components: [$at/certificate-names]"
moved=$(k kustomize "$work/named")
for part in '  - sr-upgrade-gate.platform.svc' 'inject-ca-from: platform/sr-upgrade-gate' '    name: sr-upgrade-gate-ca' \
  '    name: sr-upgrade-gate-self-signed' '        - --caller-secret=sr-upgrade-gate-caller' \
  '        - --webhook-configurations=sr-upgrade-gate'; do
  if grep -qF -- "$part" <<<"$moved"; then pass; else fail "in another namespace there is $part"; fi
done
if grep -n "upgrade-gate\.starrocks-upgrade-gate\|starrocks-upgrade-gate/upgrade-gate" <<<"$moved"; then fail "the old name is left"; else pass; fi
# --- The one file of a release -------------------------------------------------------------------------------------------
"$root/build-support/install-yaml.sh" >"$work/install.yaml"
# Readers of YAML 1.1 (PyYAML, Ansible) take a lone "=", yes, 1_000 and others for something else than Kubernetes does.
read_by_python() { python3 -c 'import json, sys, yaml
for document in yaml.safe_load_all(open(sys.argv[1])):
    print(json.dumps(document, sort_keys=True))' "$1"; }
read_by_kubectl() { k create --dry-run=client -o json -f "$1" | python3 -c 'import json, sys
text, at = sys.stdin.read().strip(), 0
while at < len(text):
    document, at = json.JSONDecoder().raw_decode(text, at)
    print(json.dumps(document, sort_keys=True))
    at += len(text[at:]) - len(text[at:].lstrip())'; }
alike() {
  read_by_python "$1" >"$work/python.json" && read_by_kubectl "$1" >"$work/kubectl.json" && [[ -s $work/kubectl.json ]] &&
    diff "$work/python.json" "$work/kubectl.json"
}
if python3 -c 'import yaml' 2>/dev/null; then
  check "readers of YAML 1.1 read install.yaml as kubectl does" alike "$work/install.yaml"
  for overlay in default-hooks script-hooks; do
    k kustomize "$root/manifests/overlays/$overlay" >"$work/$overlay.yaml"
    check "and overlays/$overlay" alike "$work/$overlay.yaml"
  done
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: "1"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n' >"$work/odd.yaml"
  if alike "$work/odd.yaml" >/dev/null 2>&1; then fail "a difference would be found"; else pass; fi
else
  echo "without a look at YAML 1.1: no python3-yaml (make install-packages)"
fi

if k kustomize "$root/manifests/overlays/default-hooks" | grep -q -- --default-hooks=recommended; then pass; else fail "default-hooks says so to the gate"; fi

check "base applies" k apply -k "$root/manifests/base"
# The namespace's first manager was kubectl's client side; an administrator who changes over takes its fields.
check "install.yaml applies server-side" k apply --server-side --force-conflicts -f "$work/install.yaml"
check "and changes nothing" k diff --server-side --force-conflicts -f "$work/install.yaml"
check "and again, without conflicts" k apply --server-side -f "$work/install.yaml"
pod() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"try","namespace":"%s"},"spec":%s}' $kNamespace "$(k -n $kNamespace get deployment upgrade-gate -o jsonpath='{.spec.template.spec}')"; }
check "its pods pass the restricted Pod Security Standard" k create --dry-run=server -f <(pod)
service_name="upgrade-gate.$kNamespace.svc"
names=$(k get validatingwebhookconfiguration,mutatingwebhookconfiguration upgrade-gate -o jsonpath='{range .items[*]}{range .webhooks[*]}{.clientConfig.service.name}.{.clientConfig.service.namespace}.svc{"\n"}{end}{end}' | sort -u)
certificate_names=$(k -n $kNamespace get certificate upgrade-gate -o jsonpath='{.spec.dnsNames[*]}')
if [[ $names == "$service_name" && $certificate_names == "$service_name" ]]; then pass; else fail "webhooks and certificate agree on the name" "$names / $certificate_names"; fi

# --- What the service account may do -----------------------------------------------------------------------------------
may() {
  local expected=$1 answer; shift
  answer=$(k auth can-i "$@" --as=$kServiceAccount -n somewhere 2>/dev/null) || true
  if [[ $answer == "$expected" ]]; then pass; else fail "service account, $*: $expected, not $answer"; fi
}
while read -r expected arguments; do
  # shellcheck disable=SC2086
  may "$expected" $arguments
done <<'END'
yes get starrocksclusters.starrocks.com
yes list starrocksclusters.starrocks.com
yes watch starrocksclusters.starrocks.com
yes watch starrockswarehouses.starrocks.com
yes patch starrocksclusters.starrocks.com --subresource=status
no patch starrocksclusters.starrocks.com
no update starrocksclusters.starrocks.com
no delete starrocksclusters.starrocks.com
yes patch starrockswarehouses.starrocks.com --subresource=status
no patch starrockswarehouses.starrocks.com
yes create upgradepreparations.gate.starrocks.com
yes watch upgradepreparations.gate.starrocks.com
yes delete upgradepreparations.gate.starrocks.com
no update upgradepreparations.gate.starrocks.com
yes update upgradepreparations.gate.starrocks.com --subresource=status
no patch upgradepreparations.gate.starrocks.com --subresource=status
yes get services
no list services
yes list endpointslices.discovery.k8s.io
no get endpointslices.discovery.k8s.io
yes get statefulsets.apps
no patch statefulsets.apps
yes get secrets
no list secrets
no watch secrets
no create secrets
yes create subjectaccessreviews.authorization.k8s.io
no bypass upgradepreparations.gate.starrocks.com
no delete validatingwebhookconfigurations.admissionregistration.k8s.io/upgrade-gate
yes get events
yes create events
yes patch events
no list events
no get pods
no create pods
yes get configmaps
no list configmaps
no update configmaps
no update leases.coordination.k8s.io
no patch validatingwebhookconfigurations.admissionregistration.k8s.io
yes update validatingwebhookconfigurations.admissionregistration.k8s.io/upgrade-gate
yes update mutatingwebhookconfigurations.admissionregistration.k8s.io/upgrade-gate
no update validatingwebhookconfigurations.admissionregistration.k8s.io/another
no update mutatingwebhookconfigurations.admissionregistration.k8s.io
no list validatingwebhookconfigurations.admissionregistration.k8s.io
yes get customresourcedefinitions.apiextensions.k8s.io/starrocksclusters.starrocks.com
yes get customresourcedefinitions.apiextensions.k8s.io/upgradepreparations.gate.starrocks.com
no get customresourcedefinitions.apiextensions.k8s.io/issuers.cert-manager.io
no list customresourcedefinitions.apiextensions.k8s.io
no patch customresourcedefinitions.apiextensions.k8s.io/upgradepreparations.gate.starrocks.com
no update secrets/upgrade-gate-caller
END

# Only the overlay for script hooks gives what these need.
while read -r arguments; do
  # shellcheck disable=SC2086
  may no $arguments
done <<'END'
create jobs.batch
get jobs.batch
list pods
get pods --subresource=log
END
check "script-hooks' role applies" k apply -f "$root/manifests/components/script-hooks/rbac.yaml"
while read -r expected arguments; do
  # shellcheck disable=SC2086
  may "$expected" $arguments
done <<'END'
yes create jobs.batch
yes get jobs.batch
yes delete jobs.batch
no list jobs.batch
no patch jobs.batch
no deletecollection jobs.batch
yes list pods
no get pods
no create pods
no delete pods
yes get pods --subresource=log
no create pods --subresource=exec
no create pods --subresource=attach
no create serviceaccounts --subresource=token
END
k delete -f "$root/manifests/components/script-hooks/rbac.yaml" >/dev/null
if k kustomize "$root/manifests/overlays/script-hooks" | grep -q -- --script-hook-image=; then pass; else fail "script-hooks says so to the gate"; fi
k create namespace somewhere-else >/dev/null
k -n somewhere-else create rolebinding exit --clusterrole=upgrade-gate-bypass --user=erin >/dev/null
wait_until k auth can-i bypass upgradepreparations.gate.starrocks.com --as=erin -n somewhere-else
if k auth can-i bypass upgradepreparations.gate.starrocks.com --as=erin -n somewhere >/dev/null 2>&1; then
  fail "the right to bypass is that of one namespace"
else pass; fi
if k auth can-i update upgradepreparations.gate.starrocks.com --as=erin -n somewhere-else >/dev/null 2>&1; then
  fail "the right to bypass is no right to write records"
else pass; fi

# --- Which updates call the gate ---------------------------------------------------------------------------------------
# cluster NAME [METADATA]: with FE and BE.
cluster() {
  printf '{"apiVersion":"starrocks.com/v1","kind":"StarRocksCluster","metadata":{"name":"%s","namespace":"default"%s},"spec":{"starRocksFeSpec":{"image":"fe:1","replicas":1},"starRocksBeSpec":{"image":"be:1","replicas":1}%s}}\n' "$1" "${2:+,$2}" "${3:+,$3}"
}
warehouse() {
  printf '{"apiVersion":"starrocks.com/v1","kind":"StarRocksWarehouse","metadata":{"name":"%s","namespace":"default"%s},"spec":{"starRocksCluster":"asks","template":{"image":"cn:1","replicas":1}}}\n' "$1" "${2:+,$2}"
}
asks='"annotations":{"starrocks.com/prepare-upgrade":"true"}'
{
  cluster plain
  cluster asks "$asks"
  cluster declines '"annotations":{"starrocks.com/prepare-upgrade":"false"}'
  cluster names-hooks '"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer"}'
  cluster names-configmap '"annotations":{"starrocks.com/upgrade-hooks-configmap":"hooks"}'
  cluster has-preparation "" '"upgradePreparation":{"enabled":true,"hooks":[{"name":"disable-balancer"}]}'
  cluster has-preparation-off "" '"upgradePreparation":{"enabled":false,"hooks":[{"name":"disable-balancer"}]}'
  cluster has-component-hooks | sed 's/"image":"be:1"/&,"upgradeHooks":{"predefined":["disable-balancer"]}/'
  cluster leaving "$asks"',"finalizers":["test.starrocks.com/hold"]'
  cluster mirrored "$asks"
  warehouse plain
  warehouse asks "$asks"
  warehouse mirrored "$asks"
} | k apply -f - >/dev/null
for kind in starrocksclusters starrockswarehouses; do
  k patch "$kind" mirrored --subresource=status --type=merge \
    -p '{"status":{"phase":"running","upgradePreparationStatus":{"phase":"Completed"}}}' >/dev/null
done

install_webhooks() {
  "$root/test/e2e/webhooks-by-url.sh" $kNobody "$work/control-plane/ca.crt" "$1" | k apply -f - >/dev/null
}
src() { local name=$1 patch=$2; shift 2; k patch starrocksclusters "$name" --type=merge -p "$patch" "$@"; }
wh() { k patch starrockswarehouses "$1" --type=merge -p "$2"; }
refused() { ! "$@"; }
be='{"spec":{"starRocksBeSpec":{"image":"be:2"}}}'
remove_annotation='{"metadata":{"annotations":{"starrocks.com/prepare-upgrade":null}},"spec":{"starRocksBeSpec":{"image":"be:2"}}}'

install_webhooks "$root/manifests/base"
wait_until refused src asks "$be" --dry-run=server
gate=clusters.gate.starrocks.com

called $gate "BE image" src asks "$be"
called $gate "FE image" src asks '{"spec":{"starRocksFeSpec":{"image":"fe:2"}}}'
called $gate "dry run of an image" src asks "$be" --dry-run=server
called $gate "image and replicas" src asks '{"spec":{"starRocksBeSpec":{"image":"be:2","replicas":3}}}'
called $gate "image, server-side apply" k apply --server-side --force-conflicts -f <(cluster asks "$asks" | sed s/be:1/be:2/)
called $gate "image, with the hooks annotation" src names-hooks "$be"
called $gate "image, with the ConfigMap annotation" src names-configmap "$be"
called $gate "image, annotation taken away in the same request" src asks "$remove_annotation"
called $gate "image, annotation added in the same request" k patch starrocksclusters plain --type=merge -p "{\"metadata\":{$asks},\"spec\":{\"starRocksBeSpec\":{\"image\":\"be:2\"}}}"
called $gate "image, with spec.upgradePreparation" src has-preparation "$be"
called $gate "image, with upgradeHooks of a component" src has-component-hooks "$be"
called $gate "image, upgradeHooks taken away in the same request" src has-component-hooks '{"spec":{"starRocksBeSpec":{"image":"be:2","upgradeHooks":null}}}'

check "image of a cluster that does not ask" src plain "$be"
check "image of a cluster that says no" src declines "$be"
check "image of a cluster with upgradePreparation.enabled false" src has-preparation-off "$be"
check "create with images" k create -f <(cluster new "$asks")
check "label" k label starrocksclusters asks team=data
check "annotation" k annotate starrocksclusters asks note=text
check "hooks annotation on the way" k annotate starrocksclusters asks starrocks.com/upgrade-hooks=disable-balancer
check "replicas" src asks '{"spec":{"starRocksBeSpec":{"replicas":3}}}'
check "resources and environment" src asks '{"spec":{"starRocksBeSpec":{"limits":{"memory":"8Gi"},"beEnvVars":[{"name":"A","value":"b"}]}}}'
check "sidecar and init container image" src asks '{"spec":{"starRocksBeSpec":{"sidecars":[{"name":"s","image":"s:1"}],"initContainers":[{"name":"i","image":"i:1"}]}}}'
check "sidecar and init container image changed" src asks '{"spec":{"starRocksBeSpec":{"sidecars":[{"name":"s","image":"s:2"}],"initContainers":[{"name":"i","image":"i:2"}]}}}'
check "proxy image" src asks '{"spec":{"starRocksFeProxySpec":{"image":"nginx:1"}}}'
check "proxy image changed" src asks '{"spec":{"starRocksFeProxySpec":{"image":"nginx:2"}}}'
check "component appears" src asks '{"spec":{"starRocksCnSpec":{"image":"cn:1","replicas":1}}}'
called $gate "CN image" src asks '{"spec":{"starRocksCnSpec":{"image":"cn:2"}}}'
check "scale" k scale starrocksclusters asks --replicas=2
check "component disappears" src asks '{"spec":{"starRocksCnSpec":null}}'
check "image goes away" src asks '{"spec":{"starRocksBeSpec":{"image":""}}}'
check "image comes back" src asks '{"spec":{"starRocksBeSpec":{"image":"be:2"}}}'
check "status" src asks '{"status":{"phase":"running"}}' --subresource=status
check "nothing" k apply -f <(cluster names-hooks '"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer"}')
check "delete, held by a finalizer" k delete starrocksclusters leaving --wait=false
check "image of one being deleted" src leaving "$be"
check "finalizer taken away" src leaving '{"metadata":{"finalizers":null}}'
check "delete" k delete starrocksclusters new

called warehouses.gate.starrocks.com "warehouse image" wh asks '{"spec":{"template":{"image":"cn:2"}}}'
check "warehouse image that does not ask" wh plain '{"spec":{"template":{"image":"cn:2"}}}'
check "warehouse replicas" wh asks '{"spec":{"template":{"replicas":2}}}'
check "warehouse label" k label starrockswarehouses asks team=data

configuration=configuration.gate.starrocks.com
opened $configuration 1 "hooks annotation written" k annotate starrocksclusters plain starrocks.com/upgrade-hooks=x
opened $configuration 0 "label, configuration as it was" k label starrocksclusters plain team=data
opened $configuration 1 "misspelt annotation written" k annotate starrocksclusters plain starrocks.com/Prepare_upgrade=true
opened $configuration 1 "annotation without its prefix written" k annotate starrocksclusters plain upgrade-hooks=x
opened $configuration 0 "misspelt annotations taken away" k annotate starrocksclusters plain starrocks.com/Prepare_upgrade- upgrade-hooks-
opened $configuration 1 "time-out annotation written" k annotate starrocksclusters plain starrocks.com/upgrade-timeout-seconds=9999
opened $configuration 0 "configuration taken away" k annotate starrocksclusters plain starrocks.com/upgrade-hooks- starrocks.com/upgrade-timeout-seconds-
opened $configuration 1 "spec.upgradePreparation written" src plain '{"spec":{"upgradePreparation":{"enabled":true,"hooks":[{"name":"disable-balancer"}]}}}'
opened $configuration 1 "upgradeHooks written" src plain '{"spec":{"starRocksFeSpec":{"upgradeHooks":{"predefined":["disable-balancer"]}}}}'
opened $configuration 1 "create with configuration" k create -f <(cluster created-asking "$asks")
opened $configuration 0 "create without" k create -f <(cluster created-plain)
opened $configuration 1 "mode annotation written" k annotate starrocksclusters plain starrocks.com/upgrade-hooks-mode=verify
opened $configuration 1 "warehouse's hooks annotation written" k annotate starrockswarehouses plain starrocks.com/upgrade-hooks=x
opened $configuration 0 "warehouse labelled" k label starrockswarehouses plain team=data

configmaps=configmaps.gate.starrocks.com
hooks_label=starrocks.com/upgrade-hooks
opened $configmaps 0 "ConfigMap that says nothing" k create configmap plain --from-literal=a.sql='SHOW FRONTENDS'
opened $configmaps 1 "ConfigMap labelled as hooks" k label configmap plain $hooks_label=true
opened $configmaps 1 "hooks changed" k patch configmap plain --type=merge -p '{"data":{"a.sql":"SHOW BACKENDS"}}'
opened $configmaps 0 "hooks as they were" k annotate configmap plain note=text
opened $configmaps 0 "label taken away" k label configmap plain $hooks_label-
opened $configmaps 0 "hooks changed without the label" k patch configmap plain --type=merge -p '{"data":{"a.sql":"x"}}'
opened $configmaps 0 "label of another value" k label configmap plain $hooks_label=false
opened $configmaps 1 "ConfigMap created as hooks" k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"created\",\"namespace\":\"default\",\"labels\":{\"$hooks_label\":\"true\"}},\"data\":{\"a.sql\":\"SHOW FRONTENDS\"}}"
opened $configmaps 0 "ConfigMap deleted" k delete configmap created

status=status.gate.starrocks.com
mirror='"upgradePreparationStatus":{"phase":"Failed"}'
replace_status() {
  local name=$1 fields=$2 kind=${3:-StarRocksCluster}
  printf '{"apiVersion":"starrocks.com/v1","kind":"%s","metadata":{"name":"%s","namespace":"default","resourceVersion":"%s"},"status":{%s}}' \
    "$kind" "$name" "$(k get "$kind" "$name" -o jsonpath='{.metadata.resourceVersion}')" "$fields" >"$work/status.json"
  k replace --subresource=status -f "$work/status.json"
}
opened $status 0 "status written with the mirror" replace_status mirrored "\"phase\":\"running\",$mirror"
opened $status 1 "status written without the mirror" replace_status mirrored '"phase":"failed"'
opened $status 0 "status that had none" replace_status mirrored '"phase":"running"'
opened $status 0 "a warehouse's status with the mirror" replace_status mirrored "\"phase\":\"running\",$mirror" StarRocksWarehouse
opened $status 1 "a warehouse's status without the mirror" replace_status mirrored '"phase":"failed"' StarRocksWarehouse
# The conditions and the generation by which GitOps tools wait, beside conditions of others.
ready='{"type":"Ready","status":"True"}'
others='{"type":"BackedUp","status":"True"}'
opened $status 0 "status gets conditions" replace_status mirrored "\"phase\":\"running\",\"observedGeneration\":1,\"conditions\":[$ready,$others]"
opened $status 0 "a condition changes" replace_status mirrored "\"phase\":\"running\",\"observedGeneration\":2,\"conditions\":[${ready/True/False},$others]"
opened $status 0 "a condition of others goes" replace_status mirrored "\"phase\":\"running\",\"observedGeneration\":2,\"conditions\":[$ready]"
opened $status 1 "a condition of ours goes" replace_status mirrored "\"phase\":\"running\",\"observedGeneration\":2,\"conditions\":[$others]"
opened $status 1 "the observed generation goes" replace_status mirrored "\"phase\":\"running\",\"conditions\":[$ready]"
opened $status 1 "all conditions go" replace_status mirrored '"phase":"running"'
opened $status 0 "spec of a mirrored cluster" k label starrocksclusters mirrored team=data

# --- default-hooks: everybody is asked ----------------------------------------------------------------------------------
install_webhooks "$root/manifests/overlays/default-hooks"
wait_until refused src plain '{"spec":{"starRocksBeSpec":{"image":"be:3"}}}' --dry-run=server
called $gate "default-hooks: image of a cluster that does not ask" src plain '{"spec":{"starRocksBeSpec":{"image":"be:3"}}}'
called warehouses.gate.starrocks.com "default-hooks: warehouse image that does not ask" wh plain '{"spec":{"template":{"image":"cn:3"}}}'
check "default-hooks: label" k label starrocksclusters plain more=labels
check "default-hooks: replicas" src plain '{"spec":{"starRocksBeSpec":{"replicas":2}}}'

# No condition may ever have failed to evaluate: with failurePolicy Fail that is a refusal.
errors=$(k get --raw /metrics | awk '/^apiserver_admission_match_condition_evaluation_errors_total/ { n += $NF } END { print n + 0 }')
if [[ $errors == 0 ]]; then pass; else fail "no match condition fails to evaluate" "$errors errors"; fi

echo "$passed passed, $failed failed"
((failed == 0))
