package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Clusters whose upgrades the gate leads pod by pod, all at once. StatefulSets are real objects, written as the operator
// of before 1.11.4 writes them, through the gate's webhook; what a StatefulSet controller and a kubelet would do to pods
// is written into their status. One simulated database stands for all of them: it restarts once all are prepared, and
// from then on each node that a step waits for is new.
const (
	ledPods           = 3
	ledSteps          = 2 * ledPods
	ledFrom, ledTo    = "3.5.7", "3.5.8"
	ledPause          = time.Second // from an event to the operator's next pass
	ledRequestsMax    = 100         // of the gate, for each step
	ledPreparationMax = 100         // of the gate, until all are prepared: those that are first are led and looked at meanwhile
	ledNamespaceLabel = "gate.starrocks.com/rollouts"
)

// ledSet is one StatefulSet as it was last written or read.
type ledSet struct {
	kind                        string // fe or be
	image                       string
	partition, generation, done int
}

type ledCluster struct {
	cluster
	uid     string
	version string // resourceVersion of the object at the operator's last pass
	due     bool   // something of it changed since
	sets    []*ledSet
}

func ledImage(kind, version string) string { return "starrocks/" + kind + "-ubuntu:" + version }

func (c *ledCluster) object() map[string]interface{} {
	return map[string]interface{}{
		"apiVersion": "starrocks.com/v1", "kind": "StarRocksCluster",
		"metadata": map[string]interface{}{"name": c.name, "namespace": c.namespace, "annotations": map[string]string{
			"starrocks.com/prepare-upgrade": "true", "starrocks.com/upgrade-hooks": "disable-tablet-clone,disable-balancer",
			"starrocks.com/upgrade-rollout": "stepwise", "starrocks.com/upgrade-admission": "hold"}},
		"spec": map[string]interface{}{
			"starRocksFeSpec": map[string]interface{}{"image": ledImage("fe", ledFrom), "replicas": ledPods},
			"starRocksBeSpec": map[string]interface{}{"image": ledImage("be", ledFrom), "replicas": ledPods}},
	}
}

func (c *ledCluster) setPath(kind string) string {
	return "/apis/apps/v1/namespaces/" + c.namespace + "/statefulsets/" + c.name + "-" + kind
}

// written is what the operator asks for: the image, no partition, and the hash of that.
func (c *ledCluster) written(kind, version string) map[string]interface{} {
	labels := map[string]string{"app.kubernetes.io/component": kind, "app.starrocks.ownerreference/name": c.name + "-" + kind}
	return map[string]interface{}{
		"apiVersion": "apps/v1", "kind": "StatefulSet",
		"metadata": map[string]interface{}{"name": c.name + "-" + kind, "namespace": c.namespace, "labels": labels,
			"annotations": map[string]string{"app.starrocks.components/hash": "hash-" + version},
			"ownerReferences": []interface{}{map[string]interface{}{"apiVersion": "starrocks.com/v1", "kind": "StarRocksCluster",
				"name": c.name, "uid": c.uid, "controller": true}}},
		"spec": map[string]interface{}{"replicas": ledPods, "serviceName": c.name + "-" + kind + "-search",
			"podManagementPolicy": "Parallel",
			"selector":            map[string]interface{}{"matchLabels": labels},
			"updateStrategy":      map[string]interface{}{"type": "RollingUpdate", "rollingUpdate": map[string]int{"partition": 0}},
			"template": map[string]interface{}{"metadata": map[string]interface{}{"labels": labels},
				"spec": map[string]interface{}{"containers": []interface{}{
					map[string]string{"name": kind, "image": ledImage(kind, version)}}}}},
	}
}

// storedSet are the fields of an answer that count.
type storedSet struct {
	Metadata struct{ Generation int }
	Spec     struct {
		UpdateStrategy struct{ RollingUpdate struct{ Partition int } }
		Template       struct {
			Spec struct{ Containers []struct{ Image string } }
		}
	}
}

