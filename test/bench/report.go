package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type samples []float64

func (s *samples) add(value float64) { *s = append(*s, value) }
func (s samples) median() float64    { return median(s) }

// point is what the servers were given to do.
type point struct {
	size, connections int
	paced, changing   bool
}

func judged(size int) point { return point{size: size, connections: judgedConnections} }
func changing(size int) point {
	return point{size: size, connections: judgedConnections, changing: true}
}
func paced(size int) point { return point{size: size, connections: judgedConnections, paced: true} }

// run is one server at one point; an entry for each round.
type run struct {
	server string
	point
	rounds []figures
}

// server's figures that are not of a throughput run.
type serverResults struct {
	kind
	binaryBytes                                                     int64
	readyMs                                                         samples
	idleKiB, crowdKiB, attackKiB                                    samples
	idleCPUPercent                                                  samples
	aloneP99Ms, aloneMaxMs, attackP99Ms, attackMaxMs, newcomerMaxMs samples
	burstP50Ms, burstMaxMs                                          samples
	handshakesPerSecond, handshakeCPUUs                             samples
	changePeakKiB, changeLeftKiB                                    samples // of one review, over idle
	failed                                                          int
}

type results struct {
	began, ended              time.Time
	command                   string
	seconds, rounds           int
	runs                      []*run
	servers                   []*serverResults
	earlyReviews, lateReviews int
	earlyKiB, lateKiB         float64
	rollingFailed             float64
	storedKiB, storedPeakKiB  float64 // of the gate, beside many stored objects
	busyBefore                time.Duration
	othersPercent             float64
	targets                   []target
}

// target is a promise of the gate: measured must not be above (or below, for a least) wanted.
type target struct {
	name             string
	wanted, measured float64
	least            bool
	unit             string
}

// outOfReach are targets that nobody can meet who asks before an admission: two reads and an answer cost more than they
// leave (docs/adr/0119). They are told of, and do not decide the exit code, which would otherwise tell nothing any more.
var outOfReach = map[string]bool{
	"8 KB, image change: CPU of the peer, of the gate's":  true,
	"60 KB, image change: CPU of the peer, of the gate's": true,
}

func (t target) verdict() string {
	switch {
	case math.IsNaN(t.measured), math.IsInf(t.measured, 0):
		return "not measured"
	case t.least && t.measured >= t.wanted, !t.least && t.measured <= t.wanted:
		return "met"
	case outOfReach[t.name]:
		return "out of reach"
	default:
		return "MISSED"
	}
}

func newResults(b *bench) *results {
	r := &results{began: time.Now(), command: "make bench", seconds: int(b.length.Seconds()), rounds: b.rounds, busyBefore: busy(),
		earlyKiB: math.NaN(), lateKiB: math.NaN(), rollingFailed: math.NaN(), storedKiB: math.NaN(), storedPeakKiB: math.NaN()}
	if b.long {
		r.command = "BENCH_LONG=1 " + r.command
	}
	if b.only != "" {
		r.command = "BENCH_ONLY=" + b.only + " " + r.command
	}
	for _, k := range b.kinds {
		s := &serverResults{kind: k}
		if file, err := os.Stat(k.binary); err == nil {
			s.binaryBytes = file.Size()
		}
		r.servers = append(r.servers, s)
	}
	return r
}

// of is empty for a server that is not there.
func (r *results) of(name string) *serverResults {
	for _, s := range r.servers {
		if s.name == name {
			return s
		}
	}
	return &serverResults{}
}

func (r *results) find(server string, p point) *run {
	for _, one := range r.runs {
		if one.server == server && one.point == p {
			return one
		}
	}
	return &run{}
}

func (r *results) addRun(server string, p point, f figures) {
	found := r.find(server, p)
	if found.server == "" {
		found = &run{server: server, point: p}
		r.runs = append(r.runs, found)
	}
	found.rounds = append(found.rounds, f)
}

