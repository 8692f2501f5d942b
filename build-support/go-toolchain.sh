#!/bin/bash
# Prints the folder of a `go` that builds the module in MODULE_FOLDER: the PATH's own where it is new enough, else the
# pinned release, which Go's own module proxy serves as the module golang.org/toolchain. Debian 12 and 13 have an older Go
# than some of the real peers ask for; it fetches the newer one, once, into the user's cache, as it fetches any module:
# checked against Go's checksum database, and against the sums here.
#   PATH=$(go-toolchain.sh MODULE_FOLDER):$PATH
# Exits with 77, and says why on stderr, where there is neither.
set -euo pipefail

readonly release=go1.26.8
declare -rA sums=(
  [amd64]=h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=
  [arm64]=h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=
)

needed=$(awk '$1 == "go" { print $2; exit }' "${1:?usage: go-toolchain.sh MODULE_FOLDER}/go.mod")
leave() { echo "no Go $needed or newer: $*" >&2; exit 77; }
new_enough() { [ -n "$1" ] && [ "$(printf '%s\n' "$needed" "$1" | sort -V | head -n 1)" = "$needed" ]; }

own=$(command -v go) || leave "no go on the PATH (make install-packages)"
have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
if new_enough "$have"; then dirname "$own"; exit 0; fi
new_enough "${release#go}" || leave "$have is on the PATH, and $release is what this script fetches"

toolchain=${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/go/$release
if [ -x "$toolchain/bin/go" ]; then echo "$toolchain/bin"; exit 0; fi
mkdir -p "$toolchain.new"
exec 9>"$toolchain.lock"
flock --timeout 600 9
if [ -x "$toolchain/bin/go" ]; then echo "$toolchain/bin"; exit 0; fi

architecture=$(go env GOARCH)
echo "fetching $release ($have is on the PATH) into $toolchain (once; 70 MB)" >&2
answer=$(cd "$toolchain.new" && GOPATH=$toolchain.new GO111MODULE=on GOFLAGS=-modcacherw GOWORK=off GOTOOLCHAIN=local \
  go mod download -json "golang.org/toolchain@v0.0.1-$release.linux-$architecture" 2>&1) ||
  leave "$have is on the PATH, and $release could not be fetched: $(tail -n 1 <<<"$answer")"
member() { sed -n "s/^\t\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" <<<"$answer"; }
[ "$(member Sum)" = "${sums[$architecture]:-none}" ] ||
  leave "$release for $architecture has the sum $(member Sum), want ${sums[$architecture]:-one of amd64, arm64}"
fetched=$(member Dir)
# Modules have no executable files and no other go.mod; Go's own command restores both in this way, too.
chmod 755 "$fetched"/bin/* "$fetched"/pkg/tool/*/*
for module in src src/cmd; do mv "$fetched/$module/_go.mod" "$fetched/$module/go.mod"; done
mv -T "$fetched" "$toolchain"
rm -rf "$toolchain.new"
echo "$toolchain/bin"
