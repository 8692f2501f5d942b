#!/usr/bin/env python3
"""Renders the manifests as users do: every component alone and with every other one, as shipped, in another namespace,
with a name prefix or suffix, and all of that; then checks that in each rendering every name that one object has of
another is the name of an object that is there.
  renderings_test.py KUBECTL      (exits 77, saying why, without kubectl or PyYAML)
"""
import concurrent.futures
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    print("skipped: no python3-yaml (make install-packages)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPONENTS = ["bypass-policy", "default-hooks", "network-policy", "record-policy", "script-hooks", "without-cert-manager",
              "rollouts"]
# How the installation is called: lines of the kustomization around the base.
PLACES = {
    "as shipped": [],
    "another namespace": ["namespace: platform"],
    "a prefix": ["namePrefix: sr-"],
    "all of it": ["namespace: platform", "namePrefix: sr-", "nameSuffix: -b"],
}


def kubectl_of(given):
    folder = os.environ.get("KUBEBUILDER_ASSETS") or os.path.expanduser("~/.cache/upgrade-gate/kubernetes")
    for name in [given, os.path.join(folder, "kubectl"), shutil.which("kubectl")]:
        if name and os.access(name, os.X_OK):
            return name
    print("skipped: no kubectl in " + folder + " or PATH; set KUBEBUILDER_ASSETS")
    sys.exit(77)


def folder_of(component):
    return "manifests/rollouts" if component == "rollouts" else "manifests/components/" + component


def write(folder, lines):
    folder.mkdir(parents=True)
    head = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    (folder / "kustomization.yaml").write_text("\n".join(head + lines) + "\n")


def render(kubectl, folder):
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        return None, done.stderr.strip()
    return [o for o in yaml.safe_load_all(done.stdout) if o], ""