// The median of the rounds' ratios: a round's runs follow each other, so that a busy host disturbs both.
func ratio(above, below []float64) float64 {
	var ratios []float64
	for i := range above {
		if i < len(below) {
			ratios = append(ratios, above[i]/below[i])
		}
	}
	return median(ratios)
}

func (r *results) compare(part func(figures) float64, above, below string, p point) float64 {
	values := func(server string) (list []float64) {
		for _, f := range r.find(server, p).rounds {
			list = append(list, part(f))
		}
		return list
	}
	return ratio(values(above), values(below))
}

func cpu(f figures) float64       { return f.cpuUs }
func perSecond(f figures) float64 { return f.perSecond }

func (r *results) failedRequests() float64 {
	failed := r.of(gateName).failed
	for _, one := range r.runs {
		if one.server == gateName {
			failed += medians(one.rounds).failed
		}
	}
	return float64(failed)
}

const mebi = 1024

// judge compares with what the gate promises. Ratios are of this run only.
func (r *results) judge() []target {
	g := r.of(gateName)
	perBody := (medians(r.find(gateName, judged(large)).rounds).peakKiB - g.idleKiB.median()) / judgedConnections
	return []target{
		{"8 KB: CPU per request, of nginx's", 2.5, r.compare(cpu, gateName, nginxName, judged(small)), false, "times"},
		{"8 KB: the same, at the same rate", 2.5, r.compare(cpu, gateName, nginxName, paced(small)), false, "times"},
		{"8 KB: requests/s, of nginx's", 0.40, r.compare(perSecond, gateName, nginxName, judged(small)), true, "times"},
		{"8 KB: CPU of the peer, of the gate's", 4, r.compare(cpu, peerName, gateName, judged(small)), true, "times"},
		{"60 KB: CPU per request, of nginx's", 2, r.compare(cpu, gateName, nginxName, judged(medium)), false, "times"},
		{"60 KB: the same, at the same rate", 2, r.compare(cpu, gateName, nginxName, paced(medium)), false, "times"},
		{"60 KB: CPU of the peer, of the gate's", 8, r.compare(cpu, peerName, gateName, judged(medium)), true, "times"},
		{"3 MiB: CPU of the peer, of the gate's", 10, r.compare(cpu, peerName, gateName, judged(large)), true, "times"},
		{"3 MiB: memory for each body in flight", 10e6 / 1024 / mebi, perBody / mebi, false, "MiB"},
		{"8 KB, image change: CPU of the peer, of the gate's", 8, r.compare(cpu, peerName, gateName, changing(small)), true, "times"},
		{"60 KB, image change: CPU of the peer, of the gate's", 8, r.compare(cpu, peerName, gateName, changing(medium)), true, "times"},
		{"3 MiB, image change: CPU of the peer, of the gate's", 8, r.compare(cpu, peerName, gateName, changing(large)), true, "times"},
		{"8 KB, image change: CPU of the peer that asks as much, of the gate's", 0.9, r.compare(cpu, askerName, gateName, changing(small)), true, "times"},
		{"60 KB, image change: CPU of the peer that asks as much, of the gate's", 2, r.compare(cpu, askerName, gateName, changing(medium)), true, "times"},
		{"3 MiB, image change: CPU of the peer that asks as much, of the gate's", 8, r.compare(cpu, askerName, gateName, changing(large)), true, "times"},
		{"3 MiB, one image change: memory over idle", 32, g.changePeakKiB.median() / mebi, false, "MiB"},
		{fmt.Sprintf("the same, %d s later", int(givenBackAfter.Seconds())), 4, g.changeLeftKiB.median() / mebi, false, "MiB"},
		{fmt.Sprintf("resident memory, %d stored clusters of %s listed and changed", storedClusters, sizeName(storedSize)), 64, r.storedPeakKiB / mebi, false, "MiB"},
		{"longest request of 800/s, first ones of connections included", 35, g.aloneMaxMs.median(), false, "ms"},
		{"p99 in a crowd of 256 idle and 512 slow, of p99 alone", 1.25, ratio(g.attackP99Ms, g.aloneP99Ms), false, "times"},
		{"new connection served in that crowd (the slowest)", 50, g.newcomerMaxMs.median(), false, "ms"},
		{"CPU with 256 idle connections, of a core", 0.5, g.idleCPUPercent.median(), false, "%"},
		{"resident memory, idle", 13.5, g.idleKiB.median() / mebi, false, "MiB"},
		{"resident memory with 256 idle connections", 32, g.crowdKiB.median() / mebi, false, "MiB"},
		{"resident memory in that crowd", 64, g.attackKiB.median() / mebi, false, "MiB"},
		{fmt.Sprintf("growth from %d to %d reviews", r.earlyReviews, r.lateReviews), 1, (r.lateKiB - r.earlyKiB) / mebi, false, "MiB"},
		{"from start to the first answered review", 50, g.readyMs.median(), false, "ms"},
		{fmt.Sprintf("failed requests over %d rolling stops", rollingStops), 0, r.rollingFailed, false, ""},
		{"failed requests in all other runs", 0, r.failedRequests(), false, ""},
	}
}