func (s *ledSet) read(answer string) error {
	var stored storedSet
	if err := json.Unmarshal([]byte(answer), &stored); err != nil {
		return err
	}
	if len(stored.Spec.Template.Spec.Containers) != 1 {
		return fmt.Errorf("a StatefulSet without a container: %s", answer)
	}
	s.image = stored.Spec.Template.Spec.Containers[0].Image
	s.partition, s.generation = stored.Spec.UpdateStrategy.RollingUpdate.Partition, stored.Metadata.Generation
	return nil
}

func (w *world) must(method, path, kind string, body interface{}) (string, error) {
	status, answer, err := w.call(method, path, kind, body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return answer, err
}

// report writes the status of a set whose pods are all up, `done` of them new.
func (w *world) reportSet(c *ledCluster, s *ledSet) error {
	_, err := w.must("PATCH", c.setPath(s.kind)+"/status", "application/merge-patch+json", map[string]interface{}{
		"status": map[string]interface{}{"observedGeneration": s.generation, "replicas": ledPods, "readyReplicas": ledPods,
			"availableReplicas": ledPods, "updatedReplicas": s.done, "currentReplicas": ledPods - s.done}})
	return err
}

func (w *world) createLed(c *ledCluster) error {
	answer, err := w.must("POST", c.path()[:strings.LastIndex(c.path(), "/")], "application/json", c.object())
	if err != nil {
		return err
	}
	var made struct{ Metadata struct{ UID string } }
	if err = json.Unmarshal([]byte(answer), &made); err != nil {
		return err
	}
	c.uid = made.Metadata.UID
	if _, err = w.must("PATCH", c.path()+"/status", "application/merge-patch+json",
		map[string]interface{}{"status": map[string]string{"phase": "running"}}); err != nil {
		return err
	}
	for _, kind := range []string{"fe", "be"} {
		s := &ledSet{kind: kind, done: ledPods}
		path := c.setPath(kind)
		if answer, err = w.must("POST", path[:strings.LastIndex(path, "/")], "application/json", c.written(kind, ledFrom)); err != nil {
			return err
		}
		if err = s.read(answer); err != nil {
			return err
		}
		if err = w.reportSet(c, s); err != nil {
			return err
		}
		c.sets = append(c.sets, s)
	}
	return nil
}

// pass is one of the operator's over a cluster, FE first, and one of the StatefulSet controller: in each set one more pod
// is new where the partition lets it. Tells what moved out of its turn.
func (w *world) pass(c *ledCluster) (outOfTurn []string, err error) {
	c.due = false
	for _, s := range c.sets {
		if s.image == ledImage(s.kind, ledTo) && s.partition == 0 && s.done == ledPods {
			continue
		}
		before := *s
		answer, err := w.must("PATCH", c.setPath(s.kind), "application/merge-patch+json", c.written(s.kind, ledTo))
		if err != nil {
			return outOfTurn, err
		}
		if err = s.read(answer); err != nil {
			return outOfTurn, err
		}
		if s.image != before.image {
			s.done = 0
		}
		if s.image == ledImage(s.kind, ledTo) && s.done < ledPods-s.partition {
			s.done++
			if s.kind == "fe" && (c.sets[1].image != ledImage("be", ledTo) || c.sets[1].done != ledPods) {
				outOfTurn = append(outOfTurn, c.name+": an FE before the BEs")
			}
		}
		if *s == before {
			continue
		}
		c.due = true
		if err = w.reportSet(c, s); err != nil {
			return outOfTurn, err
		}
	}
	return outOfTurn, nil
}

// versions of all clusters by "namespace/name".
func (w *world) versions() (map[string]string, error) {
	answer, err := w.must("GET", "/apis/starrocks.com/v1/starrocksclusters", "application/json", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Namespace, Name, ResourceVersion string }
		}
	}
	if err = json.Unmarshal([]byte(answer), &list); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, item := range list.Items {
		out[item.Metadata.Namespace+"/"+item.Metadata.Name] = item.Metadata.ResourceVersion
	}
	return out, nil
}

