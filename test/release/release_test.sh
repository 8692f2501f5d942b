#!/bin/bash
# The files of a release: complete, of one version, the same bytes each time.
#   release_test.sh BINARY     exits 77, saying why, where there is no kubectl to render with
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
binary=$(realpath "${1:?usage: release_test.sh BINARY}")
assets=${KUBEBUILDER_ASSETS:-${XDG_CACHE_HOME:-$HOME/.cache}/upgrade-gate/kubernetes}
KUBECTL=$assets/kubectl
[[ -x $KUBECTL ]] || { echo "SKIPPED: no kubectl in $assets"; exit 77; }
export KUBECTL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { # NAME COMMAND...
  local name=$1 output; shift
  if output=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\n%s\n' "$name" "$output"; fi
}
refused() { # PART COMMAND...: it fails, and says PART
  local part=$1 output; shift
  if output=$("$@" 2>&1); then echo "was accepted: $output"; return 1; fi
  [[ $output == *"$part"* ]] || { echo "does not say \"$part\": $output"; return 1; }
}
same() { [[ $1 == "$2" ]] || { echo "expected: $2"; echo "found:    $1"; return 1; }; }

# --- The version ---------------------------------------------------------------------------------------------------------
version=$("$root/build-support/version.sh")
check "every file says one version" "$root/build-support/version.sh" --check
tree=$work/tree
mkdir -p "$tree/manifests/base" "$tree/manifests/chart" "$tree/manifests/plugin"
fresh() { for file in CMakeLists.txt Dockerfile build-support manifests/base/kustomization.yaml manifests/chart/Chart.yaml manifests/plugin/krew.yaml; do cp -r "$root/$file" "$tree/$(dirname "$file")"; done; }
for place in Dockerfile:ARG manifests/base/kustomization.yaml:newTag manifests/chart/Chart.yaml:^version \
  manifests/chart/Chart.yaml:appVersion manifests/plugin/krew.yaml:'version: v' manifests/plugin/krew.yaml:uri; do
  fresh
  sed -i "/${place#*:}/s/$version/9.9.8/" "$tree/${place%%:*}"
  check "another version in $place is found" refused "${place%%:*} does not say $version" "$tree/build-support/version.sh" --check
done
fresh
"$tree/build-support/version.sh" --set 12.0.34
check "a new version reaches every file" "$tree/build-support/version.sh" --check
check "and is the new one" same "$("$tree/build-support/version.sh")" 12.0.34
check "what is no version is refused" refused 'want X.Y.Z' "$tree/build-support/version.sh" --set 1.0-rc1

# --- Where the project lives -----------------------------------------------------------------------------------------------
check "every file says one address" "$root/build-support/repository.sh" --check
home=$work/home
git -C "$root" ls-files -z --cached --others --exclude-standard -- .github build-support manifests test/monitoring |
  (cd "$root" && xargs -0 cp -r --parents --no-dereference -t "$(mkdir -p "$home" && echo "$home")")
git -C "$home" init -q
sed -i 's|upgrade-gate/upgrade-gate/blob|somebody/else/blob|' "$home/manifests/monitoring/alerts.yaml"
check "another address is found" refused "manifests/monitoring/alerts.yaml does not say" "$home/build-support/repository.sh" --check
cp "$root/manifests/monitoring/alerts.yaml" "$home/manifests/monitoring/"
"$home/build-support/repository.sh" --set https://github.com/starrocks-tools/gate
check "a new address reaches every file" "$home/build-support/repository.sh" --check
check "and the owners" grep -q '^\*  *@starrocks-tools/maintainers$' "$home/.github/CODEOWNERS"
check "and nothing keeps the old one" same "$(grep -rlF -e "$("$root/build-support/repository.sh")" -e '@upgrade-gate/' "$home" || true)" ""
check "what is no address is refused" refused 'want https://github.com/OWNER/NAME' "$home/build-support/repository.sh" --set gate

# --- install.yaml --------------------------------------------------------------------------------------------------------
image_of() { IMAGE=$1 "$root/build-support/install-yaml.sh" | sed -n 's/^ *\(- \)\?image: \(..*\)$/\2/p'; }
digest=sha256:$(printf 'a%.0s' {1..64})
check "the image of this version" same "$(image_of '')" "upgrade-gate:$version"
check "an image without a tag gets that of this version" same "$(image_of registry.example.com:5000/sr/upgrade-gate)" "registry.example.com:5000/sr/upgrade-gate:$version"
check "a tag stays" same "$(image_of registry.example.com/upgrade-gate:mine)" registry.example.com/upgrade-gate:mine
check "a digest stays" same "$(image_of "r/upgrade-gate@$digest")" "r/upgrade-gate@$digest"
check "what is no image is refused" refused 'invalid IMAGE "a|b' env IMAGE='a|b' "$root/build-support/install-yaml.sh"

# --- All files -----------------------------------------------------------------------------------------------------------
export SOURCE_DATE_EPOCH=1700000000
check "the files are made" "$root/build-support/release-files.sh" "$work/one" "$binary"
check "and made again" "$root/build-support/release-files.sh" "$work/two" "$binary"
cd "$work/one"
check "their checksums hold" sha256sum --check --strict SHA256SUMS
for file in install.yaml crd-extension.yaml crd-extension-warehouses.yaml alerts.yaml dashboards.tar.gz krew.yaml; do
  check "$file is listed" grep -q "  $file\$" SHA256SUMS
done
# helm writes the time into its archive.
check "the same tree gives the same bytes" diff --exclude='upgrade-gate-*.tgz' --exclude=SHA256SUMS -r "$work/one" "$work/two"
plugin=$(ls kubectl-upgrade_gate-linux-*.tar.gz)
check "the krew manifest has the archive's checksum" grep -q "sha256: \"$(sha256sum "$plugin" | cut -d' ' -f1)\"" krew.yaml
check "and its name" grep -q "uri: .*/v$version/$plugin\$" krew.yaml
mkdir "$work/plugin"
tar -xzf "$plugin" -C "$work/plugin"
check "the archive has the licence" cmp "$work/plugin/LICENSE" "$root/LICENSE"
check "the plugin runs, under the name that kubectl looks for" env PATH="$work/plugin:$(dirname "$KUBECTL"):$PATH" "$KUBECTL" upgrade-gate --version
check "and kubectl finds its completion" test -x "$work/plugin/kubectl_complete-upgrade_gate"
if [[ -e upgrade-gate-$version.tgz ]]; then
  tar -xzf "upgrade-gate-$version.tgz" -C "$work"
  # The chart's folder has links into manifests/, its archive must have what they point to.
  check "the chart's archive has the CRD itself" cmp "$work/upgrade-gate/files/upgradepreparation.yaml" "$root/manifests/crd/upgradepreparation.yaml"
fi
check "a binary of another version is refused" refused 'not '"$version" "$root/build-support/release-files.sh" "$work/three" /bin/true

echo "$passed passed, $failed failed"
((failed == 0))
