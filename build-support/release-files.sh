#!/bin/bash
# Writes what a release consists of beside the image, with checksums, into a folder that it makes anew.
# usage: release-files.sh DIRECTORY BINARY       BINARY: upgrade-gate as built for release
#   IMAGE               as for install-yaml.sh
#   IMAGE_ARCHIVE       the image as an OCI archive (KEEP_IMAGE=FILE make image-test): its SBOM is made; without it there is
#                       none, and that is said
#   SOURCE_DATE_EPOCH   the times in the archives (default: those of the commit); the same tree gives the same bytes
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
directory=${1:?usage: release-files.sh DIRECTORY BINARY}
binary=${2:?usage: release-files.sh DIRECTORY BINARY}
"$root/build-support/version.sh" --check
version=$("$root/build-support/version.sh")
said=$("$binary" --version)
[[ " $said " == *" $version "* ]] || { echo "release-files.sh: $binary says \"$said\", not $version" >&2; exit 1; }
architecture=$(dpkg --print-architecture)
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/out"
"$root/build-support/install-yaml.sh" >"$work/out/install.yaml"
cp "$root/manifests/crd-extension/starrocksclusters-patch.yaml" "$work/out/crd-extension.yaml"
cp "$root/manifests/crd-extension/starrockswarehouses-patch.yaml" "$work/out/crd-extension-warehouses.yaml"
cp "$root/manifests/monitoring/alerts.yaml" "$work/out/alerts.yaml"
archive() { # FILE FOLDER: whoever runs this, and when, does not count
  tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -C "$2" -c . | gzip -n -9 >"$1"
}
mkdir "$work/dashboards" "$work/plugin"
cp "$root"/manifests/monitoring/dashboards/*.json "$work/dashboards"
archive "$work/out/dashboards.tar.gz" "$work/dashboards"

install -m 755 "$binary" "$work/plugin/kubectl-upgrade_gate"
strip --strip-unneeded "$work/plugin/kubectl-upgrade_gate"
install -m 755 "$root/manifests/plugin/kubectl_complete-upgrade_gate" "$work/plugin"
install -m 644 "$root/LICENSE" "$work/plugin"
plugin=kubectl-upgrade_gate-linux-$architecture.tar.gz
archive "$work/out/$plugin" "$work/plugin"
sum=$(sha256sum "$work/out/$plugin" | cut -d' ' -f1)
sed "s/sha256: \"0*\"/sha256: \"$sum\"/; s/arch: amd64/arch: $architecture/; s/linux-amd64/linux-$architecture/" \
  "$root/manifests/plugin/krew.yaml" >"$work/out/krew.yaml"
grep -q "$sum" "$work/out/krew.yaml"

if [[ -n ${IMAGE_ARCHIVE:-} ]]; then
  SOURCE_DATE_EPOCH=$epoch "$root/build-support/image-sbom.py" "$IMAGE_ARCHIVE" >"$work/out/upgrade-gate-image-$architecture.spdx.json"
else
  echo "release-files.sh: without the image's SBOM, as IMAGE_ARCHIVE names no image" >&2
fi

# The chart's links into manifests/ become files; helm itself is only wanted for its own archive format.
if helm=$("$root/build-support/build-helm.sh"); then
  "$helm" package --destination "$work/out" "$root/manifests/chart" >/dev/null
else
  echo "release-files.sh: without the chart, as there is no helm here" >&2
fi
(cd "$work/out" && sha256sum -- * >SHA256SUMS)
rm -rf "$directory"
mkdir -p "$(dirname "$directory")"
mv "$work/out" "$directory"
echo "$directory:"
ls -l "$directory"
