// A wave of upgrades on a real API server: many clusters change their images within seconds, some of them with an FE that
// hangs, in front of two replicas; or upgrades that the gate leads pod by pod (led.go). wave.sh prepares the control plane and says what is measured.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	atOnce       = 64 // requests of clients at the same time
	pollInterval = 250 * time.Millisecond
	// Four settings; the FE that hangs does so at what only the hook of its clusters asks.
	hooks        = "disable-tablet-clone,disable-tablet-balancing,disable-colocate-balance,disable-balancer"
	hangingHook  = "drain-tablet-scheduler"
	hangingAt    = "cluster_balance=3600"
	oldImage     = "starrocks/be-ubuntu:3.5.7"
	newImage     = "starrocks/be-ubuntu:3.5.8"
	gateUser     = "system:serviceaccount:starrocks-upgrade-gate:upgrade-gate"
	residentMiB  = 96
	requestsMax  = 15 // out of reach: docs/adr/0137
	requestsOwn  = 22 // what is reached instead: 19, what a refused first try adds, and a look or two
	repeatedMax  = time.Second
	slowdownMax  = 2.0
	ordinaryMax  = 2.0                   // times what it is without a wave,
	ordinaryLeft = 10 * time.Millisecond // where that is more than this
	firstTries   = 20
	firstOverMax = 50 * time.Millisecond // with four settings, over one that asks for nothing
)

type options struct {
	directory, gate, simulator, scripts, output string
	clusters, namespaces, hanging, replicas     int
	spread, patience                            time.Duration
	leads                                       bool
}

// cluster is one StarRocksCluster of a wave.
type cluster struct {
	namespace, name string
	hangs           bool
	plain           bool // asks for no hooks
}

func (c cluster) path() string {
	return "/apis/starrocks.com/v1/namespaces/" + c.namespace + "/starrocksclusters/" + c.name
}

func (c cluster) object() map[string]interface{} {
	names := hooks
	if c.hangs {
		names = hangingHook
	}
	annotations := map[string]string{"starrocks.com/prepare-upgrade": "true", "starrocks.com/upgrade-hooks": names}
	if c.plain {
		annotations = nil
	}
	return map[string]interface{}{
		"apiVersion": "starrocks.com/v1", "kind": "StarRocksCluster",
		"metadata": map[string]interface{}{"name": c.name, "namespace": c.namespace, "annotations": annotations},
		"spec": map[string]interface{}{
			"starRocksFeSpec": map[string]interface{}{"image": "starrocks/fe-ubuntu:3.5.7", "replicas": 1},
			"starRocksBeSpec": map[string]interface{}{"image": oldImage, "replicas": 1}},
	}
}

// moment is what was prepared by then.
type moment struct {
	after    time.Duration
	prepared int
}

// figures of one wave.
type figures struct {
	name                        string
	clusters, hanging           int
	prepared                    []moment
	all                         time.Duration // until all that do not hang were prepared; 0: they were not in time
	refused, failed             int           // first requests: not admitted (as it should), and anything else
	repeated                    []time.Duration
	notAdmitted                 int
	closed                      time.Duration
	requests                    map[string]int
	residentMiB                 []float64
	ordinaryBefore, ordinaryNow []time.Duration
}

func (f figures) requestsEach() float64 {
	sum := 0
	for _, count := range f.requests {
		sum += count
	}
	return float64(sum) / float64(f.clusters)
}

// parallel calls `work` for each index, `atOnce` at the same time; one starts not before its share of `spread`.
func parallel(count int, spread time.Duration, work func(int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for i := 0; i < atOnce; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for index := range next {
				work(index)
			}
		}()
	}
	began := time.Now()
	for i := 0; i < count; i++ {
		time.Sleep(time.Until(began.Add(spread * time.Duration(i) / time.Duration(count))))
		next <- i
	}
	close(next)
	all.Wait()
}

func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := append([]time.Duration(nil), values...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[int(share*float64(len(sorted)-1)+0.5)]
}

