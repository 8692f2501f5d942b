// Proves manifests/chart with the real helm: what it renders is manifests/base, wrong values are refused with a
// sentence, each value does what it says, and on a real API server install, upgrade and uninstall succeed.
package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const namespace = "starrocks-upgrade-gate"

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run test/chart/chart_test.sh", name)
	}
	return value
}

type object map[string]any

func at(value any, path ...any) any {
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			if o, ok := value.(object); ok {
				m = o
			}
			value = m[key]
		case int:
			list, _ := value.([]any)
			if key >= len(list) {
				return nil
			}
			value = list[key]
		}
	}
	return value
}

func id(o object) string { return fmt.Sprint(o["kind"], " ", at(o, "metadata", "name")) }

func parse(t *testing.T, text string) map[string]object {
	t.Helper()
	out := map[string]object{}
	for _, document := range regexp.MustCompile(`(?m)^---.*$`).Split(text, -1) {
		var o object
		// Strict: helm takes a key that comes twice, kustomize and Argo CD do not.
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			t.Fatalf("not YAML: %v\n%s", err, document)
		}
		if len(o) > 0 {
			if _, twice := out[id(o)]; twice {
				t.Errorf("%s is rendered twice", id(o))
			}
			out[id(o)] = o
		}
	}
	return out
}

func run(name string, arguments ...string) (string, string, error) {
	command := exec.Command(name, arguments...)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	err := command.Run()
	return out.String(), complaint.String(), err
}

func render(t *testing.T, flags ...string) (map[string]object, error) {
	t.Helper()
	arguments := append([]string{"template", "g", filepath.Join(env(t, "ROOT"), "manifests/chart"), "--namespace", namespace,
		"--kube-version", "1.34.0"}, flags...)
	out, complaint, err := run(env(t, "HELM"), arguments...)
	if err != nil {
		return nil, fmt.Errorf("%s", complaint)
	}
	return parse(t, out), nil
}

