#!/bin/bash
# The same story as demo.sh through kubectl, on a real API server (etcd and kube-apiserver, no nodes), with the manifests
# as shipped. Ends with 0 only if all steps succeeded.
#   demo_cluster.sh BUILD_DIR
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${2:-} != inside ]]; then
  build=$(realpath "${1:?usage: demo_cluster.sh BUILD_DIR}")
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" "$build" inside || code=$?
  exit "$code"
fi
build=$1
# shellcheck source=test/e2e/demo-lib.sh
source "$root/test/e2e/demo-lib.sh"
k() { "$KUBECTL" "$@"; }
# try COMMAND...: its output in $output, its success as the result.
try() { output=$("$@" 2>&1); }
# patch VERSION [FLAG...]
patch() {
  local version=$1; shift
  k patch starrockscluster sr --type=merge -p '{"spec":{"starRocksBeSpec":{"image":"starrocks/be-ubuntu:'"$version"'"}}}' "$@"
}
image() { k get starrockscluster sr -o jsonpath='{.spec.starRocksBeSpec.image}'; }
put_back() { [[ $(setting disable_balance)/$(setting tablet_sched_max_scheduling_tablets) == false/10000 ]]; }
show_settings() { show "disable_balance = $(setting disable_balance), tablet_sched_max_scheduling_tablets = $(setting tablet_sched_max_scheduling_tablets)"; }
tell() { show "\$ $1"; show "$output"; }

title "An API server with the StarRocks kinds, our record kind and our webhooks; a simulated FE; the gate"
k create -f "$root/test/e2e/starrocks-crds.yaml" >/dev/null
k apply -f "$root/manifests/crd/upgradepreparation.yaml" >/dev/null
k patch crd starrocksclusters.starrocks.com --type=json --patch-file "$root/manifests/crd-extension/starrocksclusters-patch.yaml" >/dev/null
k wait --for=condition=Established crd --all --timeout=30s >/dev/null
until_true "the new kinds are served" k get starrocksclusters,upgradepreparations
"$root/certs/make-certificates.sh" "$demo_dir/tls" 127.0.0.1 >/dev/null 2>&1
start_frontend "$build"
start_gate "$build" --kubeconfig "$KUBECONFIG" --tls-cert-file "$demo_dir/tls/tls.crt" --tls-key-file "$demo_dir/tls/tls.key"
"$root/test/e2e/webhooks-by-url.sh" "https://127.0.0.1:$gate_port" "$demo_dir/tls/ca.crt" | k apply -f - >/dev/null
cluster() {
  cat <<END
apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata:
  name: $1
  annotations: {starrocks.com/prepare-upgrade: "true", starrocks.com/upgrade-hooks: "$2"}
spec:
  starRocksFeSpec: {image: "starrocks/fe-ubuntu:3.5.7", replicas: 3}
  starRocksBeSpec: {image: "starrocks/be-ubuntu:3.5.7", replicas: 3}
END
}
# The API server takes new webhooks into use within about a second.
refuses_nonsense() { ! cluster probe nonsense | k create --dry-run=server -f -; }
until_true "the webhooks are in use" refuses_nonsense
cluster sr disable-tablet-clone,disable-balancer | k apply -f - >/dev/null
k patch starrockscluster sr --subresource=status --type=merge -p '{"status":{"phase":"running"}}' >/dev/null

title "A mistake in the configuration is refused when it is written"
if try k annotate starrockscluster sr --overwrite starrocks.com/upgrade-hooks=disable-balancr; then die "a hook that does not exist was accepted"; fi
tell "kubectl annotate starrockscluster sr --overwrite starrocks.com/upgrade-hooks=disable-balancr"
expect "fault" "$output" UpgradeHooksInvalid

title "A dry run is allowed with a warning, and starts nothing"
try patch 3.5.8 --dry-run=server || die "a dry run was refused: $output"
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.8 --dry-run=server"
expect "dry run" "$output" "dry run only"
[[ -z $(k get upgradepreparations -o name)$(sql_seen || true) ]] || die "a dry run left something behind"

title "The FE is slow: the image change is put on hold"
fe 'delay disable_balance=60' >/dev/null
half_done() { if try patch 3.5.8; then die "admitted before the hooks were done"; fi; [[ $output == *"1/2 hooks"* ]]; }
until_true "the first hook is done" half_done
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.8"
expect "on hold" "$output" UpgradePreparationRunning
try k get upgradepreparations || die "$output"
tell "kubectl get upgradepreparations"
expect "record" "$output" "1/2"
[[ $(image) == starrocks/be-ubuntu:3.5.7 ]] || die "the refused request changed the image"

title "The same patch a little later"
fe clear >/dev/null
until_true "the preparation completes" try patch 3.5.8
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.8"
output=$(k get upgradepreparations)
tell "kubectl get upgradepreparations"
[[ $(image) == starrocks/be-ubuntu:3.5.8 ]] || die "the image was not changed"

show_sql_so_far

title "Back to the old image: always admitted, and what was changed is restored"
fe clear >/dev/null
try patch 3.5.7 || die "$output"
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.7"
expect "revert" "$output" "rollback to the images the pods last ran"
closed() { [[ $(k get upgradepreparations -o jsonpath='{.items[0].status.stage}/{.items[0].status.outcome}') == Closed/Reverted ]]; }
until_true "the record is closed" closed
put_back || die "the settings are not back: $(setting disable_balance)/$(setting tablet_sched_max_scheduling_tablets)"
show_settings

title "A critical hook fails: refused with the FE's own words"
fe 'fail disable_balance=5203:42000:Access denied; you need (at least one of) the OPERATE privilege(s) on SYSTEM' >/dev/null
hook_failed() { if try patch 3.5.9; then die "admitted although a critical hook failed"; fi; [[ $output == *UpgradePreparationFailed* ]]; }
until_true "the critical hook has failed" hook_failed
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.9"
expect "failed hook" "$output" UpgradePreparationFailed
expect "cause" "$output" 5203
[[ $(image) == starrocks/be-ubuntu:3.5.7 ]] || die "the refused request changed the image"
expect "first hook" "$(sql_seen | tail -n 3)" '"tablet_sched_max_scheduling_tablets" = "0"'
until_true "what the first hook had set is restored" put_back
show_settings

title "The FE is fixed: after the back-off the same patch is admitted"
fe clear >/dev/null
until_true "the next attempt completes" try patch 3.5.9
tell "kubectl patch starrockscluster sr ... be-ubuntu:3.5.9"
[[ $(image) == starrocks/be-ubuntu:3.5.9 ]] || die "the image was not changed"

title "The operator replaces the pods: when Kubernetes and the database say so, the settings are restored"
pods_roll 3.5.9
succeeded() { [[ " $(k get upgradepreparations -o jsonpath='{range .items[*]}{.status.stage}/{.status.outcome} {end}')" == *" Closed/Succeeded "* ]]; }
until_true "the upgrade is closed" succeeded
put_back || die "the settings are not back: $(setting disable_balance)/$(setting tablet_sched_max_scheduling_tablets)"
show_settings

title "The plugin's report on that upgrade"
show_report "be 3.5.7 -> 3.5.9" Succeeded restored --kubectl "$KUBECTL" --kubeconfig "$KUBECONFIG"

printf '\nAll steps succeeded.\n'
