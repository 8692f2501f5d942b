#!/bin/bash
# A real API server on etcd, on loopback ports, for tests and the demo.
#   start-control-plane.sh DIRECTORY COMMAND...   runs COMMAND with KUBECONFIG and KUBECTL set, stops both servers when
#                                                 it ends, and exits with its code
#   start-control-plane.sh DIRECTORY              prints the kubeconfig's path when ready, and runs until it is ended
# DIRECTORY gets kubeconfig (user "admin", group system:masters), ca.crt, logs and data. Programs come from
# KUBEBUILDER_ASSETS if set, else from the cache that the e2e build fills. Exits 77, saying why, where they are missing.
# KUBE_APISERVER_FLAGS: more flags of the API server, separated by blanks.
set -euo pipefail
directory=${1:?usage: start-control-plane.sh DIRECTORY [COMMAND...]}
shift
assets=${KUBEBUILDER_ASSETS:-${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/kubernetes}
readonly kReadySeconds=60   # A first start under sanitizers' load takes about 15.
read -ra flags <<<"${KUBE_APISERVER_FLAGS:-}"
readonly kStartAttempts=3   # A chosen port may be taken by somebody else before it is used.

skip() { echo "SKIPPED: $*" >&2; exit 77; }
find_program() { [[ -x $assets/$1 ]] && echo "$assets/$1" || command -v "$1" || skip "no $1 in $assets nor in PATH"; }
etcd=$(find_program etcd) || exit
apiserver=$(find_program kube-apiserver) || exit
kubectl=$(find_program kubectl) || exit
command -v openssl >/dev/null || skip "no openssl"

mkdir -p "$directory"
directory=$(realpath "$directory")
pids=()
stop() {
  # The API server first, so that it does not log the loss of etcd; TERM, then KILL for one that hangs.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null || continue
    for _ in {1..50}; do kill -0 "${pids[i]}" 2>/dev/null || break; sleep 0.1; done
    kill -9 "${pids[i]}" 2>/dev/null || true
  done
  pids=()
}
trap stop EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# Even a SIGKILL of this script leaves no server behind.
as_child() { exec setpriv --pdeathsig KILL "$@"; }

free_port() {
  local port
  while port=$((RANDOM % 20000 + 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

prepare_files() {
  # The API server's certificate and the administrator's are both signed here: no client skips verification.
  local ca="$directory/ca" subject key
  openssl genrsa -out "$directory/service-account.key" 2048 2>/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=control-plane-ca \
    -keyout "$ca.key" -out "$ca.crt" 2>/dev/null
  for key in apiserver admin; do
    subject=/CN=kube-apiserver
    [[ $key == admin ]] && subject=/O=system:masters/CN=admin
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
      -keyout "$directory/$key.key" -out "$directory/$key.csr" 2>/dev/null
    openssl x509 -req -in "$directory/$key.csr" -CA "$ca.crt" -CAkey "$ca.key" -days 2 -out "$directory/$key.crt" \
      -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes") 2>/dev/null
  done
}

start() {
  local client peer secure
  client=$(free_port) peer=$(free_port) secure=$(free_port)
  rm -rf "$directory/etcd-data"
  as_child "$etcd" --data-dir "$directory/etcd-data" --unsafe-no-fsync=true --log-level=warn \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer" >"$directory/etcd.log" 2>&1 &
  pids+=($!)
  as_child "$apiserver" --etcd-servers="http://127.0.0.1:$client" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
    --endpoint-reconciler-type=none --secure-port="$secure" --cert-dir="$directory" --service-cluster-ip-range=10.0.0.0/24 \
    --tls-cert-file="$directory/apiserver.crt" --tls-private-key-file="$directory/apiserver.key" \
    --client-ca-file="$directory/ca.crt" --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount \
    --service-account-issuer="https://127.0.0.1:$secure/" --service-account-key-file="$directory/service-account.key" \
    --service-account-signing-key-file="$directory/service-account.key" "${flags[@]}" \
    >"$directory/kube-apiserver.log" 2>&1 &
  pids+=($!)
  cat >"$directory/kubeconfig.new" <<END
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$secure", certificate-authority: "$directory/ca.crt"}}]
users: [{name: admin, user: {client-certificate: "$directory/admin.crt", client-key: "$directory/admin.key"}}]
contexts: [{name: test, context: {cluster: test, user: admin, namespace: default}}]
current-context: test
END
  local pid until=$((SECONDS + kReadySeconds))
  while ((SECONDS < until)); do
    for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
    # "default" is made by the API server itself a moment after it calls itself ready.
    if "$kubectl" --kubeconfig "$directory/kubeconfig.new" get --raw /readyz >/dev/null 2>&1 &&
      "$kubectl" --kubeconfig "$directory/kubeconfig.new" get namespace default >/dev/null 2>&1; then
      mv "$directory/kubeconfig.new" "$directory/kubeconfig"
      return
    fi
    sleep 0.2
  done
  return 1
}

prepare_files
for ((attempt = 1; ; attempt++)); do
  start && break
  stop
  if ((attempt == kStartAttempts)); then
    echo "the API server did not start; see $directory/kube-apiserver.log:" >&2
    tail -n 5 "$directory/etcd.log" "$directory/kube-apiserver.log" >&2
    exit 1
  fi
done

export KUBECONFIG=$directory/kubeconfig KUBECTL=$kubectl
if (($#)); then
  # In the background, where a signal can end it too; with this script's standard input.
  code=0
  "$@" <&0 &
  pids+=($!)
  wait $! || code=$?
  exit "$code"
fi
echo "$KUBECONFIG"
wait -n "${pids[@]}"  # Either one's end is the end; a signal runs the trap.
