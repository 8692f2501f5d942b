// Measures the gate beside a webhook on controller-runtime and an nginx that answers a constant. bench.sh builds what is
// needed and starts this; docs/performance.md says what the figures mean.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What the targets speak of: sizes in bytes.
const (
	small  = 8 << 10
	medium = 60 << 10
	large  = 3 << 20

	judgedConnections = 8
	// With it all servers get about as many requests per second; those of judgedConnections are near 7,000.
	pause = time.Millisecond

	reviewsEarly = 100_000
	reviewsLate  = 200_000
	reviewsLong  = 1_000_000
)

var (
	sizes       = []int{small, medium, large}
	connections = []int{1, judgedConnections, 64}
	pacedSizes  = []int{small, medium}
	moreSizes   = []int{1 << 10, 256 << 10, 1 << 20} // for the cost against the size only, with judgedConnections
)

// bench is one run of everything.
type bench struct {
	kinds    []kind
	rolling  kind // the gate, as it runs behind a Service
	machine  *machine
	script   string
	scratch  string
	length   time.Duration // of one measurement
	rounds   int
	long     bool
	only     string         // phases, separated by commas; empty: all
	requests map[int][]byte // by size

	generator string // review.awk
	simulator string // fe-simulator
	changes   map[int][]byte
}

func note(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", arguments...)
}

func (b *bench) body(size int) string { return filepath.Join(b.scratch, fmt.Sprintf("%d.json", size)) }

// generated is a review of `size`, which is left in `file`, too.
func (b *bench) generated(file string, size int, more ...string) ([]byte, error) {
	arguments := append([]string{"-v", fmt.Sprintf("bytes=%d", size)}, more...)
	body, err := exec.Command("awk", append(arguments, "-f", b.generator)...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.generator, err)
	}
	return body, os.WriteFile(file, body, 0o600)
}

func (b *bench) writeBodies() error {
	b.requests = map[int][]byte{}
	for _, size := range append(append([]int{}, sizes...), moreSizes...) {
		body, err := b.generated(b.body(size), size)
		if err != nil {
			return err
		}
		b.requests[size] = requestOf(body)
	}
	return nil
}

func (b *bench) forEach(phase string, rounds int, measure func(*server) error) error {
	return b.forEachOf(b.kinds, b.requests[small], phase, rounds, measure)
}

