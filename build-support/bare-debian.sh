#!/bin/bash
# Proves that a fresh Debian machine needs nothing but git and make: clones HEAD of this repository into a new
# debootstrap root and runs a make target there.
# usage: bare-debian.sh [bookworm|trixie] [TARGET...]     as root; the root stays in ${BARE_ROOT:-/var/tmp/roots/SUITE}
# KEEP=1 uses the root that is there, packages included; DEBIAN_MIRROR names a mirror other than debootstrap's own.
# SHARE_CCACHE=FOLDER: this machine's compiler cache, ~/.cache/ccache, is the root's, too. Where both are the same Debian
# nearly everything is in it, and a build of an hour takes minutes; without, the compiler's own work is proven as well.
set -euo pipefail

suite=${1:-bookworm}
shift || true
targets=("${@:-test-unit}")
root=${BARE_ROOT:-/var/tmp/roots/$suite}
source_tree=$(git -C "$(dirname "$0")/.." rev-parse --show-toplevel)

case $root in /|/usr*|/home) echo "bare-debian.sh: refusing to use $root" >&2; exit 2 ;; esac
[ "$(id -u)" -eq 0 ] || { echo "bare-debian.sh: chroot needs root" >&2; exit 77; }
command -v debootstrap >/dev/null || { echo "bare-debian.sh: debootstrap is missing (make install-packages)" >&2; exit 77; }

release() {
  local mount
  for mount in root/.cache/ccache dev proc; do
    if mountpoint -q "$root/$mount"; then umount --recursive --lazy "$root/$mount"; fi
  done
  if mountpoint -q "$root"; then umount --lazy "$root"; fi
}
trap release EXIT

release
if [ "${KEEP:-0}" != 1 ]; then rm -rf --one-file-system "$root"; fi
if [ ! -x "$root/usr/bin/apt-get" ]; then
  mkdir -p "$root"
  debootstrap --variant=minbase "$suite" "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$root.debootstrap.log" 2>&1 ||
    { tail -n 20 "$root.debootstrap.log" >&2; exit 1; }
fi

# A mount of its own, as which alone a test in the root can have other mounts than the rest (test/e2e/in-network.sh).
mount --bind "$root" "$root"
mount --make-private "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
if [ -n "${SHARE_CCACHE:-}" ]; then
  mkdir -p "$root/root/.cache/ccache"
  mount --bind "$SHARE_CCACHE" "$root/root/.cache/ccache"
fi
# The way out is this machine's: name resolution, apt's own options (a proxy), and CAs that its owner added, which
# the package ca-certificates picks up.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/hosts "$root/etc/hosts"
for option in /etc/apt/apt.conf.d/*; do
  if grep -qi acquire "$option"; then cp "$option" "$root/etc/apt/apt.conf.d/"; fi
done

if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -L /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
fi

# LANG as here: ccache counts it.
tree="$root/src/upgrade-gate"
rm -rf "$tree"
mkdir -p "$root/src"
git clone --quiet --no-hardlinks "$source_tree" "$tree"
inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG="${LANG:-C.UTF-8}" \
             ${CI:+CI="$CI"} ${GOFLAGS:+GOFLAGS="$GOFLAGS"} ${GOPROXY:+GOPROXY="$GOPROXY"} chroot "$root" "$@"; }
# git and make brought the user here; everything else is the project's own business.
inside sh -c 'command -v make git >/dev/null || { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends make git; }' </dev/null >"$root.apt.log" 2>&1 ||
  { tail -n 20 "$root.apt.log" >&2; exit 1; }
inside make -C /src/upgrade-gate "${targets[@]}" </dev/null
echo "$suite: make ${targets[*]}: done"
