#!/usr/bin/env python3
"""Compares an SBOM of the image (SPDX 2.3, JSON) with the image's root: sbom_check.py SBOM ROOTFS VERSION.

Packages are asked of the image's own dpkg-query, the program's digest of the file. Prints each fault; exits with 1 if any.
"""

import hashlib
import json
import subprocess
import sys

sbom_file, rootfs, version = sys.argv[1:]
with open(sbom_file, encoding="utf-8") as text:
    sbom = json.load(text)
faults = []


def same(what, expected, found):
    if expected != found:
        faults.append(f"{what}\n  expected: {expected}\n  found:    {found}")


# What SPDX 2.3 requires of a document, a package and a relationship.
for member in ("spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages"):
    same(f"has {member}", True, member in sbom)
packages = {}
for package in sbom.get("packages", []):
    for member in ("SPDXID", "name", "downloadLocation"):
        same(f"{package.get('name')} has {member}", True, member in package)
    same(f"{package.get('SPDXID')} occurs once", False, package.get("SPDXID") in packages)
    packages[package.get("SPDXID")] = package
related = {}
for relationship in sbom.get("relationships", []):
    for end in ("spdxElementId", "relatedSpdxElement"):
        same(f"{relationship[end]} is described", True, relationship[end] in packages or relationship[end] == "SPDXRef-DOCUMENT")
    related.setdefault((relationship["spdxElementId"], relationship["relationshipType"]), set()).add(
        relationship["relatedSpdxElement"])

installed = subprocess.run(
    ["chroot", rootfs, "dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"],
    check=True, capture_output=True, text=True).stdout.splitlines()
expected = {line.removeprefix("installed ") for line in installed if line.startswith("installed ")}
found = set()
for spdx_id in related.get(("SPDXRef-image", "CONTAINS"), set()) - {"SPDXRef-upgrade-gate"}:
    package = packages[spdx_id]
    purl = package["externalRefs"][0]["referenceLocator"]
    architecture = purl.split("?arch=")[1].split("&")[0]
    found.add(f"{package['name']} {package['versionInfo']} {architecture}")
same("packages that are not listed", [], sorted(expected - found))
same("packages that are not installed", [], sorted(found - expected))
same("some packages", True, len(expected) > 50)

program = packages.get("SPDXRef-upgrade-gate", {})
same("the program's version", version, program.get("versionInfo"))
with open(f"{rootfs}/usr/bin/upgrade-gate", "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
same("the program's digest", digest, program.get("checksums", [{}])[0].get("checksumValue"))
built_in = {packages[one]["name"] for one in related.get(("SPDXRef-upgrade-gate", "STATIC_LINK"), set())}
same("what is compiled in", {"nlohmann-json3-dev", "libcli11-dev", "libspdlog-dev", "libyaml-cpp-dev"}, built_in)

print("\n".join(faults))
sys.exit(bool(faults))