// audited counts the gate's requests in the audit log from `offset` on, watches left out; returns where the log ends.
func audited(path string, offset int64) (map[string]int, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	if _, err = file.Seek(offset, io.SeekStart); err != nil {
		return nil, 0, err
	}
	counts := map[string]int{}
	reader := bufio.NewReader(file)
	for {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return counts, offset, nil
		}
		if err != nil {
			return nil, 0, err
		}
		offset += int64(len(line))
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef struct{ Resource, Subresource string }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, 0, err
		}
		resource := event.ObjectRef.Resource
		if event.Verb == "watch" || event.User.Username != gateUser {
			continue
		}
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		counts[event.Verb+" "+resource]++
	}
}

func (w *world) clustersOf(wave string, hanging int) []cluster {
	var out []cluster
	for i := 0; i < w.clusters; i++ {
		// Spread over the namespaces: each has some.
		out = append(out, cluster{fmt.Sprintf("%s-%d", wave, i%w.namespaces), fmt.Sprintf("c%d", i), i < hanging, false})
	}
	return out
}

func (w *world) prepareObjects(wave string, namespaces int, clusters []cluster) error {
	for i := 0; i < namespaces; i++ {
		name := fmt.Sprintf("%s-%d", wave, i)
		body := map[string]interface{}{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]string{"name": name}}
		if status, _, err := w.call("POST", "/api/v1/namespaces", "application/json", body); err != nil || status != 201 {
			return fmt.Errorf("namespace %s: %d %v", name, status, err)
		}
	}
	failures := make(chan error, len(clusters))
	parallel(len(clusters), 0, func(i int) {
		c := clusters[i]
		path := c.path()[:strings.LastIndex(c.path(), "/")]
		status, answer, err := w.call("POST", path, "application/json", c.object())
		if err == nil && status == 201 {
			// As the operator has it: without a phase there is nothing to mirror a record into.
			status, answer, err = w.call("PATCH", c.path()+"/status", "application/merge-patch+json",
				map[string]interface{}{"status": map[string]string{"phase": "running"}})
		}
		if err != nil || status/100 != 2 {
			failures <- fmt.Errorf("%s/%s: %d %v %s", c.namespace, c.name, status, err, answer)
		}
	})
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

func (w *world) changeImage(c cluster) (int, time.Duration) {
	began := time.Now()
	status, _, err := w.call("PATCH", c.path(), "application/merge-patch+json", map[string]interface{}{
		"spec": map[string]interface{}{"starRocksBeSpec": map[string]string{"image": newImage}}})
	if err != nil {
		status = 0
	}
	return status, time.Since(began)
}

// lonely is one change after the other, without a wave: what the first request of a cluster takes, that asks for four
// settings, and of one that asks for nothing.
type lonely struct {
	asking, plain []time.Duration
	notAdmitted   int
}

func (l lonely) over() time.Duration { return quantile(l.asking, .5) - quantile(l.plain, .5) }

// tryFirst takes turns, so that what disturbs the machine disturbs both.
func (w *world) tryFirst() (lonely, error) {
	var l lonely
	note("first requests without a wave")
	var clusters []cluster
	for i := 0; i < 2*firstTries; i++ {
		clusters = append(clusters, cluster{namespace: "first-0", name: fmt.Sprintf("c%d", i), plain: i%2 == 0})
	}
	if err := w.prepareObjects("first", 1, clusters); err != nil {
		return l, err
	}
	for _, c := range clusters {
		status, took := w.changeImage(c)
		if status != 200 {
			l.notAdmitted++
		}
		if c.plain {
			l.plain = append(l.plain, took)
		} else {
			l.asking = append(l.asking, took)
		}
	}
	return l, nil
}

