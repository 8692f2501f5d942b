#!/usr/bin/env python3
"""Writes the SBOM of the container image (SPDX 2.3, JSON) to standard output: what the image's own dpkg database lists,
the program, and what was compiled into it (/usr/share/doc/upgrade-gate/built-with, which the Dockerfile writes).

    image-sbom.py IMAGE_ARCHIVE        an OCI archive, as `KEEP_IMAGE=FILE make image-test`, skopeo or podman write it

SOURCE_DATE_EPOCH is the document's time (default: the image's own). The same archive gives the same bytes.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tarfile
import urllib.parse

DPKG_STATUS = "var/lib/dpkg/status"
BUILT_WITH = "usr/share/doc/upgrade-gate/built-with"
PROGRAM = "usr/bin/upgrade-gate"
OS_RELEASE = ("usr/lib/os-release", "etc/os-release")
REPOSITORY_FILE = os.path.join(os.path.dirname(__file__), "repository")


def read_blob(archive, digest):
    return archive.extractfile("blobs/" + digest.replace(":", "/")).read()


def image_of(archive):
    """The image's configuration and the files of it that count here, as the topmost layer has them."""
    index = json.load(archive.extractfile("index.json"))
    if len(index["manifests"]) != 1:
        raise SystemExit(f"image-sbom.py: {len(index['manifests'])} images in the archive: want one")
    digest = index["manifests"][0]["digest"]
    manifest = json.loads(read_blob(archive, digest))
    config = json.loads(read_blob(archive, manifest["config"]["digest"]))
    wanted = {DPKG_STATUS, BUILT_WITH, PROGRAM, *OS_RELEASE}
    files = {}
    for layer in manifest["layers"]:
        blob = read_blob(archive, layer["digest"])
        if blob[:2] == b"\x1f\x8b":
            blob = gzip.decompress(blob)
        with tarfile.open(fileobj=io.BytesIO(blob)) as content:
            for member in content:
                name = member.name.removeprefix("./").removeprefix("/")
                folder, _, last = name.rpartition("/")
                if last.startswith(".wh."):
                    files.pop(f"{folder}/{last[4:]}", None)
                elif name in wanted and member.isfile():
                    files[name] = content.extractfile(member).read()
    return digest, config, files


def stanzas(text):
    """Of a Debian control file: dictionaries of the fields' first lines."""
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            if line[:1] not in (" ", "\t") and ": " in line:
                name, value = line.split(": ", 1)
                fields[name] = value
        if fields:
            yield fields


def purl(name, version, architecture, distribution):
    quote = urllib.parse.quote
    return f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro=debian-{distribution}"


def package(spdx_id, name, version, purpose, reference=None, source=None):
    entry = {"SPDXID": spdx_id, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
             "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
             "copyrightText": "NOASSERTION", "primaryPackagePurpose": purpose}
    if reference:
        entry["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": reference}]
    if source:
        entry["sourceInfo"] = f"built from the Debian source package {source}"
    return entry


def identifier(*parts):
    return "SPDXRef-" + "-".join(re.sub(r"[^A-Za-z0-9.-]", "-", part) for part in parts)


def debian_package(kind, fields, distribution):
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    return package(identifier(kind, name, architecture), name, version, "LIBRARY",
                   purl(name, version, architecture, distribution), fields.get("Source", name))


def document(archive_file):
    with tarfile.open(archive_file) as archive:
        digest, config, files = image_of(archive)
    for file in (DPKG_STATUS, BUILT_WITH, PROGRAM):
        if file not in files:
            raise SystemExit(f"image-sbom.py: the image has no /{file}")
    release = next(files[name] for name in OS_RELEASE if name in files).decode()
    distribution = re.search(r'^VERSION_ID="?([0-9.]+)', release, re.M)[1]
    labels = config["config"]["Labels"]
    version = labels["org.opencontainers.image.version"]
    created = config["created"]
    if "SOURCE_DATE_EPOCH" in os.environ:
        created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc).isoformat()
    created = created[:19] + "Z"
    with open(REPOSITORY_FILE, encoding="utf-8") as file:
        repository = file.read().strip()

    image = package("SPDXRef-image", "upgrade-gate-image", version, "CONTAINER")
    program = package("SPDXRef-upgrade-gate", "upgrade-gate", version, "APPLICATION")
    program["checksums"] = [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(files[PROGRAM]).hexdigest()}]
    program["licenseDeclared"] = "Apache-2.0"
    program["sourceInfo"] = "revision " + labels["org.opencontainers.image.revision"]
    installed = [debian_package("deb", fields, distribution) for fields in stanzas(files[DPKG_STATUS].decode())
                 if fields["Status"] == "install ok installed"]
    built_in = [debian_package("built-in", fields, distribution) for fields in stanzas(files[BUILT_WITH].decode())]

    def related(one, how, other):
        return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}

    relationships = [related("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"),
                     related("SPDXRef-image", "CONTAINS", "SPDXRef-upgrade-gate")]
    relationships += [related("SPDXRef-image", "CONTAINS", entry["SPDXID"]) for entry in installed]
    relationships += [related("SPDXRef-upgrade-gate", "STATIC_LINK", entry["SPDXID"]) for entry in built_in]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"upgrade-gate-{version}",
            "documentNamespace": f"{repository}/sbom/{version}/{digest.split(':')[1]}",
            "creationInfo": {"created": created, "creators": [f"Tool: upgrade-gate-image-sbom-{version}"]},
            "packages": [image, program, *installed, *built_in], "relationships": relationships}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: image-sbom.py IMAGE_ARCHIVE")
    json.dump(document(sys.argv[1]), sys.stdout, indent=1, sort_keys=True)
    print()