func must(t *testing.T, flags ...string) map[string]object {
	t.Helper()
	out, err := render(t, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What the chart adds to an object of the base, and nothing else.
func comparable(o object) object {
	text, _ := json.Marshal(o)
	var copied object
	_ = json.Unmarshal(text, &copied)
	delete(at(copied, "metadata").(map[string]any), "labels")
	if annotations, ok := at(copied, "metadata", "annotations").(map[string]any); ok {
		delete(annotations, "helm.sh/resource-policy")
		if len(annotations) == 0 {
			delete(at(copied, "metadata").(map[string]any), "annotations")
		}
	}
	if copied["kind"] == "Deployment" {
		delete(at(copied, "spec", "template", "metadata").(map[string]any), "labels")
		container := at(copied, "spec", "template", "spec", "containers", 0).(map[string]any)
		delete(container, "imagePullPolicy")
	}
	return copied
}

func TestTheChartRendersTheBase(t *testing.T) {
	out, complaint, err := run(env(t, "KUBECTL"), "kustomize", filepath.Join(env(t, "ROOT"), "manifests/base"))
	if err != nil {
		t.Fatal(complaint)
	}
	base, chart := parse(t, out), must(t)
	for name, wanted := range base {
		if name == "Namespace "+namespace {
			continue // helm has --create-namespace
		}
		actual, ok := chart[name]
		if !ok {
			t.Errorf("%s is not in the chart", name)
			continue
		}
		if !reflect.DeepEqual(comparable(wanted), comparable(actual)) {
			w, _ := yaml.Marshal(comparable(wanted))
			a, _ := yaml.Marshal(comparable(actual))
			t.Errorf("%s differs\n--- base\n%s--- chart\n%s", name, w, a)
		}
	}
	for name := range chart {
		if _, ok := base[name]; !ok && !strings.Contains(name, "upgrade-gate-uninstall") && !strings.HasSuffix(name, " upgrade-gate-test") {
			t.Errorf("%s is in the chart only", name)
		}
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for _, row := range []struct{ flag, says string }{
		{"--set=replicas=3", "replicas"},
		{"--set=image.tagg=1", "tagg"},
		{"--set=replicaCount=0", "replicaCount"},
		{"--set-string=replicaCount=two", "replicaCount"},
		{"--set=image.digest=latest", "digest"},
		{"--set=image.pullPolicy=Sometimes", "pullPolicy"},
		{"--set=certificates.source=vault", "certificates.source"},
		{"--set=certificates.source=existing", "needs certificates.secretName"},
		{"--set=certificates.secretName=mine", "certificates.source=existing"},
		{"--set=webhook.timeoutSeconds=60", "timeoutSeconds"},
		{"--set=webhook.port=443,hostNetwork=true", "want 1024 to 65535"},
		{"--set=extraArgs={default-hooks}", "extraArgs"},
		{"--set=rollouts.enabled=true,rollouts.admission=wait", "rollouts.admission"},
		{"--set=rollouts.rollout=stepwise", "need rollouts.enabled=true"},
		{"--set=uninstall.timeoutSeconds=1", "timeoutSeconds"},
		{"--set=prometheus.podMonitor.interval=often", "interval"},
		{"--set=tracing.sampler=always_on", "need tracing.endpoint"},
		{"--set=tracing.endpoint=collector:4318", "tracing.endpoint"},
		{"--set=tracing.endpoint=http://c,tracing.sampler=sometimes", "tracing.sampler"},
		{"--set=tracing.endpoint=http://c,tracing.samplerArg=2", "samplerArg"},
		{"--namespace=kube-system", "not in kube-system"},
		{"--set=image.registry=ghcr.io/", "image.registry"},
		{"--set=image.registry=https://ghcr.io", "image.registry"},
		{"--set=image.repository=upgrade-gate:1.2", "image.repository"},
		{"--set=image.repository=Upgrade-Gate", "image.repository"},
		{"--set-string=image.tag=v1 ", "image.tag"},
		{"--set-string=image.tag=v1@sha256:abc", "image.tag"},
		{"--set=scriptHookImage=mysql 8", "scriptHookImage"},
		{"--set=webhook.port=8080", "webhook.port and opsPort are both 8080"},
		{"--set=opsPort=443,hostNetwork=true", "opsPort=443 with hostNetwork"},
		{"--set=commonLabels.app\\.kubernetes\\.io/name=mine", "commonLabels: app.kubernetes.io.name is what"},
		{"--set=podLabels.app\\.kubernetes\\.io/name=mine", "podLabels: app.kubernetes.io.name is what"},
		{"--set=webhook.namespaceSelector.matchLabel.a=b", "matchLabel"},
		{"--set=extraEnv[0].nam=A", "nam"},
		{"--set=nameOverride=gate", "nameOverride"},
	} {
		t.Run(row.flag, func(t *testing.T) {
			_, err := render(t, row.flag)
			if err == nil {
				t.Fatal("was accepted")
			}
			if !strings.Contains(strings.ReplaceAll(err.Error(), "/", "."), row.says) {
				t.Errorf("does not say %q: %v", row.says, err)
			}
		})
	}
}

func webhooksOf(o object) []any {
	list, _ := at(o, "webhooks").([]any)
	return list
}

func TestEachValueDoesWhatItSays(t *testing.T) {
	container := []any{"spec", "template", "spec", "containers", 0}
	argsOf := func(all map[string]object) string {
		return fmt.Sprint(at(all["Deployment upgrade-gate"], append(container, "args")...))
	}
	t.Run("another namespace reaches every place", func(t *testing.T) {
		out, complaint, err := run(env(t, "HELM"), "template", "g", filepath.Join(env(t, "ROOT"), "manifests/chart"), "--namespace",
			"platform", "--kube-version", "1.34.0")
		if err != nil {
			t.Fatal(complaint)
		}
		for _, line := range strings.Split(out, "\n") {
			if strings.Contains(line, namespace) && !strings.Contains(line, "part-of") {
				t.Error(line)
			}
		}
		if !strings.Contains(out, "upgrade-gate.platform.svc") || !strings.Contains(out, "inject-ca-from: platform/upgrade-gate") {
			t.Error("the certificate or its injection is of another namespace")
		}
	})
	t.Run("default hooks gate every cluster", func(t *testing.T) {
		all := must(t, "--set=defaultHooks=recommended")
		if !strings.Contains(argsOf(all), "--default-hooks=recommended") {
			t.Error(argsOf(all))
		}
		for _, webhook := range webhooksOf(all["ValidatingWebhookConfiguration upgrade-gate"]) {
			for _, condition := range at(webhook, "matchConditions").([]any) {
				if at(condition, "name") == "hooks-configured" {
					t.Errorf("%v still asks for configured hooks", at(webhook, "name"))
				}
			}
		}
	})
	t.Run("tracing: the variables of the serving pods and of the Job before an uninstall", func(t *testing.T) {
		paths := map[string][]any{"Deployment upgrade-gate": container, "Job upgrade-gate-uninstall": container}
		for name, path := range paths {
			if env := fmt.Sprint(at(must(t)[name], append(path, "env")...)); strings.Contains(env, "OTEL_") {
				t.Errorf("%s has variables without being asked for: %v", name, env)
			}
		}
		all := must(t, "--set=tracing.endpoint=http://c:4318,tracing.sampler=traceidratio,tracing.headersSecret=otlp",
			"--set-string=tracing.samplerArg=0.1", "--set=extraEnv[0].name=OTEL_SERVICE_NAME,extraEnv[0].value=gate")
		for name, path := range paths {
			text := fmt.Sprint(at(all[name], append(path, "env")...))
			for _, part := range []string{"name:OTEL_EXPORTER_OTLP_ENDPOINT value:http://c:4318", "name:OTEL_TRACES_SAMPLER value:traceidratio",
				"name:OTEL_TRACES_SAMPLER_ARG value:0.1", "secretKeyRef:map[key:headers name:otlp]", "name:OTEL_SERVICE_NAME value:gate"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s lacks %s: %s", name, part, text)
				}
			}
		}
	})
	t.Run("led rollouts: the webhook, its right and the defaults", func(t *testing.T) {
		const name = "statefulsets.gate.starrocks.com"
		find := func(all map[string]object) map[string]any {
			for _, webhook := range webhooksOf(all["MutatingWebhookConfiguration upgrade-gate"]) {
				if at(webhook, "name") == name {
					return webhook.(map[string]any)
				}
			}
			return nil
		}
		if find(must(t)) != nil {
			t.Error("it is there without being asked for")
		}
		all := must(t, "--set=rollouts.enabled=true,rollouts.admission=hold,rollouts.rollout=stepwise",
			"--set=webhook.namespaceSelector.matchLabels.gated=yes", "--set=webhook.timeoutSeconds=15")
		webhook := find(all)
		if at(webhook, "failurePolicy") != "Fail" || fmt.Sprint(at(webhook, "timeoutSeconds")) != "5" {
			t.Errorf("the webhook is %v", webhook)
		}
		labels := at(webhook, "namespaceSelector", "matchLabels")
		if at(labels, "gate.starrocks.com/rollouts") != "enabled" || at(labels, "gated") != "yes" {
			t.Errorf("its namespaces are %v", labels)
		}
		if at(webhook, "clientConfig", "service", "namespace") != namespace {
			t.Errorf("it calls %v", at(webhook, "clientConfig"))
		}
		if _, ok := all["ClusterRole upgrade-gate-rollouts"]; !ok {
			t.Error("the right to read namespaces is missing")
		}
		for _, flag := range []string{"--upgrade-admission=hold", "--upgrade-rollout=stepwise"} {
			if !strings.Contains(argsOf(all), flag) {
				t.Errorf("no %s in %s", flag, argsOf(all))
			}
		}
	})
	t.Run("port", func(t *testing.T) {
		all := must(t, "--set=webhook.port=10250")
		if !strings.Contains(argsOf(all), ":10250") || fmt.Sprint(at(all["Deployment upgrade-gate"], append(container, "ports", 0, "containerPort")...)) != "10250" {
			t.Error(argsOf(all))
		}
	})
	t.Run("port of probes and metrics", func(t *testing.T) {
		all := must(t, "--set=opsPort=18080,hostNetwork=true")
		ports := fmt.Sprint(at(all["Deployment upgrade-gate"], append(container, "ports")...))
		if !strings.Contains(argsOf(all), "--ops-listen=:18080") || !strings.Contains(argsOf(all), "--listen=:9443") ||
			!strings.Contains(ports, "containerPort:18080 name:ops") || !strings.Contains(ports, "containerPort:9443 name:https") {
			t.Error(argsOf(all), ports)
		}
	})
	t.Run("a label that the chart has, too, is overruled once and everywhere", func(t *testing.T) {
		const part = "app.kubernetes.io/part-of"
		all := must(t, "--set=commonLabels.app\\.kubernetes\\.io/part-of=data,podLabels.app\\.kubernetes\\.io/part-of=pods",
			"--set=networkPolicy.enabled=true,prometheus.podMonitor.enabled=true,prometheus.rule.enabled=true",
			"--set=grafana.dashboards.enabled=true,commonLabels.release=a,prometheus.rule.labels.release=b")
		for name, o := range all {
			if got := at(o, "metadata", "labels", part); got != "data" {
				t.Errorf("%s is part of %v", name, got)
			}
		}
		if got := at(all["Deployment upgrade-gate"], "spec", "template", "metadata", "labels", part); got != "pods" {
			t.Errorf("the pods are part of %v", got)
		}
		if got := at(all["PrometheusRule upgrade-gate"], "metadata", "labels", "release"); got != "b" {
			t.Errorf("the rule is selected by %v", got)
		}
	})
	t.Run("topology spread", func(t *testing.T) {
		spread := []any{"spec", "template", "spec", "topologySpreadConstraints"}
		if got := at(must(t)["Deployment upgrade-gate"], append(spread, 0, "topologyKey")...); got != "kubernetes.io/hostname" {
			t.Errorf("by default over %v", got)
		}
		all := must(t, "--set=topologySpreadConstraints[0].topologyKey=rack,topologySpreadConstraints[0].maxSkew=1")
		if got := fmt.Sprint(at(all["Deployment upgrade-gate"], spread...)); got != "[map[maxSkew:1 topologyKey:rack]]" {
			t.Error(got)
		}
	})
	t.Run("an existing Secret and its CA", func(t *testing.T) {
		all := must(t, "--set=certificates.source=existing,certificates.secretName=mine,certificates.caBundle=QUJD")
		for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
			for _, webhook := range webhooksOf(all[kind+" upgrade-gate"]) {
				if at(webhook, "clientConfig", "caBundle") != "QUJD" {
					t.Errorf("%v has no CA", at(webhook, "name"))
				}
			}
		}
		if at(all["Deployment upgrade-gate"], "spec", "template", "spec", "volumes", 0, "secret", "secretName") != "mine" {
			t.Error("the Deployment mounts another Secret")
		}
		if _, ok := all["Certificate upgrade-gate"]; ok {
			t.Error("cert-manager is asked all the same")
		}
	})
	t.Run("cert-manager injects: no caBundle is rendered", func(t *testing.T) {
		for _, webhook := range webhooksOf(must(t)["ValidatingWebhookConfiguration upgrade-gate"]) {
			if at(webhook, "clientConfig", "caBundle") != nil {
				t.Errorf("%v renders a caBundle", at(webhook, "name"))
			}
		}
	})
	t.Run("image by digest", func(t *testing.T) {
		digest := "sha256:" + strings.Repeat("a", 64)
		all := must(t, "--set=image.registry=registry.example.com,image.digest="+digest)
		want := "registry.example.com/upgrade-gate@" + digest
		for _, path := range [][]any{append([]any{"Deployment upgrade-gate"}, container...), {"Job upgrade-gate-uninstall", "spec", "template", "spec", "containers", 0}} {
			if got := at(all[path[0].(string)], append(path[1:], "image")...); got != want {
				t.Errorf("%v: %v", path[0], got)
			}
		}
	})
	t.Run("monitoring", func(t *testing.T) {
		all := must(t, "--set=prometheus.podMonitor.enabled=true,prometheus.rule.enabled=true,grafana.dashboards.enabled=true,prometheus.rule.labels.release=kps")
		for _, name := range []string{"PodMonitor upgrade-gate", "PrometheusRule upgrade-gate", "ConfigMap upgrade-gate-dashboard-overview", "ConfigMap upgrade-gate-dashboard-upgrade"} {
			if _, ok := all[name]; !ok {
				t.Errorf("no %s", name)
			}
		}
		// Else Prometheus takes the label namespace of a preparation for that of the gate's pod.
		if got := at(all["PodMonitor upgrade-gate"], "spec", "podMetricsEndpoints", 0, "honorLabels"); got != true {
			t.Errorf("honorLabels: %v", got)
		}
		rule, _ := json.Marshal(at(all["PrometheusRule upgrade-gate"], "spec", "groups"))
		if !strings.Contains(string(rule), "{{ $labels.namespace }}") {
			t.Error("the alerts lost their templates")
		}
	})
	t.Run("without CRDs, budget and uninstall Job", func(t *testing.T) {
		all := must(t, "--set=crds.enabled=false,podDisruptionBudget.enabled=false,uninstall.restoreSettings=false")
		names := []string{}
		for name := range all {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, gone := range []string{"CustomResourceDefinition", "PodDisruptionBudget", "Job "} {
			if strings.Contains(strings.Join(names, "\n"), gone) {
				t.Errorf("%s is rendered", gone)
			}
		}
	})
	t.Run("neither the uninstall Job's pod nor the test's is behind the Service", func(t *testing.T) {
		all := must(t)
		selector := at(all["Service upgrade-gate"], "spec", "selector").(map[string]any)
		for _, labels := range []map[string]any{
			at(all["Job upgrade-gate-uninstall"], "spec", "template", "metadata", "labels").(map[string]any),
			at(all["Pod upgrade-gate-test"], "metadata", "labels").(map[string]any),
		} {
			matches := true
			for key, value := range selector {
				matches = matches && labels[key] == value
			}
			if matches {
				t.Errorf("reviews could be sent to %v", labels)
			}
		}
	})
	t.Run("helm test asks for a verdict, with the right to do so and no other", func(t *testing.T) {
		all := must(t)
		pod := all["Pod upgrade-gate-test"]
		if got := fmt.Sprint(at(pod, "spec", "containers", 0, "args")); !strings.Contains(got, "probe --webhook") {
			t.Error(got)
		}
		if at(pod, "spec", "serviceAccountName") != at(all["RoleBinding upgrade-gate-test"], "subjects", 0, "name") {
			t.Error("the pod has another account than the Role")
		}
		if got := fmt.Sprint(all["Role upgrade-gate-test"]["rules"]); got != "[map[apiGroups:[] resources:[configmaps] verbs:[create]]]" {
			t.Error(got)
		}
		for _, name := range []string{"Pod", "ServiceAccount", "Role", "RoleBinding"} {
			if at(all[name+" upgrade-gate-test"], "metadata", "annotations", "helm.sh/hook") != "test" {
				t.Errorf("%s is installed for good", name)
			}
		}
	})
	t.Run("readers of YAML 1.1 read it alike", func(t *testing.T) {
		if _, _, err := run("python3", "-c", "import yaml"); err != nil {
			t.Skip("no python3-yaml")
		}
		out, complaint, err := run(env(t, "HELM"), "template", "g", filepath.Join(env(t, "ROOT"), "manifests/chart"), "--namespace", namespace,
			"--kube-version", "1.34.0", "--set=prometheus.podMonitor.enabled=true,prometheus.rule.enabled=true,networkPolicy.enabled=true,grafana.dashboards.enabled=true")
		if err != nil {
			t.Fatal(complaint)
		}
		file := filepath.Join(t.TempDir(), "rendered.yaml")
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		read, complaint, err := run("python3", "-c", "import json, sys, yaml\nfor d in yaml.safe_load_all(open(sys.argv[1])):\n    if d: print(json.dumps(d))", file)
		if err != nil {
			t.Fatal(complaint)
		}
		theirs := map[string]object{}
		for _, line := range strings.Split(strings.TrimSpace(read), "\n") {
			var o object
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatal(err)
			}
			theirs[id(o)] = o
		}
		ours := parse(t, out)
		if len(ours) != len(theirs) {
			t.Errorf("%d objects, they read %d", len(ours), len(theirs))
		}
		for name := range ours {
			a, _ := json.Marshal(ours[name])
			b, _ := json.Marshal(theirs[name])
			if !bytes.Equal(a, b) {
				t.Errorf("%s is read otherwise:\n%s\n%s", name, a, b)
			}
		}
	})
}

// The hook's Job never ends without a controller: this ends it as the Job controller would.
func endJob(t *testing.T, succeeded bool, done <-chan struct{}) {
	conditions := `[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]`
	if !succeeded {
		conditions = `[{"type":"FailureTarget","status":"True","reason":"BackoffLimitExceeded"},{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}]`
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		select {
		case <-done:
			return
		default:
		}
		now := time.Now().UTC().Format(time.RFC3339)
		status := fmt.Sprintf(`{"status":{"startTime":%q,"conditions":%s}}`, now, conditions)
		if succeeded {
			status = fmt.Sprintf(`{"status":{"startTime":%q,"completionTime":%q,"succeeded":1,"conditions":%s}}`, now, now, conditions)
		}
		if _, _, err := run(env(t, "KUBECTL"), "patch", "job", "upgrade-gate-uninstall", "--namespace", namespace, "--subresource=status",
			"--type=merge", "--patch", status); err == nil {
			return
		}
	}
}

func TestInstallUpgradeUninstall(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("no API server")
	}
	helm := func(arguments ...string) (string, error) {
		out, complaint, err := run(env(t, "HELM"), append(arguments, "--namespace", namespace)...)
		return out + complaint, err
	}
	k := func(arguments ...string) string {
		out, complaint, err := run(env(t, "KUBECTL"), arguments...)
		if err != nil {
			return "ERROR " + complaint
		}
		return strings.TrimSpace(out)
	}
	chart := filepath.Join(env(t, "ROOT"), "manifests/chart")
	if out, err := helm("install", "g", chart, "--create-namespace", "--set=certificates.source=helm"); err != nil {
		t.Fatal(out)
	} else if !strings.Contains(out, "starrocks.com/prepare-upgrade") {
		t.Errorf("the notes do not say what to do next: %s", out)
	}
	ca := k("get", "validatingwebhookconfiguration", "upgrade-gate", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	if len(ca) < 100 {
		t.Fatalf("no CA: %s", ca)
	}
	if out, err := helm("upgrade", "g", chart, "--set=certificates.source=helm,replicaCount=3"); err != nil {
		t.Fatal(out)
	}
	if again := k("get", "validatingwebhookconfiguration", "upgrade-gate", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); again != ca {
		t.Error("the upgrade made another CA")
	}
	if replicas := k("get", "deployment", "upgrade-gate", "-n", namespace, "-o", "jsonpath={.spec.replicas}"); replicas != "3" {
		t.Errorf("replicas: %s", replicas)
	}
	if out, err := helm("rollback", "g", "1"); err != nil {
		t.Error(out)
	}

	uninstall := func(succeeds bool) (string, error) {
		done := make(chan struct{})
		defer close(done)
		go endJob(t, succeeds, done)
		return helm("uninstall", "g", "--timeout", "90s")
	}
	if out, err := uninstall(false); err == nil {
		t.Errorf("the Job failed and the release is gone: %s", out)
	}
	if still := k("get", "deployment", "upgrade-gate", "-n", namespace, "-o", "name"); strings.HasPrefix(still, "ERROR") {
		t.Errorf("a failed Job must leave everything: %s", still)
	}
	if out, err := uninstall(true); err != nil {
		t.Errorf("the second try: %s", out)
	}
	nothingLeft := func() {
		t.Helper()
		for _, kind := range []string{"validatingwebhookconfiguration", "mutatingwebhookconfiguration", "clusterrole", "clusterrolebinding"} {
			if left := k("get", kind, "-o", "name"); strings.Contains(left, "upgrade-gate") {
				t.Errorf("left behind: %s", left)
			}
		}
	}
	nothingLeft()
	if crd := k("get", "crd", "upgradepreparations.gate.starrocks.com", "-o", "name"); strings.HasPrefix(crd, "ERROR") {
		t.Errorf("the CRD, and every record with it, is gone: %s", crd)
	}

	// The documented way out, where what is pending can never be restored. The failed Job stays, for its log, and
	// the certificate that Helm made, which every uninstall keeps.
	if out, err := helm("install", "g", chart, "--set=certificates.source=helm"); err != nil {
		t.Fatal(out)
	}
	if out, err := uninstall(false); err == nil {
		t.Errorf("the Job failed and the release is gone: %s", out)
	}
	if out, err := helm("uninstall", "g", "--no-hooks"); err != nil {
		t.Errorf("without the Job: %s", out)
	}
	nothingLeft()
	if left := k("get", "all,secret,configmap,serviceaccount", "-n", namespace, "-o", "name"); left != "job.batch/upgrade-gate-uninstall\nsecret/upgrade-gate-tls" {
		t.Errorf("left behind in the namespace: %s", left)
	}
}
