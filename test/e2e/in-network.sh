#!/bin/bash
# Runs an e2e test in a network of its own, where it finds itself in a "pod" beside an API server:
#   in-network.sh NETWORK PROGRAM [ARGUMENT...]
# ipv6: no IPv4 at all, not even a loopback; the names of manifests/base.
# moved: IPv4; another DNS domain of the cluster, another namespace, names with a prefix.
# Exits 77, saying why, where no such network can be made.
set -euo pipefail
readonly kServiceAccount=/var/run/secrets/kubernetes.io/serviceaccount

skip() { echo "skipped: $*"; exit 77; }
if [[ $1 != inside ]]; then
  command -v ip >/dev/null || skip "no ip (package iproute2)"
  # In a chroot nobody may make a user namespace, and root needs none.
  namespaces=(--net --mount)
  (($(id -u) == 0)) || namespaces+=(--map-root-user)
  unshare "${namespaces[@]}" true 2>/dev/null || skip "this machine lets nobody make a network namespace"
  exec unshare "${namespaces[@]}" "$0" inside "$@"
fi
network=$2
shift 2
ip link set lo up
case $network in
  ipv6)
    ip -4 address flush dev lo
    loopback=::1 pod=fd00:77::1/128 name=sales-fe-service.analytics.svc ;;
  moved)
    loopback=127.0.0.1 pod=10.77.0.1/32 name=sales-fe-service.analytics.svc.corp.example ;;
  *) echo "invalid network \"$network\": want ipv6 or moved" >&2; exit 2 ;;
esac
# Endpoints of Services may not be loopback addresses.
ip address add "$pod" dev lo || skip "no IPv6 on this machine"
if [[ $network == ipv6 && -n $(ip -4 address show) ]]; then echo "there is still IPv4" >&2; exit 1; fi

# Files of the "pod", in this process's own view of the machine.
mount -t tmpfs tmpfs /run
mkdir -p "$kServiceAccount"
printf '%s localhost\n%s %s\n' "$loopback" "${pod%/*}" "$name" >/run/hosts
mount --bind /run/hosts /etc/hosts
export GATE_TEST_LOOPBACK=$loopback GATE_TEST_NETWORK=$network GATE_TEST_POD_ADDRESS=${pod%/*}
"$@"
