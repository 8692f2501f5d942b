#!/bin/bash
# Installs the Debian packages that a job needs, and only those that are missing.
# usage: install-packages.sh SET...     sets: build demo test cluster lint fuzz bench image
#        install-packages.sh --list SET...     their names alone
# Debian 12 and 13; as root or through sudo. Without missing packages it neither uses the network nor needs rights.
set -euo pipefail

packages_of() {
  case $1 in
    build) echo ca-certificates g++ make cmake ninja-build pkgconf ccache git libssl-dev nlohmann-json3-dev libspdlog-dev \
                libcli11-dev libyaml-cpp-dev prometheus-cpp-dev doctest-dev libsimdjson-dev libcpp-httplib-dev \
                default-libmysqlclient-dev ;;
    demo) echo openssl curl jq ;;
    test) echo mariadb-server openssl curl valgrind lua5.1 lua-yaml prometheus ;;
    cluster) echo etcd-server openssl curl python3-yaml iproute2; go_package ;;
    lint) echo clang-format clang-tidy ;;
    fuzz) echo clang; clang_runtime ;;
    bench) echo wrk openssl nginx-light; go_package ;;
    # netavark: buildah looks for it whatever a container asks for, and Debian 13 only recommends it.
    image) echo buildah netavark debootstrap curl python3 ;;
    *) echo "install-packages.sh: unknown set '$1'" >&2; return 2 ;;
  esac
}

candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# Where it is too old for a module, go-toolchain.sh has it fetch a newer one.
go_package() { if ! command -v go >/dev/null; then echo golang-go; fi; }

# The sanitizers' and libFuzzer's runtime is only recommended by clang, and its name carries the version.
clang_runtime() {
  local major
  major=$(candidate clang | sed -n 's/^[0-9]*:\([0-9]*\).*/\1/p')
  if [ -n "$major" ]; then echo "libclang-rt-$major-dev"; fi
}

installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing_of() {
  local set package
  for set in "$@"; do
    for package in $(packages_of "$set"); do
      installed "$package" || echo "$package"
    done
  done | sort -u
}

if [ "${1:-}" = --list ]; then
  shift
  for set in "$@"; do packages_of "$set"; done | xargs -n 1 | sort -u
  exit
fi
[ $# -gt 0 ] || { echo "usage: install-packages.sh SET..." >&2; exit 2; }
for set in "$@"; do packages_of "$set" >/dev/null; done
command -v dpkg-query >/dev/null || { echo "install-packages.sh: this is no Debian; install by hand: $(for s in "$@"; do packages_of "$s"; done | xargs)" >&2; exit 1; }

missing=$(missing_of "$@")
[ -n "$missing" ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install-packages.sh: neither root nor sudo; please install: ${missing//$'\n'/ }" >&2; exit 1; }
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null; }

apt update
# Now the candidates are known, which decide about the name of the clang runtime.
missing=$(missing_of "$@")
[ -n "$missing" ] || exit 0

# The tests start their own databases; the packages' services stay off (they start at the next boot unless disabled).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
echo "installing: ${missing//$'\n'/ }"
# shellcheck disable=SC2086 # one word per package
apt install -y --no-install-recommends $missing
