#!/bin/bash
# A whole upgrade, watched by a real Jaeger, Debian's Prometheus and the plugin at once, which have to tell the same: the
# trace of the preparation what the record says, in one tree that leads to the review which began it. Real API server.
#   watched_test.sh BUILD_DIR     exits 77, saying why, where something is missing
# INTEROP_CAPTURE: a file that gets the trace as text, as docs/tracing.md shows it.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
if [[ ${2:-} != inside ]]; then
  build=$(realpath "${1:?usage: watched_test.sh BUILD_DIR}")
  module=$root/test/interop/jaeger
  version=$(awk '$1 == "github.com/jaegertracing/jaeger" { print $2; exit }' "$module/go.mod")
  program=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/jaeger/$version/jaeger
  mkdir -p "$(dirname "$program")"
  "$root/build-support/build-go.sh" "$module" "$program" github.com/jaegertracing/jaeger/cmd/jaeger
  [[ -x $program ]] || { echo "SKIPPED: no Jaeger $version could be built here"; exit 77; }
  command -v prometheus >/dev/null || { echo "SKIPPED: no prometheus (make install-packages)"; exit 77; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  code=0
  JAEGER=$program "$root/test/e2e/start-control-plane.sh" "$work/control-plane" "$0" "$build" inside || code=$?
  exit "$code"
fi
build=$1
# shellcheck source=test/interop/upgrade-lib.sh
source "$root/test/interop/upgrade-lib.sh"

title "Jaeger, with its storage in memory; the gate, told of it by OTEL_EXPORTER_OTLP_ENDPOINT; Prometheus"
otlp_port=$(free_port) query_port=$(free_port) grpc_port=$(free_port)
cat >"$demo_dir/jaeger.yaml" <<END
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {traces: {receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 1000}}}}
  jaeger_query: {storage: {traces: memory}, http: {endpoint: "127.0.0.1:$query_port"}, grpc: {endpoint: "127.0.0.1:$grpc_port"}}
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$otlp_port"}}}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
END
OTEL_TRACES_SAMPLER=always_off "$JAEGER" --config "$demo_dir/jaeger.yaml" >"$demo_dir/jaeger.log" 2>&1 & others+=($!)
ask() { curl -fsS --max-time 10 "http://127.0.0.1:$query_port/api/$1"; }
until_true "Jaeger answers" ask services
export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$otlp_port OTEL_BSP_SCHEDULE_DELAY=100
install_gate "$build"
prometheus_port=$(free_port)
cat >"$demo_dir/prometheus.yml" <<END
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ["$root/manifests/monitoring/alerts.yaml"]
scrape_configs: [{job_name: upgrade-gate, honor_labels: true, static_configs: [{targets: ["127.0.0.1:$ops_port"]}]}]
END
prometheus --config.file="$demo_dir/prometheus.yml" --storage.tsdb.path="$demo_dir/prometheus" \
  --web.listen-address="127.0.0.1:$prometheus_port" >"$demo_dir/prometheus.log" 2>&1 & others+=($!)
# value QUERY: of its only series; empty for none.
value() {
  curl -fsS --max-time 10 -G "http://127.0.0.1:$prometheus_port/api/v1/query" --data-urlencode "query=$1" |
    jq -r '.data.result | map(.value[1]) | join(" ")'
}
scraped() { [[ $(value 'up{job="upgrade-gate"}') == 1 ]]; }
until_true "Prometheus scrapes the gate" scraped
# It began before its webhooks were there. Led rollouts are not installed, which nobody is alarmed of.
installed() { [[ $(value 'min(upgrade_gate_installation_ok{part!="rollout_webhook"})') == 1 ]]; }
until_true "the gate finds its installation right" installed
cluster 3.5.7 | k apply -f - >/dev/null
operator_says running

title "An upgrade to its end"
fe 'delay disable_balance=3' >/dev/null
admitted() { k patch starrockscluster sr --type=merge -p '{"spec":{"starRocksBeSpec":{"image":"starrocks/be-ubuntu:3.5.8"}}}'; }
until_true "the preparation completes" admitted
pods_roll 3.5.8
until_true "the upgrade is closed" succeeded
restored || die "the settings are not restored"
record=$(k get upgradepreparations -o json | jq '.items[0]')

title "What the plugin and Prometheus say"
show_report "be 3.5.7 -> 3.5.8" Succeeded restored --kubectl "$KUBECTL" --kubeconfig "$KUBECONFIG"
counted() { [[ $(value 'upgrade_gate_preparations_closed_total{outcome="Succeeded"}') == 1 ]]; }
until_true "Prometheus counts it" counted
nothing_pending() { [[ $(value 'sum(upgrade_gate_restores_pending)') == 0 ]]; }
until_true "Prometheus has no pending restore" nothing_pending
alerts=$(curl -fsS --max-time 10 "http://127.0.0.1:$prometheus_port/api/v1/alerts" | jq -c '[.data.alerts[].labels.alertname]')
[[ $alerts == '[]' ]] || die "alerts in an ordinary upgrade: $alerts"
show 'upgrade_gate_preparations_closed_total{outcome="Succeeded"} = 1, no alert fires or waits for its time'

