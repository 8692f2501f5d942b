package main

import (
	"math"
	"strings"
	"testing"
)

func TestMedianAndQuantile(t *testing.T) {
	for _, row := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 9}, 3},
		{"one", []float64{7}, 7},
		{"without what was not measured", []float64{math.NaN(), 7, math.NaN()}, 7},
	} {
		if got := median(row.values); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing measured must not look like a figure")
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(99 - i)
	}
	if p99, longest := quantile(hundred, 0.99), quantile(hundred, 1); p99 != 99 || longest != 99 {
		t.Errorf("p99 %v, longest %v", p99, longest)
	}
	if p50 := quantile(hundred, 0.5); p50 != 50 {
		t.Errorf("p50 %v", p50)
	}
}

func TestRatioIsTheMedianOfPairedRounds(t *testing.T) {
	// The host was three times slower in the second round, and halfway through the third.
	if got := ratio([]float64{2, 6, 2}, []float64{1, 3, 3}); got != 2 {
		t.Error(got)
	}
	if got := ratio([]float64{2, math.NaN(), 4}, []float64{1, 3, 2}); got != 2 {
		t.Error(got)
	}
	if !math.IsNaN(ratio([]float64{1}, nil)) {
		t.Error("a peer that is not there must not be compared with")
	}
}

func TestVerdict(t *testing.T) {
	for _, row := range []struct {
		name string
		target
		want string
	}{
		{"below the most", target{wanted: 2, measured: 1}, "met"},
		{"exactly the most", target{wanted: 2, measured: 2}, "met"},
		{"above the most", target{wanted: 2, measured: 2.01}, "MISSED"},
		{"above the least", target{wanted: 2, measured: 3, least: true}, "met"},
		{"below the least", target{wanted: 2, measured: 1, least: true}, "MISSED"},
		{"unknown", target{wanted: 2, measured: math.NaN()}, "not measured"},
		{"what nobody can meet", target{name: "8 KB, image change: CPU of the peer, of the gate's", wanted: 8, measured: 1, least: true}, "out of reach"},
		{"what nobody can meet, met", target{name: "8 KB, image change: CPU of the peer, of the gate's", wanted: 8, measured: 9, least: true}, "met"},
	} {
		if got := row.verdict(); got != row.want {
			t.Errorf("%s: %s", row.name, got)
		}
	}
}

// A run in which the gate is a fifth of the peer, three times nginx, and lost a request.
func TestJudgeNamesWhatIsMissed(t *testing.T) {
	kinds := []kind{{name: gateName}, {name: peerName}, {name: nginxName}}
	r := newResults(&bench{kinds: kinds, rounds: 1})
	for name, us := range map[string]float64{gateName: 30, peerName: 150, nginxName: 10} {
		r.addRun(name, judged(small), figures{cpuUs: us, perSecond: 1e6 / us})
	}
	r.of(gateName).failed = 1
	r.targets = r.judge()
	got := map[string]string{}
	for _, target := range r.targets {
		got[target.name] = target.verdict()
	}
	for name, want := range map[string]string{
		"8 KB: CPU per request, of nginx's":    "MISSED",
		"8 KB: requests/s, of nginx's":         "MISSED",
		"8 KB: CPU of the peer, of the gate's": "met",
		"60 KB: CPU per request, of nginx's":   "not measured",
		"failed requests in all other runs":    "MISSED",
	} {
		if got[name] != want {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	for name := range outOfReach {
		if _, judged := got[name]; !judged {
			t.Errorf("no target is called %q", name)
		}
	}
	if !r.missed() {
		t.Error("the exit code would say that all is well")
	}
	if _, err := r.json(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.markdown(), "| 8 KB | 8 | upgrade-gate | 33333 |") {
		t.Error(r.markdown())
	}
}