class Rendering:
    """What is wrong with one rendering, in sentences."""

    def __init__(self, objects):
        self.objects = objects
        self.faults = []
        # kustomize does not know that these have no namespace; the API server takes it off.
        for o in self.of("ValidatingAdmissionPolicy") + self.of("ValidatingAdmissionPolicyBinding"):
            o["metadata"].pop("namespace", None)
        self.secrets = {(o["metadata"].get("namespace"), o["spec"]["secretName"]) for o in self.of("Certificate")}
        self.secrets |= {(o["metadata"].get("namespace"), o["metadata"]["name"]) for o in self.of("Secret")}

    def of(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def want(self, holds, text):
        if not holds:
            self.faults.append(text)

    def there(self, what, kind, name, namespace=None):
        found = any(o["metadata"]["name"] == name and o["metadata"].get("namespace") == namespace for o in self.of(kind))
        self.want(found, f"{what} names {kind} {namespace}/{name}, which is not there")

    def check(self, expected):
        self.unique()
        self.deployment(expected)
        self.access()
        self.webhooks()
        self.policies()
        for o in self.objects:
            if "rollouts" not in expected.get("components", []) and o["kind"] == "ClusterRole":
                self.want("rollouts" not in o["metadata"]["name"], "a role for rollouts that nobody asked for")
        return self.faults

    def unique(self):
        keys = [(o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in self.objects]
        self.want(len(keys) == len(set(keys)), "an object is there twice")
        named = {o["metadata"]["namespace"] for o in self.objects if "namespace" in o["metadata"]}
        self.want(len(named) == 1, f"the objects are in {sorted(named)}")
        self.want([o["metadata"]["name"] for o in self.of("Namespace")] == sorted(named), "the namespace has another name")

    def deployment(self, expected):
        (deployment,) = self.of("Deployment")
        namespace = deployment["metadata"]["namespace"]
        pod = deployment["spec"]["template"]["spec"]
        self.there("the Deployment", "ServiceAccount", pod["serviceAccountName"], namespace)
        for volume in pod["volumes"]:
            self.want((namespace, volume["secret"]["secretName"]) in self.secrets, "nobody makes the mounted Secret")
        arguments = dict(a[2:].split("=", 1) for a in pod["containers"][0]["args"][1:])
        self.want(len(arguments) == len(pod["containers"][0]["args"]) - 1, "a flag is there twice")
        self.there("--caller-secret", "Secret", arguments["caller-secret"], namespace)
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]:
            self.there("--webhook-configurations", kind, arguments["webhook-configurations"])
        for flag, component in [("default-hooks", "default-hooks"), ("script-hook-image", "script-hooks")]:
            self.want((flag in arguments) == (component in expected["components"]), f"--{flag}: not as asked for")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        for o in self.of("Service") + self.of("PodDisruptionBudget") + self.of("NetworkPolicy"):
            spec = o["spec"]
            wanted = spec.get("podSelector", spec.get("selector"))
            wanted = wanted.get("matchLabels", wanted)
            self.want(wanted.items() <= labels.items(), f"{o['kind']} selects other pods")

    def access(self):
        for o in self.of("RoleBinding") + self.of("ClusterRoleBinding"):
            what = o["kind"] + " " + o["metadata"]["name"]
            role = o["roleRef"]
            self.there(what, role["kind"], role["name"], o["metadata"].get("namespace") if role["kind"] == "Role" else None)
            for subject in o["subjects"]:
                self.there(what, "ServiceAccount", subject["name"], subject["namespace"])
        kinds = {"validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
                 "mutatingwebhookconfigurations": "MutatingWebhookConfiguration", "secrets": "Secret"}
        for o in self.of("Role") + self.of("ClusterRole"):
            for rule in o["rules"]:
                for name, resource in itertools.product(rule.get("resourceNames", []), rule["resources"]):
                    if resource in kinds:
                        self.there("Role " + o["metadata"]["name"], kinds[resource], name, o["metadata"].get("namespace"))

    def webhooks(self):
        certificates = {(c["metadata"]["namespace"] + "/" + c["metadata"]["name"]): c for c in self.of("Certificate")}
        for c in certificates.values():
            self.there("Certificate " + c["metadata"]["name"], "Issuer", c["spec"]["issuerRef"]["name"],
                       c["metadata"]["namespace"])
        for o in self.of("ValidatingWebhookConfiguration") + self.of("MutatingWebhookConfiguration"):
            source = o["metadata"].get("annotations", {}).get("cert-manager.io/inject-ca-from")
            self.want(bool(certificates) == bool(source), "cert-manager and the annotation for it come together")
            if certificates and source not in certificates:
                self.faults.append(f"inject-ca-from names {source}, which is not there")
                continue
            for webhook in o["webhooks"]:
                service = webhook["clientConfig"]["service"]
                self.there(webhook["name"], "Service", service["name"], service["namespace"])
                if certificates:
                    names = certificates[source]["spec"]["dnsNames"]
                    self.want(f"{service['name']}.{service['namespace']}.svc" in names, f"the certificate is for {names}")
                elif "rollouts" not in webhook["name"] and webhook["name"] != "statefulsets.gate.starrocks.com":
                    self.want("caBundle" in webhook["clientConfig"], f"{webhook['name']} has no CA")

    def policies(self):
        for o in self.of("ValidatingAdmissionPolicyBinding"):
            self.there("the binding", "ValidatingAdmissionPolicy", o["spec"]["policyName"])
        (account,) = self.of("ServiceAccount")
        wanted = f"'{account['metadata']['namespace']}' + ':' + '{account['metadata']['name']}'"
        for o in self.of("ValidatingAdmissionPolicy"):
            text = o["spec"]["validations"][0]["expression"]
            self.want("userInfo" not in text or wanted in text, f"who may write records is {text}")


def cases(work):
    """(name, folder, what is expected); the folders are written."""
    sets = [[]] + [[c] for c in COMPONENTS] + [list(p) for p in itertools.combinations(COMPONENTS, 2)] + [COMPONENTS]
    for number, (place, components) in enumerate(itertools.product(PLACES, sets)):
        inner, outer = work / f"{number}-inner", work / f"{number}"
        at = [f"../{folder_of(c)}" for c in components]
        write(inner, ["resources: [../manifests/base]", f"components: {at}"] + PLACES[place])
        names = "other-names" if "without-cert-manager" in components else "certificate-names"
        last = [f"../manifests/components/{names}"] if PLACES[place] else []
        write(outer, [f"resources: [../{inner.name}]", f"components: {last}"])
        yield f"{' and '.join(components) or 'the base'}, {place}", outer, {"components": components}


def main():
    kubectl = kubectl_of(sys.argv[1] if len(sys.argv) > 1 else None)
    failed = passed = 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        shutil.copytree(ROOT / "manifests", work / "manifests")
        certificates = work / "manifests/components/without-cert-manager/certificates"
        certificates.mkdir(exist_ok=True)
        for file in ["tls.crt", "tls.key", "ca.crt"]:
            (certificates / file).write_text("PEM\n")
        # What is checked would be noticed: without the names' component a moved installation has faults.
        write(work / "broken", ["resources: [../manifests/base]", "components: [../manifests/components/record-policy]",
                                *PLACES["all of it"]])
        faults = Rendering(render(kubectl, work / "broken")[0]).check({"components": ["record-policy"]})
        for part in ["--caller-secret", "--webhook-configurations", "inject-ca-from", "Issuer", "who may write records",
                     "Role sr-upgrade-gate-webhook-paths-b"]:
            if not any(part in fault for fault in faults):
                failed += 1
                print(f"FAILED: no fault about {part} where nothing writes the names: {faults}")
        todo = list(cases(work))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            rendered = pool.map(lambda case: render(kubectl, case[1]), todo)
            for (what, _, expected), (objects, error) in zip(todo, rendered):
                faults = [error] if objects is None else Rendering(objects).check(expected)
                passed, failed = (passed + 1, failed) if not faults else (passed, failed + 1)
                for fault in sorted(set(faults)):
                    print(f"FAILED: {what}: {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