// wave lets all clusters change, repeat and stop asking, and measures it.
func (w *world) wave(name string, hanging int) (figures, error) {
	f := figures{name: name, clusters: w.clusters, hanging: hanging}
	clusters := w.clustersOf(name, hanging)
	note(name + ": creates the clusters")
	if err := w.prepareObjects(name, w.namespaces, clusters); err != nil {
		return f, err
	}
	f.ordinaryBefore = w.ordinaryReviews(nil)
	_, offset, err := audited(w.audit(), 0)
	if err != nil {
		return f, err
	}
	prepared0, closed0 := w.sum("upgrade_gate_preparations_completed_total"), w.sum("upgrade_gate_preparations_closed_total")

	note(name + ": changes them")
	over := make(chan struct{})
	ordinary := make(chan []time.Duration)
	go func() { ordinary <- w.ordinaryReviews(over) }()
	began := time.Now()
	var mutex sync.Mutex
	changed := make(chan struct{})
	go func() {
		parallel(len(clusters), w.spread, func(i int) {
			status, _ := w.changeImage(clusters[i])
			mutex.Lock()
			defer mutex.Unlock()
			if status == 403 {
				f.refused++
			} else if status != 200 {
				f.failed++
			}
		})
		close(changed)
	}()
	wanted := w.clusters - hanging
	for time.Since(began) < w.patience {
		done := w.sum("upgrade_gate_preparations_completed_total") - prepared0
		f.prepared = append(f.prepared, moment{time.Since(began), done})
		if done >= wanted {
			f.all = time.Since(began)
			break
		}
		time.Sleep(pollInterval)
	}
	<-changed
	close(over)
	f.ordinaryNow = <-ordinary

	note(fmt.Sprintf("%s: all prepared after %s; repeats", name, seconds(f.all)))
	parallel(wanted, 0, func(i int) {
		status, took := w.changeImage(clusters[hanging+i])
		mutex.Lock()
		defer mutex.Unlock()
		f.repeated = append(f.repeated, took)
		if status != 200 {
			f.notAdmitted++
		}
	})
	f.residentMiB = w.resident()
	// Without pods nothing ends a rollout; that nobody asks for hooks any more does: what was set is restored.
	note(name + ": stops asking for hooks")
	stopped := time.Now()
	parallel(wanted, 0, func(i int) {
		w.call("PATCH", clusters[hanging+i].path(), "application/merge-patch+json", map[string]interface{}{
			"metadata": map[string]interface{}{"annotations": map[string]interface{}{
				"starrocks.com/prepare-upgrade": nil, "starrocks.com/upgrade-hooks": nil}}})
	})
	for time.Since(stopped) < w.patience && f.closed == 0 {
		if w.sum("upgrade_gate_preparations_closed_total")-closed0 >= wanted {
			f.closed = time.Since(stopped)
		}
		time.Sleep(pollInterval)
	}
	f.requests, _, err = audited(w.audit(), offset)
	return f, err
}

func note(text string) { fmt.Fprintln(os.Stderr, "wave:", text) }

func seconds(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }

// when tells after what time `share` of the clusters that do not hang were prepared.
func (f figures) when(share float64) string {
	for _, m := range f.prepared {
		if float64(m.prepared) >= share*float64(f.clusters-f.hanging) {
			return seconds(m.after)
		}
	}
	return "never"
}

func most(values []float64) float64 {
	out := 0.0
	for _, value := range values {
		if value > out {
			out = value
		}
	}
	return out
}

func report(out io.Writer, waves []figures) {
	fmt.Fprintln(out, "| wave | 25 % prepared | 50 % | 75 % | all | last closed | repeated: p50 | p99 | not admitted |"+
		" API requests each | MiB | ordinary p99 before | in the wave |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, f := range waves {
		fmt.Fprintf(out, "| %d clusters, %d hang | %s | %s | %s | %s | %s | %s | %s | %d | %.1f | %.0f | %s | %s |\n", f.clusters,
			f.hanging, f.when(.25), f.when(.5), f.when(.75), seconds(f.all), seconds(f.closed), ms(quantile(f.repeated, .5)),
			ms(quantile(f.repeated, .99)), f.notAdmitted, f.requestsEach(), most(f.residentMiB),
			ms(quantile(f.ordinaryBefore, .99)), ms(quantile(f.ordinaryNow, .99)))
	}
	fmt.Fprintln(out, "\n| request | "+waves[0].name+" each | "+waves[1].name+" each |\n|---|---|---|")
	var names []string
	for name := range waves[0].requests {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(out, "| %s | %.2f | %.2f |\n", name, float64(waves[0].requests[name])/float64(waves[0].clusters),
			float64(waves[1].requests[name])/float64(waves[1].clusters))
	}
}