// busy is the CPU time that all processors have worked since the machine's start.
func busy() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	var user, nice, system, idle, wait, irq, softirq int64
	_, _ = fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq)
	const tick = time.Second / 100 // USER_HZ, the same on every Linux that Debian has
	return time.Duration(user+nice+system+irq+softirq) * tick
}

// finish judges, once all servers have ended.
func (r *results) finish() {
	r.ended = time.Now()
	var own time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if syscall.Getrusage(who, &usage) == nil {
			own += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	machine := r.ended.Sub(r.began) * time.Duration(processors())
	r.othersPercent = math.Max(0, 100*float64(busy()-r.busyBefore-own)/float64(machine))
	r.targets = r.judge()
}

func (r *results) missed() bool {
	for _, t := range r.targets {
		if t.verdict() == "MISSED" {
			return true
		}
	}
	return false
}

func firstMatch(file, key string) string {
	text, _ := os.ReadFile(file)
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// processors of the machine, not those that this process may use.
func processors() int {
	text, _ := os.ReadFile("/proc/stat")
	return strings.Count(string(text), "\ncpu")
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

func sizeName(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KB", bytes>>10)
}

// Three digits, without an exponent.
func show(value float64) string {
	switch {
	case math.IsNaN(value), math.IsInf(value, 0):
		return "-"
	case value == 0:
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(value))))
	if digits < 0 {
		digits = 0
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

func heading(cells ...string) string {
	return row(cells...) + "|" + strings.Repeat("---|", len(cells)) + "\n"
}

func (r *results) markdown() string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Measured %s, in %d s, with `%s`:\n%d rounds of %d s. %d processors (%s), Linux %s.\nOther processes took %s %% of the machine meanwhile.\n\n",
		r.began.UTC().Format("2006-01-02 15:04 UTC"), int(r.ended.Sub(r.began).Seconds()), r.command, r.rounds, r.seconds,
		processors(), firstMatch("/proc/cpuinfo", "model name"), kernel(), show(r.othersPercent))
	for _, s := range r.servers {
		fmt.Fprintf(&out, "- %s: %s\n", s.name, s.version)
	}

	out.WriteString("\n### Targets\n\n" + heading("target", "wanted", "measured", ""))
	for _, t := range r.targets {
		bound := "at most "
		if t.least {
			bound = "at least "
		}
		out.WriteString(row(t.name, strings.TrimSpace(bound+show(t.wanted)+" "+t.unit), show(t.measured), t.verdict()))
	}

	out.WriteString("\n### Throughput\n\n" + heading("review", "connections", "server", "requests/s", "p50 us", "p99 us", "longest us", "CPU us/request", "highest RSS MiB", "failed"))
	for _, one := range r.runs {
		if one.paced || one.changing || one.size != small && one.size != medium && one.size != large {
			continue
		}
		f := medians(one.rounds)
		out.WriteString(row(sizeName(one.size), fmt.Sprint(one.connections), one.server, show(f.perSecond), show(f.p50us),
			show(f.p99us), show(f.maxUs), show(f.cpuUs), show(f.peakKiB/mebi), fmt.Sprint(f.failed)))
	}

	fmt.Fprintf(&out, "\n### At the same rate: %d connections, each with a pause of %v\n\n%s", judgedConnections, pause,
		heading("review", "server", "requests/s", "p50 us", "p99 us", "CPU us/request", "failed"))
	for _, one := range r.runs {
		if f := medians(one.rounds); one.paced {
			out.WriteString(row(sizeName(one.size), one.server, show(f.perSecond), show(f.p50us), show(f.p99us), show(f.cpuUs), fmt.Sprint(f.failed)))
		}
	}

	fmt.Fprintf(&out, "\n### Image changes that are prepared, %d connections\n\n%s", judgedConnections,
		heading("review", "server", "requests/s", "p50 us", "p99 us", "CPU us/request", "highest RSS MiB", "failed"))
	for _, one := range r.runs {
		if f := medians(one.rounds); one.changing {
			out.WriteString(row(sizeName(one.size), one.server, show(f.perSecond), show(f.p50us), show(f.p99us), show(f.cpuUs),
				show(f.peakKiB/mebi), fmt.Sprint(f.failed)))
		}
	}

	names := make([]string, 0, len(r.servers))
	for _, s := range r.servers {
		names = append(names, s.name)
	}
	fmt.Fprintf(&out, "\n### CPU us/request against the size, %d connections\n\n%s", judgedConnections,
		heading(append([]string{"review"}, names...)...))
	for _, size := range []int{1 << 10, small, medium, 256 << 10, 1 << 20, large} {
		cells := []string{sizeName(size)}
		for _, name := range names {
			cells = append(cells, show(medians(r.find(name, judged(size)).rounds).cpuUs))
		}
		out.WriteString(row(cells...))
	}

	out.WriteString("\n### The process, and other connections\n\n" + heading(append([]string{""}, names...)...))
	line := func(what string, value func(*serverResults) float64) {
		cells := []string{what}
		for _, s := range r.servers {
			cells = append(cells, show(value(s)))
		}
		out.WriteString(row(cells...))
	}
	for _, l := range r.lines() {
		line(l.text, l.value)
	}
	fmt.Fprintf(&out, "\nThe gate's resident memory: %s MiB after %d reviews, %s MiB after %d;\n%s MiB at most and %s MiB at the end beside %d stored clusters of %s.\n",
		show(r.earlyKiB/mebi), r.earlyReviews, show(r.lateKiB/mebi), r.lateReviews, show(r.storedPeakKiB/mebi), show(r.storedKiB/mebi),
		storedClusters, sizeName(storedSize))
	return out.String()
}

type line struct {
	key, text string
	value     func(*serverResults) float64
}

func (r *results) lines() []line {
	return []line{
		{"ready_ms", "start to the first answered review, ms", func(s *serverResults) float64 { return s.readyMs.median() }},
		{"binary_mib", "binary, MiB", func(s *serverResults) float64 { return float64(s.binaryBytes) / (1 << 20) }},
		{"rss_idle_mib", "RSS idle, MiB", func(s *serverResults) float64 { return s.idleKiB.median() / mebi }},
		{"rss_256_idle_mib", "RSS with 256 idle connections, MiB", func(s *serverResults) float64 { return s.crowdKiB.median() / mebi }},
		{"rss_attack_mib", "RSS with 256 idle and 512 slow ones, highest, MiB", func(s *serverResults) float64 { return s.attackKiB.median() / mebi }},
		{"cpu_256_idle_percent", "CPU with 256 idle connections, % of a core", func(s *serverResults) float64 { return s.idleCPUPercent.median() }},
		{"p99_alone_ms", "p99 at 800 requests/s, alone, ms", func(s *serverResults) float64 { return s.aloneP99Ms.median() }},
		{"max_alone_ms", "longest, first ones of connections included, ms", func(s *serverResults) float64 { return s.aloneMaxMs.median() }},
		{"p99_attack_ms", "p99 with 256 idle and 512 slow ones, ms", func(s *serverResults) float64 { return s.attackP99Ms.median() }},
		{"max_attack_ms", "longest meanwhile, ms", func(s *serverResults) float64 { return s.attackMaxMs.median() }},
		{"newcomer_attack_ms", "slowest new connection with its review meanwhile, ms", func(s *serverResults) float64 { return s.newcomerMaxMs.median() }},
		{"burst_p50_ms", "64 new connections at once, p50, ms", func(s *serverResults) float64 { return s.burstP50Ms.median() }},
		{"burst_max_ms", "64 new connections at once, the last, ms", func(s *serverResults) float64 { return s.burstMaxMs.median() }},
		{"handshakes_per_second", "new connections with a 1 KB review/s", func(s *serverResults) float64 { return s.handshakesPerSecond.median() }},
		{"handshake_cpu_us", "CPU us for each of them", func(s *serverResults) float64 { return s.handshakeCPUUs.median() }},
		{"rss_image_change_mib", "one image change of 3 MiB, RSS over idle, MiB", func(s *serverResults) float64 { return s.changePeakKiB.median() / mebi }},
		{"rss_image_change_left_mib", "the same after 10 s, MiB", func(s *serverResults) float64 { return s.changeLeftKiB.median() / mebi }},
		{"failed", "failed requests of these", func(s *serverResults) float64 { return float64(s.failed) }},
	}
}

// JSON knows no NaN.
func finite(value float64) interface{} {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil
	}
	return value
}

