#!/bin/bash
# Builds the container image from the Dockerfile, looks into it, and runs it as Kubernetes would: no registry, no daemon.
#   image_test.sh     (as root; exits 77, saying why, where it cannot run)
# The base is a debootstrap root (Debian 12, minbase) in place of docker.io's debian:12-slim; its tarball and the
# compiler's cache are kept, everything else is removed. KEEP_IMAGE=FILE also writes the image there (an OCI archive).
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
readonly kSuite=bookworm
readonly kBase=localhost/upgrade-gate-base:12
readonly kImage=localhost/upgrade-gate:test
readonly kGrowthMbMax=40   # Over the base. A compiler or -dev package that slips in costs more than this.
readonly kReadySeconds=20
readonly kStopSeconds=60   # terminationGracePeriodSeconds in the Deployment.

skip() { echo "SKIPPED: $*"; exit 77; }
(($(id -u) == 0)) || skip "the image is built as root"
for program in buildah debootstrap curl openssl python3; do
  command -v $program >/dev/null || skip "no $program (make install-packages)"
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate
# vfs, which is nothing but copies, works everywhere, nested containers included.
work=$(mktemp -d /var/tmp/upgrade-gate-image.XXXXXX)
# Limits of what buildah runs: some versions raise them to numbers of their own, which is not allowed everywhere; to lower
# them is. Enough for a compiler on each processor.
limits=(--ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
server=
cleanup() {
  [[ -z $server ]] || kill -9 "$server" 2>/dev/null || true
  buildah umount --all >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

passed=0 failed=0
check() { # NAME COMMAND...
  local name=$1 output; shift
  if output=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\n%s\n' "$name" "$output"; fi
}
same() { [[ $1 == "$2" ]] || { echo "expected: $2"; echo "found:    $1"; return 1; }; }
finish() { echo "$passed passed, $failed failed"; ((failed == 0)); exit; }

# --- Base and build ------------------------------------------------------------------------------------------------------
base_tar=$cache/debian-$kSuite-minbase.tar
if [[ ! -s $base_tar ]]; then
  echo "debootstrap $kSuite"
  debootstrap --variant=minbase "$kSuite" "$work/base" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log"; exit 1; }
  rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
  mkdir -p "$cache"
  # Renamed when complete: an interrupted run leaves no half a base.
  tar -C "$work/base" -cf "$base_tar.$$" .
  mv "$base_tar.$$" "$base_tar"
  rm -rf "$work/base"
fi
base=$(buildah from scratch)
buildah add --quiet "$base" "$base_tar" / >/dev/null
buildah commit --quiet --rm "$base" $kBase >/dev/null

version=$(sed -n 's/^project(upgrade-gate VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
echo "building (about two minutes the first time)"
buildah bud --isolation chroot --pull-never "${limits[@]}" --build-arg BASE=$kBase --build-arg VERSION="$version" \
  --build-arg REVISION="$revision" -t $kImage "$root" >"$work/build.log" 2>&1 || { tail -60 "$work/build.log"; exit 1; }
archive=${KEEP_IMAGE:-$work/image.oci}
buildah push --quiet $kImage "oci-archive:$archive"

# --- What it says --------------------------------------------------------------------------------------------------------
config() { buildah inspect --type image --format "{{$1}}" $kImage; }
label() { config "index .OCIv1.Config.Labels \"org.opencontainers.image.$1\""; }
check "the user is a number, and not root" same "$(config .OCIv1.Config.User)" 65532:65532
check "entry point" same "$(config .OCIv1.Config.Entrypoint)" "[/usr/bin/upgrade-gate]"
check "command" same "$(config .OCIv1.Config.Cmd)" "[serve]"
check "no HEALTHCHECK" same "$(config .Docker.Config.Healthcheck)" "<nil>"
check "label title" same "$(label title)" upgrade-gate
check "label description" test -n "$(label description)"
check "label version" same "$(label version)" "$version"
check "label revision" same "$(label revision)" "$revision"
check "Dockerfile's default version" grep -qx "ARG VERSION=$version" "$root/Dockerfile"
check "the manifests' tag" grep -q "newTag: $version\$" "$root/manifests/base/kustomization.yaml"

# --- What is in it -------------------------------------------------------------------------------------------------------
container=$(buildah from --pull-never "${limits[@]}" $kImage)
rootfs=$(buildah mount "$container")
in_image() { chroot --userspec=65532:65532 "$rootfs" "$@"; }
missing_libraries() { in_image ldd /usr/bin/upgrade-gate | grep "not found"; }
check "every library is there" same "$(missing_libraries || true)" ""
tools() { (cd "$rootfs" && compgen -G "usr/bin/*g++*" || compgen -G "usr/bin/cmake" || compgen -G "src*" || compgen -G "usr/include/*"); }
check "nothing of the build is there" same "$(tools || true)" ""
writable() { (cd "$rootfs" && find usr etc -xdev \( -user 65532 -o -perm -o+w ! -type l \) ! -path 'etc/resolv.conf' | head); }
check "the program's user can change nothing" same "$(writable)" ""
size_mb() { du -sm --apparent-size "$1" | cut -f1; }
growth=$(($(size_mb "$rootfs") - $(($(stat -c %s "$base_tar") / 1024 / 1024))))
check "it is small: $growth MiB over the base" test "$growth" -le $kGrowthMbMax

# --- Its SBOM says what is in it, by the image's own dpkg --------------------------------------------------------------------
"$root/build-support/image-sbom.py" "$archive" >"$work/sbom.json" || echo '{}' >"$work/sbom.json"
check "the SBOM" "$root/test/image/sbom_check.py" "$work/sbom.json" "$rootfs" "$version"

# --- It runs: any user's view of --version, then serve with a read-only root, as in the Deployment ------------------------
version_line=$(buildah run --isolation chroot "$container" -- /usr/bin/upgrade-gate --version 2>&1 || true)
check "--version" grep -qF "$version" <<<"$version_line"
flags_help=$(buildah run --isolation chroot "$container" -- /usr/bin/upgrade-gate serve --help 2>&1 || true)
unknown_flags() {
  local flag
  grep -hoE -- "--[a-z-]+=" "$root"/manifests/base/deployment.yaml "$root"/manifests/components/*/kustomization.yaml | tr -d = | sort -u | while read -r flag; do
    grep -qE -- "(^|[ ,])$flag([ ,:]|\$)" <<<"$flags_help" || echo "$flag"
  done
}
check "it knows every flag in the manifests" same "$(unknown_flags)" ""

"$root/certs/make-certificates.sh" "$work/certs" 127.0.0.1
chmod 755 "$work/certs"
chown 0:65532 "$work/certs/tls.key" && chmod 440 "$work/certs/tls.key"
chmod 444 "$work/certs/tls.crt" "$work/certs/ca.crt"
free_port() {
  local port
  while port=$((RANDOM % 20000 + 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
https=$(free_port) ops=$(free_port)
mkdir -p "$rootfs/certs"
# exec all the way: the server keeps this shell's process id, and gets the signal that a kubelet would send.
# shellcheck disable=SC2016
unshare --mount -- sh -euc '
  rootfs=$1 certs=$2; shift 2
  mount --bind "$rootfs" "$rootfs"
  mount --bind "$certs" "$rootfs/certs"
  mount --rbind /dev "$rootfs/dev"
  mount -t proc proc "$rootfs/proc"
  mount -o remount,bind,ro "$rootfs"
  exec setpriv --no-new-privs --inh-caps=-all chroot --userspec=65532:65532 "$rootfs" /usr/bin/upgrade-gate "$@"' \
  sh "$rootfs" "$work/certs" serve --store=memory --frontend-address=127.0.0.1:1 --listen="127.0.0.1:$https" --ops-listen="127.0.0.1:$ops" \
  --tls-cert-file=/certs/tls.crt --tls-key-file=/certs/tls.key >"$work/server.log" 2>&1 &
server=$!

ready() {
  local until=$((SECONDS + kReadySeconds))
  until curl -fsS --max-time 2 "http://127.0.0.1:$ops/livez"; do
    kill -0 "$server" 2>/dev/null && ((SECONDS < until)) || { cat "$work/server.log"; return 1; }
    sleep 0.1
  done
}
check "/livez answers" ready
check "no root" same "$(awk '/^Uid:/ { print $2, $3 }' "/proc/$server/status" 2>/dev/null)" "65532 65532"
check "no capability" same "$(awk '/^Cap(Inh|Prm|Eff):/ { print $2 }' "/proc/$server/status" 2>/dev/null | sort -u)" 0000000000000000
https_code() { curl -sS --max-time 5 --cacert "$work/certs/ca.crt" -o /dev/null -w '%{http_code}' "https://127.0.0.1:$https/nowhere" 2>&1; }
check "HTTPS with the mounted certificate" same "$(https_code)" 404
stop() {
  kill -TERM "$server"
  local until=$((SECONDS + kStopSeconds)) code=0
  while kill -0 "$server" 2>/dev/null; do
    ((SECONDS < until)) || { echo "still running"; cat "$work/server.log"; return 1; }
    sleep 0.1
  done
  wait "$server" || code=$?
  ((code == 0)) || { echo "exit code $code"; cat "$work/server.log"; return 1; }
}
# In this shell, not in check's subshell, which cannot wait for the server.
if stop; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: SIGTERM ends it with exit code 0"; fi
server=
finish
