#!/bin/bash
# Speed and memory of the gate, beside nginx on the same machine: how much of the cost is TLS and HTTP anyway.
# usage: bench.sh BUILD_DIR
# Every review is an UPDATE without an image change, what nearly all admissions are. Both servers are up all the time,
# their runs take turns, and the medians count: a busy host then disturbs both alike.
# Environment: BENCH_SECONDS (per run, 5), BENCH_ROUNDS (3), BENCH_CONNECTIONS (8), BENCH_PORT (first of three, 19443).
# Writes BUILD_DIR/bench/result.json and result.md. Exit code 1 if a target is missed or a request failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: bench.sh BUILD_DIR}
gate=$build/server/app/upgrade-gate
seconds=${BENCH_SECONDS:-5}
rounds=${BENCH_ROUNDS:-3}
connections=${BENCH_CONNECTIONS:-8}
port=${BENCH_PORT:-19443}
ops_port=$((port + 1))
nginx_port=$((port + 2))

# The targets: of a review of 60 KB, and after this many reviews.
cpu_us_target=200
reviews_target=100000
rss_kb_target=$((25 * 1024))

for tool in wrk openssl curl awk; do
  command -v "$tool" >/dev/null || { echo "bench.sh: $tool is missing" >&2; exit 2; }
done
[ -x "$gate" ] || { echo "bench.sh: no $gate" >&2; exit 2; }
nginx=$(PATH=$PATH:/usr/sbin command -v nginx || true)
[ -n "$nginx" ] || echo "bench.sh: nginx (Debian nginx-light) is missing: no comparison with it" >&2

pin_server=() pin_client=()
if [ "$(nproc)" -gt 1 ]; then
  pin_server=(taskset -c 0)
  pin_client=(taskset -c 1)
fi

work=$(mktemp -d)
declare -A pid
finish() {
  for name in "${!pid[@]}"; do kill "${pid[$name]}" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap finish EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=bench \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$work/tls.key" -out "$work/tls.crt" 2>"$work/openssl.log"
sizes=(8192 61440)
for size in "${sizes[@]}"; do awk -v bytes="$size" -f "$here/review.awk" >"$work/$size.json"; done

"${pin_server[@]}" "$gate" serve --tls-cert-file "$work/tls.crt" --tls-key-file "$work/tls.key" \
  --listen "127.0.0.1:$port" --ops-listen "127.0.0.1:$ops_port" --store=memory --frontend-address 127.0.0.1:9030 \
  2>"$work/gate.log" &
pid[gate]=$!
declare -A url=([gate]="https://127.0.0.1:$port/validate")
servers=(gate)

if [ -n "$nginx" ]; then
  cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_timeout 120s; keepalive_requests 1000000000;
  client_max_body_size 8m; client_body_buffer_size 8m; client_body_temp_path $work/body;
  proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$nginx_port ssl; ssl_certificate $work/tls.crt; ssl_certificate_key $work/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3; default_type application/json;
    location / { return 200 '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}}'; }
  }
}
CONF
  "${pin_server[@]}" "$nginx" -e "$work/nginx.log" -c "$work/nginx.conf" &
  pid[nginx]=$!
  url[nginx]="https://127.0.0.1:$nginx_port/validate"
  servers+=(nginx)
fi

# A server that answers wrongly would be fast, too.
for server in "${servers[@]}"; do
  for size in "${sizes[@]}"; do
    answer=$(curl --silent --show-error --fail --cacert "$work/tls.crt" --retry 20 --retry-connrefused --retry-delay 1 \
      -H 'Content-Type: application/json' --data-binary "@$work/$size.json" "${url[$server]}") || {
      echo "bench.sh: $server does not answer" >&2
      tail -n 5 "$work/$server.log" >&2
      exit 2
    }
    case $(tr -d ' ' <<<"$answer") in
      *'"allowed":true'*) ;;
      *) echo "bench.sh: $server answered: $answer" >&2; exit 2 ;;
    esac
  done
done

