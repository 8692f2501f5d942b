#!/bin/bash
# The story of an upgrade without a cluster: a simulated FE, the real gate with its records in memory, and this script in
# the place of the API server. Ends with 0 only if all steps succeeded.
#   demo.sh BUILD_DIR
set -euo pipefail
build=$(realpath "${1:?usage: demo.sh BUILD_DIR}")
# shellcheck source=test/e2e/demo-lib.sh
source "$(dirname "$0")/demo-lib.sh"

readonly kHooks=disable-tablet-clone,disable-balancer
# cluster VERSION: the object as the API server would send it.
cluster() {
  jq -cn --arg version "$1" --arg hooks "$kHooks" '{
    apiVersion: "starrocks.com/v1", kind: "StarRocksCluster",
    metadata: {name: "sr", namespace: "default", uid: "6f1c2f0e-demo", annotations: {
      "starrocks.com/prepare-upgrade": "true", "starrocks.com/upgrade-hooks": $hooks}},
    spec: {starRocksFeSpec: {image: "starrocks/fe-ubuntu:3.5.7", replicas: 3},
           starRocksBeSpec: {image: ("starrocks/be-ubuntu:" + $version), replicas: 3}}}'
}
requests=0
# review FROM TO [DRY_RUN]: posts an AdmissionReview of that image change; leaves the answer in $answer.
review() {
  requests=$((requests + 1))
  jq -cn --arg uid "request-$requests" --argjson old "$(cluster "$1")" --argjson new "$(cluster "$2")" \
    --argjson dry "${3:-false}" '{
    apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: {
      uid: $uid, operation: "UPDATE", name: "sr", namespace: "default", dryRun: $dry,
      kind: {group: "starrocks.com", version: "v1", kind: "StarRocksCluster"},
      resource: {group: "starrocks.com", version: "v1", resource: "starrocksclusters"},
      userInfo: {username: "alice", groups: ["system:authenticated"]},
      object: $new, oldObject: $old, options: {}}}' >"$demo_dir/review.json"
  answer=$(curl -fsS --max-time 30 --cacert "$demo_dir/tls/ca.crt" -H 'Content-Type: application/json' \
    --data-binary @"$demo_dir/review.json" "https://127.0.0.1:$gate_port/validate")
  [[ $(jq -r .response.uid <<<"$answer") == "request-$requests" ]] || die "the answer is to another request: $answer"
}
# told: what kubectl would print for $answer.
told() {
  jq -r '(.response.warnings // [])[] | "Warning: " + .' <<<"$answer"
  if [[ $(jq -r .response.allowed <<<"$answer") == true ]]; then
    echo "starrockscluster.starrocks.com/sr patched"
  else
    jq -r '"Error from server (" + .response.status.reason + "): admission webhook \"clusters.gate.starrocks.com\" denied the request: " + .response.status.message' <<<"$answer"
  fi
}
admitted() { review "$@"; [[ $(jq -r .response.allowed <<<"$answer") == true ]]; }
refused_with() { [[ $(jq -r '[.response.allowed, .response.status.code, .response.status.reason] | @csv' <<<"$answer") == "false,403,\"$1\"" ]]; }

title "A StarRocks FE (simulated) and the gate, records in memory, throw-away certificate"
start_frontend "$build"
start_gate "$build" --store=memory --dev-certificate "$demo_dir/tls"
show "FE on port $fe_port, gate on port $gate_port; hooks configured on the cluster: $kHooks"

title "kubectl patch --dry-run=server: allowed with a warning, nothing is started"
review 3.5.7 3.5.8 true
show "$(told)"
[[ $(jq -r .response.allowed <<<"$answer") == true ]] || die "a dry run was refused"
expect "dry run" "$(told)" "dry run only"
[[ -z $(sql_seen || true) ]] || die "a dry run reached the FE"

title "The FE is slow: kubectl patch of the BE image 3.5.7 -> 3.5.8 is put on hold, with the reason"
expect "slow FE" "$(fe 'delay disable_balance=60')" "done"
half_done() { review 3.5.7 3.5.8; [[ $(told) == *"1/2 hooks"* ]]; }
until_true "the first hook is done" half_done
show "$(told)"
refused_with UpgradePreparationRunning || die "not refused as running: $answer"

title "The same patch a little later: the preparation is complete, the change is admitted"
expect "fast again" "$(fe clear)" "done"
until_true "the preparation completes" admitted 3.5.7 3.5.8
show "$(told)"

show_sql_so_far

title "Another target, and a critical hook fails: refused with the FE's own words"
expect "faults off" "$(fe clear)" "done"
expect "failing FE" "$(fe 'fail disable_balance=5203:42000:Access denied; you need (at least one of) the OPERATE privilege(s) on SYSTEM')" "done"
# A value restored by hand makes the gate set it again; it must not rely on what it did before.
expect "by hand" "$(fe set 0 disable_balance false)" "done"
hook_failed() { review 3.5.7 3.5.9; refused_with UpgradePreparationFailed; }
until_true "the critical hook has failed" hook_failed
show "$(told)"
expect "cause" "$(told)" 'critical hook "disable-balancer" failed'
expect "SQL error" "$(told)" 5203

title "What the gate had changed is restored, to the values found before the first SET"
put_back() { [[ $(setting tablet_sched_max_scheduling_tablets) == 10000 ]]; }
until_true "the captured value is back" put_back
show "tablet_sched_max_scheduling_tablets = $(setting tablet_sched_max_scheduling_tablets)"
show "disable_balance                     = $(setting disable_balance)"

title "The FE is fixed: after the back-off the same patch is admitted"
expect "faults off" "$(fe clear)" "done"
until_true "the next attempt completes" admitted 3.5.7 3.5.9
show "$(told)"

title "The plugin's report on that upgrade (nothing rolls out here: make demo-cluster tells the rest)"
# No API server, so no kubectl: the gate itself has the records, and tells them on its operations port.
cat >"$demo_dir/kubectl" <<END
#!/bin/sh
[ "\$1 \$2" = "get upgradepreparations.gate.starrocks.com" ] || { echo "the demo has no API server: \$*" >&2; exit 1; }
exec curl -fsS "http://127.0.0.1:$ops_port/preparations"
END
chmod 755 "$demo_dir/kubectl"
show_report "be 3.5.7 -> 3.5.9" Prepared "restore pending" --kubectl "$demo_dir/kubectl"

printf '\nAll steps succeeded.\n'