// operate passes over each cluster to which something happened, until `over`.
func (w *world) operate(clusters []*ledCluster, over func() bool, f *ledFigures) error {
	for began := time.Now(); !over(); time.Sleep(ledPause) {
		if time.Since(began) > w.patience {
			return nil
		}
		versions, err := w.versions()
		if err != nil {
			return err
		}
		var mutex sync.Mutex
		parallel(len(clusters), 0, func(i int) {
			c := clusters[i]
			version := versions[c.namespace+"/"+c.name]
			if !c.due && c.version == version {
				return
			}
			c.version = version
			moved, failed := w.pass(c)
			mutex.Lock()
			defer mutex.Unlock()
			f.outOfTurn = append(f.outOfTurn, moved...)
			if failed != nil { // as an operator does
				f.writesFailed++
				c.due = true
				note(fmt.Sprint("led: tried again: ", failed))
			}
		})
	}
	return nil
}

// ledFigures are what is measured.
type ledFigures struct {
	clusters, notAdmitted    int
	preparation, steps       map[string]int // requests of the gate
	prepared, closed         time.Duration  // 0: never
	residentBefore, resident float64
	succeeded, writesFailed  int
	outOfTurn                []string
}

func total(requests map[string]int) int {
	sum := 0
	for _, count := range requests {
		sum += count
	}
	return sum
}

func (w *world) led() (ledFigures, error) {
	f := ledFigures{clusters: w.clusters}
	note("led: creates the clusters")
	for i := 0; i < w.namespaces; i++ {
		if _, err := w.must("POST", "/api/v1/namespaces", "application/json", map[string]interface{}{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]interface{}{"name": fmt.Sprintf("led-%d", i),
				"labels": map[string]string{ledNamespaceLabel: "enabled"}}}); err != nil {
			return f, err
		}
	}
	clusters := make([]*ledCluster, w.clusters)
	var failure atomic.Value
	parallel(w.clusters, 0, func(i int) {
		clusters[i] = &ledCluster{cluster: cluster{namespace: fmt.Sprintf("led-%d", i%w.namespaces), name: fmt.Sprintf("c%d", i)}}
		if err := w.createLed(clusters[i]); err != nil {
			failure.Store(err)
		}
	})
	if err, failed := failure.Load().(error); failed {
		return f, err
	}
	_, offset, err := audited(w.audit(), 0)
	if err != nil {
		return f, err
	}
	f.residentBefore = most(w.resident())
	completed, closed := "upgrade_gate_preparations_completed_total", "upgrade_gate_preparations_closed_total"
	completed0, closed0 := w.sum(completed), w.sum(closed)

	note("led: changes the images of all")
	began := time.Now()
	var refused atomic.Int64
	parallel(w.clusters, w.spread, func(i int) {
		status, answer, err := w.call("PATCH", clusters[i].path(), "application/merge-patch+json", map[string]interface{}{
			"spec": map[string]interface{}{"starRocksFeSpec": map[string]string{"image": ledImage("fe", ledTo)},
				"starRocksBeSpec": map[string]string{"image": ledImage("be", ledTo)}}})
		if err != nil || status != 200 {
			refused.Add(1)
			note(fmt.Sprint("led: not admitted: ", status, err, answer))
		}
	})
	f.notAdmitted = int(refused.Load())
	preparing := func() bool { return w.sum(completed)-completed0 >= w.clusters }
	if err = w.operate(clusters, preparing, &f); err != nil {
		return f, err
	}
	if !preparing() {
		return f, nil
	}
	f.prepared = time.Since(began)
	if f.preparation, offset, err = audited(w.audit(), offset); err != nil {
		return f, err
	}
	note(fmt.Sprintf("led: all prepared after %s; rolls", seconds(f.prepared)))
	if _, err = io.WriteString(w.database, "rollout "+ledTo+"\n"); err != nil {
		return f, err
	}
	rolled := func() bool { return w.sum(closed)-closed0 >= w.clusters }
	if err = w.operate(clusters, rolled, &f); err != nil {
		return f, err
	}
	if rolled() {
		f.closed = time.Since(began)
	}
	f.resident = most(w.resident())
	f.succeeded = w.sum(`upgrade_gate_preparations_closed_total{outcome="Succeeded"}`)
	if f.steps, _, err = audited(w.audit(), offset); err != nil {
		return f, err
	}
	for _, c := range clusters {
		for _, s := range c.sets {
			if s.image != ledImage(s.kind, ledTo) || s.done != ledPods {
				f.outOfTurn = append(f.outOfTurn, c.name+": "+s.kind+" is not new")
				w.explain(c, s)
			}
		}
	}
	return f, nil
}