// judge prints each target with what was measured; returns whether all are met.
func judge(out io.Writer, first lonely, plain, hanging figures) bool {
	met := true
	fmt.Fprintln(out, "\n| target | measured | met |\n|---|---|---|")
	row := func(what, measured string, holds bool, otherwise string) {
		word := "yes"
		if !holds {
			word = otherwise
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", what, measured, word)
	}
	target := func(what, measured string, holds bool) {
		met = met && holds
		row(what, measured, holds, "NO")
	}
	target(fmt.Sprintf("first request without a wave, four settings: at most %s over one that asks for nothing (medians of %d)",
		ms(firstOverMax), firstTries),
		fmt.Sprintf("%s over %s, %d not admitted", ms(first.over()), ms(quantile(first.plain, .5)), first.notAdmitted),
		first.notAdmitted == 0 && len(first.asking) > 0 && first.over() <= firstOverMax)
	target(fmt.Sprintf("with FEs that hang the others are prepared in at most %g times the time", slowdownMax),
		seconds(hanging.all)+" against "+seconds(plain.all),
		plain.all > 0 && hanging.all > 0 && hanging.all.Seconds() <= slowdownMax*plain.all.Seconds())
	for _, f := range []figures{plain, hanging} {
		name := f.name + ": "
		target(name+"every first request is refused until it is prepared, none fails", fmt.Sprint(f.failed, " failed"), f.failed == 0)
		p99 := quantile(f.repeated, .99)
		target(name+"repeated requests admitted at once, p99 under "+seconds(repeatedMax),
			fmt.Sprintf("%s, %d not admitted", ms(p99), f.notAdmitted), f.notAdmitted == 0 && p99 < repeatedMax)
		requests := fmt.Sprintf("%.1f", f.requestsEach())
		row(fmt.Sprintf("%sat most %d API requests each", name, requestsMax), requests,
			f.closed > 0 && f.requestsEach() <= requestsMax, "out of reach")
		target(fmt.Sprintf("%sat most %d of them", name, requestsOwn), requests,
			f.closed > 0 && f.requestsEach() <= requestsOwn)
		target(fmt.Sprintf("%sat most %d MiB a replica", name, residentMiB), fmt.Sprintf("%.0f", most(f.residentMiB)),
			most(f.residentMiB) <= residentMiB)
		before, now := quantile(f.ordinaryBefore, .99), quantile(f.ordinaryNow, .99)
		target(name+"p99 of ordinary reviews unmoved", ms(before)+" to "+ms(now),
			now <= ordinaryLeft || now.Seconds() <= ordinaryMax*before.Seconds())
	}
	return met
}

func run(o options) (bool, error) {
	w, err := newWorld(o)
	if err != nil {
		return false, err
	}
	defer w.stop()
	if o.leads {
		met, text, err := w.runLed()
		if err != nil {
			return false, err
		}
		fmt.Print(string(text))
		return met, os.WriteFile(o.output, text, 0o644)
	}
	first, err := w.tryFirst()
	if err != nil {
		return false, err
	}
	plain, err := w.wave("plain", 0)
	if err != nil {
		return false, err
	}
	hanging, err := w.wave("hanging", o.hanging)
	if err != nil {
		return false, err
	}
	var text bytes.Buffer
	report(&text, []figures{plain, hanging})
	met := judge(&text, first, plain, hanging)
	fmt.Print(text.String())
	return met, os.WriteFile(o.output, text.Bytes(), 0o644)
}

func main() {
	var o options
	flag.StringVar(&o.directory, "control-plane", "", "what start-control-plane.sh has written, with tls and gate.kubeconfig")
	flag.StringVar(&o.gate, "gate", "", "program")
	flag.StringVar(&o.simulator, "simulator", "", "program")
	flag.StringVar(&o.scripts, "scripts", "", "test/e2e")
	flag.StringVar(&o.output, "output", "", "file for the tables")
	flag.IntVar(&o.clusters, "clusters", 1000, "of a wave")
	flag.IntVar(&o.namespaces, "namespaces", 20, "that they are in")
	flag.IntVar(&o.hanging, "hanging", 20, "of them, with an FE that hangs")
	flag.BoolVar(&o.leads, "led", false, "upgrades that the gate leads pod by pod, instead")
	flag.IntVar(&o.replicas, "replicas", 2, "of the gate")
	flag.DurationVar(&o.spread, "spread", 10*time.Second, "within which all change")
	flag.DurationVar(&o.patience, "patience", 10*time.Minute, "until all are prepared")
	flag.Parse()
	met, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "wave:", err)
		os.Exit(2)
	}
	if !met {
		os.Exit(1)
	}
}