type object map[string]interface{}

func (r *results) json() ([]byte, error) {
	var runs, servers, targets []object
	for _, one := range r.runs {
		f := medians(one.rounds)
		runs = append(runs, object{"server": one.server, "review_bytes": one.size, "connections": one.connections, "paced": one.paced, "image_change": one.changing,
			"requests": f.requests, "failed": f.failed, "requests_per_second": finite(f.perSecond), "p50_us": finite(f.p50us),
			"p99_us": finite(f.p99us), "max_us": finite(f.maxUs), "cpu_us_per_request": finite(f.cpuUs), "rss_max_kib": finite(f.peakKiB)})
	}
	for _, s := range r.servers {
		entry := object{"name": s.name, "version": s.version}
		for _, l := range r.lines() {
			entry[l.key] = finite(l.value(s))
		}
		servers = append(servers, entry)
	}
	for _, t := range r.targets {
		targets = append(targets, object{"name": t.name, "wanted": t.wanted, "at_least": t.least, "unit": t.unit,
			"measured": finite(t.measured), "verdict": t.verdict()})
	}
	return json.MarshalIndent(object{
		"began": r.began.UTC().Format(time.RFC3339), "ended": r.ended.UTC().Format(time.RFC3339),
		"command": r.command, "seconds": r.seconds, "rounds": r.rounds, "cpus": processors(), "cpu_model": firstMatch("/proc/cpuinfo", "model name"),
		"kernel": kernel(), "other_processes_percent": r.othersPercent, "throughput": runs, "servers": servers, "targets": targets,
		"memory": object{"reviews": []int{r.earlyReviews, r.lateReviews}, "rss_kib": []interface{}{finite(r.earlyKiB), finite(r.lateKiB)},
			"stored_clusters": storedClusters, "stored_rss_kib": finite(r.storedKiB), "stored_rss_peak_kib": finite(r.storedPeakKiB)},
	}, "", "  ")
}

// write leaves result.json and result.md, and says the verdicts.
func (r *results) write(directory string) error {
	text, err := r.json()
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, "result.json"), append(text, '\n'), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, "result.md"), []byte(r.markdown()), 0o644)
	}
	if err != nil {
		return err
	}
	fmt.Print(r.markdown())
	for _, t := range r.targets {
		if t.verdict() == "MISSED" {
			note("missed: %s: wanted %s, measured %s %s", t.name, show(t.wanted), show(t.measured), t.unit)
		}
	}
	return nil
}
