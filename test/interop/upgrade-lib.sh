# shellcheck shell=bash
# What the parts of the interop tests share that let a neighbour see a whole upgrade: the API server's kinds, the simulated
# FE, the gate behind its webhooks as shipped, one cluster, its pods. Sourced within start-control-plane.sh, after `root`.
kPatienceSeconds=180   # Neighbours look every few seconds, and have their own back-offs.
# shellcheck source=test/e2e/demo-lib.sh
source "$root/test/e2e/demo-lib.sh"
k() { "$KUBECTL" "$@"; }

others=()
end_others() {
  for pid in "${others[@]}"; do kill "$pid" 2>/dev/null || true; done
  demo_cleanup
}
trap end_others EXIT
# Also heard from within until_true.
die() {
  printf '\nFAILED: %s\n' "$*" >&"$complaints"
  tail -n 8 "$demo_dir"/*.log >&"$complaints" || true
  exit 1
}
free_port() {
  local port
  while port=$((RANDOM % 20000 + 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# install_gate BUILD_DIR FLAG...: StarRocks' kinds and ours, the CRD extension, FE, gate, webhooks in use.
install_gate() {
  local build=$1; shift
  k create -f "$root/test/e2e/starrocks-crds.yaml" >/dev/null
  k apply -f "$root/manifests/crd/upgradepreparation.yaml" >/dev/null
  k patch crd starrocksclusters.starrocks.com --type=json --patch-file "$root/manifests/crd-extension/starrocksclusters-patch.yaml" >/dev/null
  k wait --for=condition=Established crd --all --timeout=30s >/dev/null
  until_true "the new kinds are served" k get starrocksclusters,upgradepreparations
  "$root/certs/make-certificates.sh" "$demo_dir/tls" 127.0.0.1 >/dev/null 2>&1
  start_frontend "$build"
  start_gate "$build" --kubeconfig "$KUBECONFIG" --tls-cert-file "$demo_dir/tls/tls.crt" --tls-key-file "$demo_dir/tls/tls.key" "$@"
  "$root/test/e2e/webhooks-by-url.sh" "https://127.0.0.1:$gate_port" "$demo_dir/tls/ca.crt" | k apply -f - >/dev/null
  until_true "the webhooks are in use" refuses_nonsense
}
refuses_nonsense() { ! cluster 3.5.7 nonsense | k create --dry-run=server -f -; }
# cluster BE_VERSION [HOOKS]: the manifest of cluster sr.
cluster() {
  cat <<END
apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata:
  name: sr
  namespace: default
  annotations: {starrocks.com/prepare-upgrade: "true", starrocks.com/upgrade-hooks: "${2:-disable-tablet-clone,disable-balancer}"}
spec:
  starRocksFeSpec: {image: "starrocks/fe-ubuntu:3.5.7", replicas: 3}
  starRocksBeSpec: {image: "starrocks/be-ubuntu:$1", replicas: 3}
END
}
operator_says() { k patch starrockscluster sr --subresource=status --type=merge -p "{\"status\":{\"phase\":\"$1\"}}" >/dev/null; }
image() { k get starrockscluster sr -o jsonpath='{.spec.starRocksBeSpec.image}'; }
image_is() { [[ $(image) == "starrocks/be-ubuntu:$1" ]]; }
records() { k get upgradepreparations -o jsonpath='{range .items[*]}{.status.stage}/{.status.outcome}{"\n"}{end}'; }
succeeded() { records | grep -qx 'Closed/Succeeded'; }
restored() { [[ $(setting disable_balance)/$(setting tablet_sched_max_scheduling_tablets) == false/10000 ]]; }