title "What Jaeger has"
traces() { ask 'traces?service=upgrade-gate&limit=1000' >"$demo_dir/traces.json"; }
# Jaeger's JSON: spans with tags as a list; the tree is by CHILD_OF, the link to the review by FOLLOWS_FROM.
readonly kSpans='[.data[] | .traceID as $trace | .spans[] | {trace: $trace, id: .spanID, name: .operationName,
  start: .startTime, duration, parent: ([.references[] | select(.refType == "CHILD_OF" and .traceID == $trace) | .spanID][0]),
  links: [.references[] | select(.refType == "FOLLOWS_FROM") | .spanID],
  tags: ([.tags[] | {key, value}] | from_entries), warnings}]'
told() { traces && jq -e "$kSpans"' | any(.name == "preparation")' "$demo_dir/traces.json"; }
until_true "Jaeger has the trace of the preparation" told
jq "$kSpans" "$demo_dir/traces.json" >"$demo_dir/spans.json"
span() { jq -r "$1" "$demo_dir/spans.json"; }
is() { # WHAT EXPECTED JQ
  local got
  got=$(span "$3")
  [[ $got == "$2" ]] || die "$1: want \"$2\", Jaeger says \"$got\""
}
readonly kRoot='(.[] | select(.name == "preparation"))'
is "traces of the preparation" 1 '[.[] | select(.name == "preparation")] | length'
is "the record" "$(jq -r .metadata.name <<<"$record")" "$kRoot"' | .tags["upgrade_gate.preparation.name"]'
is "its UID" "$(jq -r .metadata.uid <<<"$record")" "$kRoot"' | .tags["upgrade_gate.preparation.uid"]'
is "the outcome" Succeeded "$kRoot"' | .tags["upgrade_gate.outcome"]'
is "the spans of its trace" "hook disable-balancer,hook disable-tablet-clone,preparation,restore,rollout" \
  "$kRoot"'.trace as $trace | [.[] | select(.trace == $trace) | .name] | sort | join(",")'
is "that each of them hangs in one tree" true \
  "$kRoot"'.trace as $trace | [.[] | select(.trace == $trace)] as $spans | [$spans[].id] as $ids |
   all($spans[]; .name == "preparation" or (.parent as $p | $ids | index($p) != null))'
is "the settings restored" 2 '.[] | select(.name == "restore") | .tags["upgrade_gate.restore.settings"]'
# Jaeger warns of clocks that disagree and of parents that it has not got.
is "Jaeger's own warnings" "" '[.[].warnings // [] | .[]] | unique | join("; ")'
is "that it leads to the review that began it" review "$kRoot"'.links[0] as $link | .[] | select(.id == $link) | .name'
is "that review's record" "$(jq -r .metadata.name <<<"$record")" \
  "$kRoot"'.links[0] as $link | .[] | select(.id == $link) | .tags["upgrade_gate.preparation.name"]'
is "that the admitted review is there" true 'any(.name == "review" and .tags["upgrade_gate.decision"] == "allowed-prepared")'
# Also by its search, as docs/tracing.md says.
found=$(curl -fsS --max-time 10 -G "http://127.0.0.1:$query_port/api/traces" --data-urlencode service=upgrade-gate \
  --data-urlencode operation=preparation --data-urlencode "tags={\"upgrade_gate.cluster\":\"sr\"}" | jq '.data | length')
[[ $found == 1 ]] || die "search by upgrade_gate.cluster: want 1 trace, Jaeger finds $found"

readonly kPicture='
  def plain: . as $text | try (fromjson | if type == "array" then join(", ") else tostring end) catch $text;
  def shown: [.tags | to_entries[] | select(.key | test("outcome|images|hook.phase|rollout.mode|restore.settings")) |
    "\(.key | sub("^upgrade_gate."; "")): \(.value | plain)"] | sort | join(", ");
  def tree($spans; $root; $indent): . as $span | ($indent + .name + " " * 28)[:28] as $name |
    "\($name) at \((.start - $root.start) / 1000000 | round) s for \(.duration / 1000000 | round) s; \(shown)",
    ([$spans[] | select(.parent == $span.id)] | sort_by(.start, .name)[] | tree($spans; $root; $indent + "  "));
  (.[] | select(.name == "preparation")) as $root | [.[] | select(.trace == $root.trace)] as $spans |
  $root | tree($spans; $root; "")'
picture=$(span "$kPicture")
show "$picture"
[[ -z ${INTEROP_CAPTURE:-} ]] || printf '%s\n' "$picture" >"$INTEROP_CAPTURE"

printf '\nAll steps succeeded.\n'
