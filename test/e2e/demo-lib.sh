# shellcheck shell=bash
# What both demos share: the simulated FE, the gate, waiting, and telling the story. Sourced, not run.

demo_dir=$(mktemp -d)
fe_pid='' gate_pid=''
demo_cleanup() {
  [[ -z $gate_pid ]] || kill "$gate_pid" 2>/dev/null || true
  [[ -z $fe_pid ]] || kill "$fe_pid" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$demo_dir"
}
trap demo_cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

readonly kPatienceSeconds=${kPatienceSeconds:-60}

# Bold for a person at a terminal; in a pipe or a log the escapes would only be noise.
bold='' plain=''
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s\n' "$*" | sed 's/^/   /'; }
# Heard also from within until_true, which is quiet.
exec {complaints}>&2
die() {
  printf '\nDEMO FAILED: %s\n' "$*" >&"$complaints"
  if [[ -s $demo_dir/gate.log ]]; then tail -n 20 "$demo_dir/gate.log" >&"$complaints"; fi
  exit 1
}
# expect NAME TEXT PATTERN: TEXT contains PATTERN, or the demo fails.
expect() { [[ $2 == *"$3"* ]] || die "$1: expected \"$3\" in: $2"; }
# until_true WHAT COMMAND...: waits for what another process does in its own time.
until_true() {
  local what=$1 until=$((SECONDS + kPatienceSeconds)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || die "gave up waiting: $what"
    sleep 0.1
  done
}

# start_frontend BUILD_DIR: sets fe_port. Its statements go to $demo_dir/fe.log, commands to it through fe().
start_frontend() {
  mkfifo "$demo_dir/fe.in"
  "$1/test/fakes/fe-simulator" <"$demo_dir/fe.in" >"$demo_dir/fe.log" 2>&1 &
  fe_pid=$!
  exec 3>"$demo_dir/fe.in"
  until_true "the simulated FE listens" grep -q '^fe-0 127.0.0.1:' "$demo_dir/fe.log"
  fe_port=$(sed -n 's/^fe-0 127.0.0.1:\([0-9]*\)$/\1/p' "$demo_dir/fe.log" | head -n 1)
}
fe() {
  local done_before
  done_before=$(grep -cE '^(done|error)' "$demo_dir/fe.log" || true)
  printf '%s\n' "$*" >&3
  fe_answered() { (($(grep -cE '^(done|error)' "$demo_dir/fe.log") > done_before)); }
  until_true "the simulated FE takes: $*" fe_answered
  grep -E '^(done|error)' "$demo_dir/fe.log" | tail -n 1
}
sql_seen() { grep '^fe-0 ADMIN SET' "$demo_dir/fe.log" | sed 's/^fe-0 //'; }
# setting KEY: its value in the FE's memory.
setting() { fe config "$1" >/dev/null; grep "^config fe-0 $1=" "$demo_dir/fe.log" | tail -n 1 | sed 's/.*=//'; }
# The chapter behind the first admission, in which both hooks have run once.
show_sql_so_far() {
  title "The SQL that reached the FE before that"
  show "$(sql_seen)"
  [[ $(sql_seen) == 'ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "0")
ADMIN SET FRONTEND CONFIG ("disable_balance" = "true")' ]] || die "not the SQL that was configured"
  [[ $(setting disable_balance) == true ]] || die "the FE does not have the setting"
}

# pods_roll VERSION: the BEs are replaced, by `k` where there are no nodes: the StatefulSet as the operator and its
# controller leave it, and the database.
pods_roll() {
  k apply -f - >/dev/null <<END
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sr-be}
spec:
  replicas: 3
  serviceName: sr-be-search
  selector: {matchLabels: {app: sr-be}}
  template:
    metadata: {labels: {app: sr-be}}
    spec: {containers: [{name: be, image: "starrocks/be-ubuntu:$1"}]}
END
  k patch statefulset sr-be --subresource=status --type=merge -p '{"status":{"observedGeneration":1,"replicas":3,"readyReplicas":3,
    "updatedReplicas":3,"currentReplicas":3,"availableReplicas":3,"currentRevision":"new","updateRevision":"new"}}' >/dev/null
  fe "rollout $1" >/dev/null
}

# start_gate BUILD_DIR FLAG...: sets gate_port and ops_port, and puts the plugin under its own name into $demo_dir.
start_gate() {
  local build=$1; shift
  "$build/server/app/upgrade-gate" serve --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 \
    --frontend-address "127.0.0.1:$fe_port" --admission-wait 1s --failure-backoff 2s --drain 0s "$@" 2>"$demo_dir/gate.log" &
  gate_pid=$!
  until_true "the gate listens" grep -q '"message":"started ' "$demo_dir/gate.log"
  gate_port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$demo_dir/gate.log" | head -n 1)
  ops_port=$(sed -n 's/.*"ops_port":\([0-9]*\).*/\1/p' "$demo_dir/gate.log" | head -n 1)
  until_true "the gate is ready" curl -fsS "http://127.0.0.1:$ops_port/readyz"
  ln -s "$build/server/app/upgrade-gate" "$demo_dir/kubectl-upgrade_gate"
}
# show_report CHANGE OUTCOME SETTINGS FLAG...: the demo's last chapter; what the newest record's report must say.
show_report() {
  local change=$1 outcome=$2 settings=$3 report; shift 3
  report=$("$demo_dir/kubectl-upgrade_gate" report sr "$@") || die "the plugin's report failed"
  show "\$ kubectl upgrade-gate report sr"
  show "$report"
  expect "change" "$report" "$change"
  expect "outcome" "$(grep '^Outcome ' <<<"$report")" "$outcome"
  expect "both hooks" "$(grep -cE '^  disable-(tablet-clone|balancer) +Completed' <<<"$report")" 2
  expect "settings" "$report" "Settings ($settings)"
}
