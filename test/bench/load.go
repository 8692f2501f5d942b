package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"
)

// figures are one run's, or the medians of several. NaN in what was not measured.
type figures struct {
	perSecond, p50us, p99us, maxUs, cpuUs float64
	peakKiB                               float64
	requests, failed                      int
}

// Of what was measured: NaN is left out.
func median(values []float64) float64 {
	var sorted []float64
	for _, value := range values {
		if !math.IsNaN(value) {
			sorted = append(sorted, value)
		}
	}
	sort.Float64s(sorted)
	switch n := len(sorted); {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// medians takes the median of each figure by itself, and the sum of the counts.
func medians(runs []figures) figures {
	of := func(part func(figures) float64) float64 {
		values := make([]float64, 0, len(runs))
		for _, run := range runs {
			values = append(values, part(run))
		}
		return median(values)
	}
	all := figures{
		perSecond: of(func(f figures) float64 { return f.perSecond }),
		p50us:     of(func(f figures) float64 { return f.p50us }),
		p99us:     of(func(f figures) float64 { return f.p99us }),
		maxUs:     of(func(f figures) float64 { return f.maxUs }),
		cpuUs:     of(func(f figures) float64 { return f.cpuUs }),
		peakKiB:   of(func(f figures) float64 { return f.peakKiB }),
	}
	for _, run := range runs {
		all.requests += run.requests
		all.failed += run.failed
	}
	return all
}

// The value below which `share` of them lie.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := append([]float64{}, values...)
	sort.Float64s(sorted)
	return sorted[int(math.Min(float64(len(sorted)-1), share*float64(len(sorted))))]
}

// wrk runs the load generator once: as many requests as `connections` get through, each with a pause before its next one.
func (s *server) wrk(script, body, path string, connections int, length, pause time.Duration) (figures, error) {
	s.settle()
	s.forgetPeak()
	command := exec.Command("wrk", "--threads", "1", "--connections", fmt.Sprint(connections), "--duration",
		fmt.Sprintf("%ds", int(math.Ceil(length.Seconds()))), "--timeout", "60s", "--latency", "--script", script,
		"https://"+s.address+path+"?timeout=10s")
	command.Env = append(os.Environ(), "BENCH_BODY="+body, fmt.Sprint("BENCH_PAUSE=", pause.Milliseconds()))
	if s.patience > 0 {
		command.Env = append(command.Env, "BENCH_ALLOWED=1")
	}
	before := s.cpu()
	output, err := command.CombinedOutput()
	used := s.cpu() - before
	_, line, found := strings.Cut(string(output), "RESULT ")
	if err != nil || !found {
		return figures{}, fmt.Errorf("wrk: %v\n%s", err, output)
	}
	var f figures
	var us float64
	if _, err := fmt.Sscan(line, &f.requests, &us, &f.p50us, &f.p99us, &f.maxUs, &f.failed); err != nil {
		return figures{}, fmt.Errorf("wrk said %q: %w", line, err)
	}
	f.perSecond = float64(f.requests) * 1e6 / us
	f.cpuUs = float64(used.Microseconds()) / float64(f.requests)
	if f.requests < connections {
		// Nearly all work went into requests that the end cut off.
		f.p50us, f.p99us, f.maxUs, f.cpuUs = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	_, peak := s.residentKiB()
	f.peakKiB = float64(peak)
	return f, nil
}
