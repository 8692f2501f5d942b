package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func good(name string, hanging int) figures {
	return figures{name: name, clusters: 10, hanging: hanging, all: 2 * time.Second, closed: time.Second,
		repeated: []time.Duration{time.Millisecond}, requests: map[string]int{"get pods": 10 * requestsOwn}, residentMiB: []float64{20, 30},
		ordinaryBefore: []time.Duration{time.Millisecond}, ordinaryNow: []time.Duration{time.Millisecond}}
}

func quickly() lonely {
	return lonely{asking: []time.Duration{50 * time.Millisecond}, plain: []time.Duration{time.Millisecond}}
}

func TestEachTargetIsMissedByItself(t *testing.T) {
	if !judge(io.Discard, quickly(), good("plain", 0), good("hanging", 1)) {
		t.Fatal("what meets all targets is not met")
	}
	for name, spoil := range map[string]func(*lonely){
		"a first request too slow":     func(l *lonely) { l.asking[0] = 52 * time.Millisecond },
		"a first request not admitted": func(l *lonely) { l.notAdmitted = 1 },
		"no first request":             func(l *lonely) { l.asking = nil },
	} {
		first := quickly()
		spoil(&first)
		if judge(io.Discard, first, good("plain", 0), good("hanging", 1)) {
			t.Errorf("%s: the targets are met", name)
		}
	}
	for name, spoil := range map[string]func(*figures){
		"too slow beside FEs that hang": func(f *figures) { f.all = 5 * time.Second },
		"never all prepared":            func(f *figures) { f.all = 0 },
		"a request failed":              func(f *figures) { f.failed = 1 },
		"a repeated one not admitted":   func(f *figures) { f.notAdmitted = 1 },
		"a repeated one late":           func(f *figures) { f.repeated = []time.Duration{2 * time.Second} },
		"too many requests":             func(f *figures) { f.requests["get pods"]++ },
		"never closed":                  func(f *figures) { f.closed = 0 },
		"too much memory":               func(f *figures) { f.residentMiB[1] = 97 },
		"ordinary reviews slower":       func(f *figures) { f.ordinaryNow = []time.Duration{time.Second} },
	} {
		hanging := good("hanging", 1)
		spoil(&hanging)
		if judge(io.Discard, quickly(), good("plain", 0), hanging) {
			t.Errorf("%s: the targets are met", name)
		}
	}
}

func TestTheGatesRequestsAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	line := func(user, verb, resource, subresource string) string {
		return `{"verb":"` + verb + `","user":{"username":"` + user + `"},"objectRef":{"resource":"` + resource +
			`","subresource":"` + subresource + `"}}` + "\n"
	}
	text := line(gateUser, "get", "services", "") + line("somebody", "get", "services", "") +
		line(gateUser, "watch", "services", "") + line(gateUser, "update", "upgradepreparations", "status")
	if err := os.WriteFile(path, []byte(text+`{"verb":"get`), 0o600); err != nil {
		t.Fatal(err)
	}
	counts, offset, err := audited(path, 0)
	if err != nil || counts["get services"] != 1 || counts["update upgradepreparations/status"] != 1 || len(counts) != 2 {
		t.Errorf("%v %v", counts, err)
	}
	// A line that is being written is left for the next time.
	if offset != int64(len(text)) {
		t.Errorf("read up to %d of %d", offset, len(text))
	}
}

func TestEachTargetOfLedUpgradesIsMissedByItself(t *testing.T) {
	well := func() ledFigures {
		return ledFigures{clusters: 10, preparation: map[string]int{"get a": 10 * ledPreparationMax},
			steps: map[string]int{"get a": 10 * ledSteps * ledRequestsMax}, prepared: time.Second, closed: time.Minute,
			resident: residentMiB, succeeded: 10}
	}
	if !judgeLed(io.Discard, well()) {
		t.Fatal("what meets all targets is not met")
	}
	for name, spoil := range map[string]func(*ledFigures){
		"a change not admitted":       func(f *ledFigures) { f.notAdmitted = 1 },
		"an upgrade that failed":      func(f *ledFigures) { f.succeeded = 9 },
		"a pod out of turn":           func(f *ledFigures) { f.outOfTurn = []string{"c0"} },
		"requests until prepared":     func(f *ledFigures) { f.preparation["get a"] += 1 },
		"requests of a step":          func(f *ledFigures) { f.steps["get a"] += 1 },
		"memory":                      func(f *ledFigures) { f.resident += 1 },
		"memory that nobody measured": func(f *ledFigures) { f.resident = 0 },
		"never prepared":              func(f *ledFigures) { f.prepared = 0 },
		"never closed":                func(f *ledFigures) { f.closed = 0 },
	} {
		f := well()
		spoil(&f)
		if judgeLed(io.Discard, f) {
			t.Errorf("%s: the targets are met", name)
		}
	}
}