// forEachOf starts servers of all these kinds, each with `first` answered, has `measure` called for each of them in each
// round, one after the other, and stops them: what disturbs the machine for a while then disturbs all of them alike.
func (b *bench) forEachOf(kinds []kind, first []byte, phase string, rounds int, measure func(*server) error) error {
	servers := make([]*server, 0, len(kinds))
	for _, k := range kinds {
		s, err := b.machine.start(k, first)
		if err != nil {
			return err
		}
		defer s.stop()
		servers = append(servers, s)
	}
	for round := 1; round <= rounds; round++ {
		for _, s := range servers {
			note("%s, round %d of %d: %s", phase, round, rounds, s.name)
			if err := measure(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) startUp(r *results) error {
	for round := 0; round < 3*b.rounds; round++ {
		for _, k := range b.kinds {
			s, err := b.machine.start(k, b.requests[small])
			if err != nil {
				return err
			}
			r.of(k.name).readyMs.add(milliseconds(s.ready))
			s.stop()
		}
	}
	return nil
}

func (b *bench) throughput(r *results) error {
	var points []point
	for _, size := range sizes {
		for _, count := range connections {
			points = append(points, point{size: size, connections: count})
		}
	}
	for _, size := range moreSizes {
		points = append(points, judged(size))
	}
	for _, p := range points {
		length, rounds := b.length, b.rounds
		if p.size == large {
			length *= 2
		}
		if p.size == large && p.connections > judgedConnections {
			// Some answer a dozen a second: they need long to answer each connection once.
			length, rounds = length*3, 1
		}
		phase := fmt.Sprintf("%s, %d connections", sizeName(p.size), p.connections)
		err := b.forEach(phase, rounds, func(s *server) error {
			path := s.path
			if p.size > medium {
				path = s.wholePath
			}
			f, err := s.wrk(b.script, b.body(p.size), path, p.connections, length, 0)
			if err == nil {
				r.addRun(s.name, p, f)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sameRate gives all servers the same to do. Otherwise the one that keeps the load generator waiting also pays for waking it,
// each time.
func (b *bench) sameRate(r *results) error {
	for _, size := range pacedSizes {
		err := b.forEach(sizeName(size)+", at the same rate", b.rounds, func(s *server) error {
			f, err := s.wrk(b.script, b.body(size), s.path, judgedConnections, b.length, pause)
			if err == nil {
				r.addRun(s.name, paced(size), f)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// crowds measures what other connections do to those that work. New servers each time: what one attack leaves behind is
// not the memory of the next one's idle server.
func (b *bench) crowds(r *results) error {
	for round := 1; round <= b.rounds; round++ {
		if err := b.crowd(r, fmt.Sprintf("idle and slow connections, %d of %d", round, b.rounds)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) crowd(r *results, phase string) error {
	return b.forEach(phase, 1, func(s *server) error {
		of := r.of(s.name)
		request := b.requests[small]
		s.settle()
		now, _ := s.residentKiB()
		of.idleKiB.add(float64(now))

		before := s.observe(request, b.length)

		idle, err := s.idlers(request)
		if err != nil {
			return err
		}
		s.settle()
		began, used := time.Now(), s.cpu()
		time.Sleep(b.length)
		of.idleCPUPercent.add(100 * (s.cpu() - used).Seconds() / time.Since(began).Seconds())
		now, _ = s.residentKiB()
		of.crowdKiB.add(float64(now))

		s.forgetPeak()
		ctx, stop := context.WithCancel(context.Background())
		wait := s.slowloris(ctx)
		attacked := s.observe(request, b.length)
		_, peak := s.residentKiB()
		stop()
		wait()
		closeAll(idle)
		of.attackKiB.add(float64(peak))
		of.attackP99Ms.add(quantile(attacked.latenciesMs, 0.99))
		of.attackMaxMs.add(quantile(attacked.latenciesMs, 1))
		of.newcomerMaxMs.add(quantile(attacked.newcomersMs, 1))

		// Before and after, so that a host that becomes busier or quieter does not look like the crowd's doing.
		s.settle()
		after := s.observe(request, b.length)
		of.aloneP99Ms.add(quantile(append(before.latenciesMs, after.latenciesMs...), 0.99))
		of.aloneMaxMs.add(math.Max(before.longest(), after.longest()))
		of.failed += before.failed + attacked.failed + after.failed
		return nil
	})
}

func (b *bench) newConnections(r *results) error {
	return b.forEach("new connections", b.rounds, func(s *server) error {
		of := r.of(s.name)
		s.settle()
		took, failed := s.burst(b.requests[small])
		of.burstP50Ms.add(quantile(took, 0.5))
		of.burstMaxMs.add(quantile(took, 1))
		s.settle()
		perSecond, cpuUs, lost := s.handshakes(b.requests[moreSizes[0]], b.length)
		of.handshakesPerSecond.add(perSecond)
		of.handshakeCPUUs.add(cpuUs)
		of.failed += failed + lost
		return nil
	})
}

// memory sends the gate many reviews and looks whether it grows.
func (b *bench) memory(r *results) error {
	s, err := b.machine.start(b.kinds[0], b.requests[small])
	if err != nil {
		return err
	}
	defer s.stop()
	late := reviewsLate
	if b.long {
		late = reviewsLong
	}
	for sent := 0; sent < late; {
		note("memory: %d of %d reviews", sent, late)
		f, err := s.wrk(b.script, b.body(small), s.path, judgedConnections, b.length, 0)
		if err != nil {
			return err
		}
		early := sent < reviewsEarly
		sent += f.requests
		r.of(s.name).failed += f.failed
		r.lateReviews = sent
		now, _ := s.residentKiB()
		r.lateKiB = float64(now)
		if early && sent >= reviewsEarly {
			r.earlyReviews, r.earlyKiB = sent, float64(now)
		}
	}
	return nil
}

func (b *bench) run(r *results) error {
	for _, phase := range []struct {
		name    string
		measure func(*results) error
		waits   bool // about waiting, and light: the machine is not starved
	}{
		{"start", b.startUp, true},
		{"throughput", b.throughput, false},
		{"same-rate", b.sameRate, false},
		{"crowds", b.crowds, true},
		{"new-connections", b.newConnections, false},
		{"rolling-stop", b.rollingStop, false},
		{"memory", b.memory, false},
		{"image-changes", b.imageChanges, false},
		{"many-clusters", b.manyClusters, false},
	} {
		if b.only != "" && !strings.Contains(","+b.only+",", ","+phase.name+",") {
			continue
		}
		precedence(phase.waits)
		if err := phase.measure(r); err != nil {
			return err
		}
	}
	return nil
}

func number(name string, otherwise int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil && value > 0 {
		return value
	}
	return otherwise
}

func main() {
	gateBinary := flag.String("gate", "", "upgrade-gate")
	peerBinary := flag.String("peer", "", "the peer on controller-runtime; empty: leave it out")
	nginxBinary := flag.String("nginx", "", "nginx")
	simulator := flag.String("simulator", "", "fe-simulator")
	gateVersion := flag.String("gate-version", "", "as to be printed; so the next two")
	peerVersion := flag.String("peer-version", "", "")
	nginxVersion := flag.String("nginx-version", "", "")
	sources := flag.String("sources", "", "directory of post.lua and review.awk")
	scratch := flag.String("scratch", "", "directory with tls.crt and tls.key, for the servers' files")
	pin := flag.Bool("pin", false, "servers on processor 0; this program is expected on another one")
	output := flag.String("output", "", "directory for result.json and result.md")
	flag.Parse()

	trusted, err := trust(filepath.Join(*scratch, "tls.crt"))
	if err != nil {
		note("%v", err)
		os.Exit(2)
	}
	b := &bench{
		kinds:   []kind{gate(*gateBinary, *gateVersion, "0s")},
		rolling: gate(*gateBinary, *gateVersion, "1s"),
		machine: &machine{scratch: *scratch, trust: trusted, running: map[*server]bool{}},
		script:  filepath.Join(*sources, "post.lua"),
		scratch: *scratch,
		length:  time.Duration(number("BENCH_SECONDS", 2)) * time.Second,
		rounds:  number("BENCH_ROUNDS", 3),
		long:    os.Getenv("BENCH_LONG") == "1",
		only:    os.Getenv("BENCH_ONLY"),

		generator: filepath.Join(*sources, "review.awk"),
		simulator: *simulator,
	}
	if *peerBinary != "" {
		b.kinds = append(b.kinds, peer(*peerBinary, *peerVersion))
	}
	b.kinds = append(b.kinds, nginx(*nginxBinary, *nginxVersion))
	if *pin {
		b.machine.pin = []string{"taskset", "-c", "0"}
	}

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		b.machine.killAll()
		os.Exit(130)
	}()

	r := newResults(b)
	err = b.writeBodies()
	if err == nil {
		err = b.run(r)
	}
	if err == nil {
		r.finish()
		err = r.write(*output)
	}
	if err != nil {
		note("%v", err)
		os.Exit(2)
	}
	if r.missed() {
		os.Exit(1)
	}
}
