#!/bin/bash
# Prints manifests/base as one file for `kubectl apply --server-side -f`: cert-manager must be there.
# usage: install-yaml.sh >install.yaml
#   IMAGE=REGISTRY/upgrade-gate[:TAG|@DIGEST]   where the image was pushed to; without a tag that of this version
#   KUBECTL                                     the kubectl to render with
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
version=$("$root/build-support/version.sh")
kubectl=${KUBECTL:-$(command -v kubectl || true)}
[[ -n $kubectl ]] || kubectl=$("$root/build-support/build-kubernetes.sh")/kubectl
image=${IMAGE:-upgrade-gate:$version}
# A port of the registry is no tag.
[[ $image =~ @sha256:[0-9a-f]{64}$ || $image =~ :[^/:]+$ ]] || image=$image:$version
[[ $image =~ ^[A-Za-z0-9._:/@-]+$ ]] || { echo "install-yaml.sh: invalid IMAGE \"$image\": want REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST" >&2; exit 2; }

rendered=$("$kubectl" kustomize "$root/manifests/base")
# The one place that kustomization.yaml names the image of.
found=$(grep -c "^ *\(- \)\?image: upgrade-gate:${version//./\\.}\$" <<<"$rendered") || true
[[ $found == 1 ]] || { echo "install-yaml.sh: manifests/base names the image upgrade-gate:$version $found times, not once" >&2; exit 1; }
cat <<TEXT
# The StarRocks upgrade gate $version. cert-manager must be installed, which issues the webhook's certificate.
#   kubectl apply --server-side -f install.yaml
# Options (Helm values, kustomize components) are in manifests/ of the same release.
TEXT
sed "s|^\( *\(- \)\?image: \)upgrade-gate:${version//./\\.}\$|\1$image|" <<<"$rendered"