# Clock ticks of CPU time that a server has used: fields 14 and 15, counted after the name, which may hold blanks.
ticks() { sed 's/.*) //' "/proc/${pid[$1]}/stat" | awk '{ print $12 + $13 }'; }
rss_kb() { awk '/^VmRSS:/ { print $2 }' "/proc/${pid[gate]}/status"; }
median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

total_reviews=0
failed=0
hertz=$(getconf CLK_TCK)
# run SERVER SIZE SECONDS: appends "req/s p50 p99 cpu_us" to $work/SERVER.SIZE.
run() {
  local before after figures requests duration p50 p99 errors
  before=$(ticks "$1")
  figures=$(BENCH_BODY=$work/$2.json "${pin_client[@]}" wrk --threads 1 --connections "$connections" \
    --duration "${3}s" --latency --script "$here/post.lua" "${url[$1]}" | grep '^RESULT ')
  after=$(ticks "$1")
  read -r _ requests duration p50 p99 errors <<<"$figures"
  awk -v n="$requests" -v us="$duration" -v p50="$p50" -v p99="$p99" -v t=$((after - before)) -v hz="$hertz" \
    'BEGIN { printf "%.0f %d %d %.1f\n", n * 1e6 / us, p50, p99, t * 1e6 / hz / n }' >>"$work/$1.$2"
  failed=$((failed + errors))
  if [ "$1" = gate ]; then total_reviews=$((total_reviews + requests)); fi
}

rss_idle=$(rss_kb)
for ((round = 1; round <= rounds; ++round)); do
  for size in "${sizes[@]}"; do
    for server in "${servers[@]}"; do
      echo "round $round/$rounds: $server, $((size / 1024)) KB" >&2
      run "$server" "$size" "$seconds"
    done
  done
done
while [ "$total_reviews" -lt "$reviews_target" ]; do run gate "${sizes[0]}" "$seconds"; done
rss_loaded=$(rss_kb)

mkdir -p "$build/bench"
column() { awk -v c="$1" '{ print $c }' "$work/$2.$3" | median; }
{
  echo "| server | review | req/s | p50 us | p99 us | CPU us/request |"
  echo "|---|---|---|---|---|---|"
  for size in "${sizes[@]}"; do
    for server in "${servers[@]}"; do
      echo "| $server | $((size / 1024)) KB | $(column 1 "$server" "$size") | $(column 2 "$server" "$size") |" \
        "$(column 3 "$server" "$size") | $(column 4 "$server" "$size") |"
    done
  done
} >"$build/bench/result.md"
{
  printf '{"connections": %d, "cpus": %d, "failed_requests": %d, "reviews": %d, "rss_idle_kb": %d, "rss_kb": %d, "runs": [' \
    "$connections" "$(nproc)" "$failed" "$total_reviews" "$rss_idle" "$rss_loaded"
  comma=
  for size in "${sizes[@]}"; do
    for server in "${servers[@]}"; do
      printf '%s\n  {"server": "%s", "review_bytes": %d, "requests_per_second": %s, "p50_us": %s, "p99_us": %s, "cpu_us_per_request": %s}' \
        "$comma" "$server" "$(stat -c %s "$work/$size.json")" "$(column 1 "$server" "$size")" \
        "$(column 2 "$server" "$size")" "$(column 3 "$server" "$size")" "$(column 4 "$server" "$size")"
      comma=,
    done
  done
  printf '\n]}\n'
} >"$build/bench/result.json"

cat "$build/bench/result.md"
echo
missed=0
# verdict WHAT MEASURED TARGET UNIT
verdict() {
  local word=met
  if awk -v m="$2" -v t="$3" 'BEGIN { exit !(m >= t) }'; then word=MISSED missed=1; fi
  echo "$1: $2 $4, target below $3 $4: $word"
}
verdict "CPU for a review of 60 KB" "$(column 4 gate "${sizes[1]}")" "$cpu_us_target" us
verdict "resident memory after $total_reviews reviews (idle: $rss_idle KB)" "$rss_loaded" "$rss_kb_target" KB
verdict "failed requests" "$failed" 1 ""
exit "$missed"