// explain notes what is stored of an upgrade that did not come to its end.
func (w *world) explain(c *ledCluster, s *ledSet) {
	note(fmt.Sprintf("led: %s: last seen by the operator: version %s, %+v", c.name, c.version, *s))
	records := "/apis/gate.starrocks.com/v1alpha1/namespaces/" + c.namespace + "/upgradepreparations"
	for _, path := range []string{c.path(), c.setPath(s.kind), records} {
		answer, err := w.must("GET", path, "application/json", nil)
		note(fmt.Sprint("led: ", path, ": ", answer, err))
	}
}

func reportLed(out io.Writer, f ledFigures) {
	fmt.Fprintf(out, "%d clusters, %d steps each: all prepared after %s, all closed after %s; %d writes of StatefulSets"+
		" failed and were repeated\n\n", f.clusters, ledSteps, seconds(f.prepared), seconds(f.closed), f.writesFailed)
	fmt.Fprintln(out, "| request of the gate | each until prepared | each per step |\n|---|---|---|")
	names := map[string]bool{}
	for _, some := range []map[string]int{f.preparation, f.steps} {
		for name := range some {
			names[name] = true
		}
	}
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		fmt.Fprintf(out, "| %s | %.2f | %.2f |\n", name, float64(f.preparation[name])/float64(f.clusters),
			float64(f.steps[name])/float64(f.clusters*ledSteps))
	}
}

// judgeLed prints each target with what was measured; returns whether all are met.
func judgeLed(out io.Writer, f ledFigures) bool {
	met := true
	fmt.Fprintln(out, "\n| target | measured | met |\n|---|---|---|")
	target := func(what, measured string, holds bool) {
		met = met && holds
		fmt.Fprintf(out, "| %s | %s | %s |\n", what, measured, map[bool]string{true: "yes", false: "NO"}[holds])
	}
	target("every change is admitted at once", fmt.Sprint(f.notAdmitted, " not admitted"), f.notAdmitted == 0)
	target("every upgrade ends as Succeeded", fmt.Sprintf("%d of %d, after %s", f.succeeded, f.clusters, seconds(f.closed)),
		f.closed > 0 && f.succeeded == f.clusters)
	target("no pod moves out of its turn", strings.Join(append([]string{fmt.Sprint(len(f.outOfTurn))}, f.outOfTurn...), "; "),
		len(f.outOfTurn) == 0)
	each := float64(total(f.preparation)) / float64(f.clusters)
	target(fmt.Sprintf("at most %d API requests each until prepared", ledPreparationMax), fmt.Sprintf("%.1f", each),
		f.prepared > 0 && each <= ledPreparationMax)
	step := float64(total(f.steps)) / float64(f.clusters*ledSteps)
	target(fmt.Sprintf("at most %d for each step", ledRequestsMax), fmt.Sprintf("%.1f", step), f.closed > 0 && step <= ledRequestsMax)
	target(fmt.Sprintf("at most %d MiB a replica", residentMiB), fmt.Sprintf("%.0f, %.0f before", f.resident, f.residentBefore),
		f.resident > 0 && f.resident <= residentMiB)
	return met
}

func (w *world) runLed() (bool, []byte, error) {
	f, err := w.led()
	if err != nil {
		return false, nil, err
	}
	var text bytes.Buffer
	reportLed(&text, f)
	met := judgeLed(&text, f)
	return met, text.Bytes(), nil
}
