package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Reviews that change an image, whose preparation is Completed: they are admitted. The gate and the peer know the
// record and the object from the same API server; the gate reads both again there, and the settings from the FE. So does
// a second process of the peer's: what the certainty costs is the one comparison, how it is bought the other.
const (
	changeHooks = "disable-tablet-clone,disable-tablet-balancing,disable-colocate-balance,disable-balancer"

	preparedWithin = 30 * time.Second // the first request begins a preparation
	givenBackAfter = 10 * time.Second
	storedClusters = 1000
	storedSize     = 1 << 20
)

// neighbours are what a gate in a cluster has around it.
type neighbours struct {
	api       *apiServer
	frontend  string // "host:port" of a simulated FE
	simulator *exec.Cmd
}

func (b *bench) startNeighbours() (*neighbours, error) {
	n := &neighbours{}
	var err error
	if n.api, err = startAPIServer(b.scratch); err != nil {
		return nil, err
	}
	// Its standard input is this program's to close: it ends with it.
	n.simulator = exec.Command(b.simulator, "--version-string", "3.3.5")
	output, err := n.simulator.StdoutPipe()
	if err == nil {
		_, err = n.simulator.StdinPipe()
	}
	if err == nil {
		err = n.simulator.Start()
	}
	if err != nil {
		n.api.close()
		return nil, err
	}
	lines := bufio.NewScanner(output)
	for n.frontend == "" && lines.Scan() {
		if name, address, found := strings.Cut(lines.Text(), " "); found && name == "fe-0" {
			n.frontend = address
		}
	}
	go func() {
		for lines.Scan() { // what it prints of each statement
		}
	}()
	if n.frontend == "" {
		n.stop()
		return nil, fmt.Errorf("%s names no FE", b.simulator)
	}
	return n, nil
}

func (n *neighbours) stop() {
	n.api.close()
	_ = n.simulator.Process.Kill()
	_ = n.simulator.Wait()
}

// inCluster are the gate and the peer with an API server, and the peer that asks.
func (b *bench) inCluster(n *neighbours) []kind {
	var out []kind
	for _, k := range b.kinds {
		plain := k
		switch k.name {
		case gateName:
			k.arguments = func(dir string, port int) ([]string, error) {
				ops, err := freePort()
				if err != nil {
					return nil, err
				}
				config, err := n.api.kubeconfig(dir, filepath.Join(dir, "tls.crt"))
				return []string{"serve", "--listen", address(port), "--ops-listen", address(ops), "--kubeconfig", config,
					"--frontend-address", n.frontend, "--drain", "0s", "--tls-cert-file", filepath.Join(dir, "tls.crt"),
					"--tls-key-file", filepath.Join(dir, "tls.key")}, err
			}
		case peerName:
			believing := func(dir string, port int) ([]string, error) {
				arguments, err := plain.arguments(dir, port)
				if err != nil {
					return nil, err
				}
				config, err := n.api.kubeconfig(dir, filepath.Join(dir, "tls.crt"))
				return append(arguments, config), err
			}
			k.arguments = believing
			asker := k
			asker.name, asker.patience = askerName, preparedWithin
			asker.arguments = func(dir string, port int) ([]string, error) {
				arguments, err := believing(dir, port)
				return append(arguments, n.frontend), err
			}
			out = append(out, asker)
		default:
			continue
		}
		k.patience = preparedWithin
		out = append(out, k)
	}
	return out
}

func (b *bench) changeBody(size int) string {
	return filepath.Join(b.scratch, fmt.Sprintf("change-%d.json", size))
}

// oldObjectOf is the object as it is stored before the change that `review` asks for.
func oldObjectOf(review []byte) (json.RawMessage, error) {
	var parsed struct {
		Request struct{ OldObject json.RawMessage }
	}
	err := json.Unmarshal(review, &parsed)
	return parsed.Request.OldObject, err
}

// prepareChanges stores an object for each size and has the gate prepare its change.
func (b *bench) prepareChanges(n *neighbours) error {
	b.changes = map[int][]byte{}
	for _, size := range sizes {
		body, err := b.generated(b.changeBody(size), size, "-v", fmt.Sprintf("name=change-%d", size), "-v", "hooks="+changeHooks)
		if err != nil {
			return err
		}
		object, err := oldObjectOf(body)
		if err == nil {
			err = n.api.put(clustersCollection, object)
		}
		if err != nil {
			return err
		}
		b.changes[size] = requestOf(body)
	}
	for _, size := range sizes {
		note("prepares the image change of %s", sizeName(size))
		s, err := b.machine.start(b.inCluster(n)[0], b.changes[size])
		if err != nil {
			return err
		}
		s.stop()
	}
	return nil
}

func (b *bench) imageChanges(r *results) error {
	n, err := b.startNeighbours()
	if err != nil {
		return err
	}
	defer n.stop()
	if err := b.prepareChanges(n); err != nil {
		return err
	}
	for _, size := range sizes {
		length := b.length
		if size == large {
			length *= 2 // the peer answers a dozen a second
		}
		phase := sizeName(size) + ", image change"
		err := b.forEachOf(b.inCluster(n), b.changes[size], phase, b.rounds, func(s *server) error {
			f, err := s.wrk(b.script, b.changeBody(size), s.path, judgedConnections, length, 0)
			if err == nil {
				r.addRun(s.name, changing(size), f)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	// New servers each time: only a process's first one shows what it takes.
	for round := 1; round <= b.rounds; round++ {
		if err := b.oneLargeChange(r, n, fmt.Sprintf("one image change of %s, %d of %d", sizeName(large), round, b.rounds)); err != nil {
			return err
		}
	}
	return nil
}

// oneLargeChange is what a single review of the largest size takes, and whether it is given back.
func (b *bench) oneLargeChange(r *results, n *neighbours, phase string) error {
	return b.forEachOf(b.inCluster(n), b.requests[small], phase, 1, func(s *server) error {
		of := r.of(s.name)
		s.settle()
		s.forgetPeak()
		idle, _ := s.residentKiB()
		c, err := s.dial()
		if err != nil {
			return err
		}
		defer c.close()
		if err := c.review(b.changes[large]); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		_, peak := s.residentKiB()
		of.changePeakKiB.add(float64(peak - idle))
		time.Sleep(givenBackAfter)
		now, _ := s.residentKiB()
		of.changeLeftKiB.add(math.Max(0, float64(now-idle)))
		return nil
	})
}

// manyClusters has the gate list and watch objects that nobody asks about.
func (b *bench) manyClusters(r *results) error {
	n, err := b.startNeighbours()
	if err != nil {
		return err
	}
	defer n.stop()
	// A review of twice the size has two of them.
	body, err := b.generated(filepath.Join(b.scratch, "stored.json"), 2*storedSize, "-v", "hooks="+changeHooks)
	if err != nil {
		return err
	}
	object, err := oldObjectOf(body)
	if err == nil {
		err = n.api.putMany(clustersCollection, object, storedClusters)
	}
	if err != nil {
		return err
	}
	note("%d stored clusters of %s: lists them", storedClusters, sizeName(storedSize))
	s, err := b.machine.start(b.inCluster(n)[0], b.requests[small])
	if err != nil {
		return err
	}
	defer s.stop()
	if err := n.api.awaitSent(storedClusters); err != nil {
		return err
	}
	s.settle()
	note("%d stored clusters of %s: all change", storedClusters, sizeName(storedSize))
	n.api.touchAll(clustersCollection)
	if err := n.api.awaitSent(2 * storedClusters); err != nil {
		return err
	}
	s.settle()
	now, peak := s.residentKiB()
	r.storedKiB, r.storedPeakKiB = float64(now), float64(peak)
	return nil
}

// putMany stores `count` objects that differ in their name and UID, and share the rest.
func (a *apiServer) putMany(name string, body []byte, count int) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	original, err := parseObject(a.collections[name], body)
	if err != nil {
		return err
	}
	for i := 0; i < count; i++ {
		o := original.copied()
		o.metadata["name"] = quoted("stored-" + strconv.Itoa(i))
		o.metadata["uid"] = quoted(fmt.Sprintf("22222222-0000-0000-0000-%012d", i))
		a.store("ADDED", o)
	}
	return nil
}

// touchAll gives every object another resourceVersion, which watches are told.
func (a *apiServer) touchAll(name string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	c := a.collections[name]
	all := make([]*kubeObject, 0, len(c.objects))
	for _, o := range c.objects {
		all = append(all, o)
	}
	for _, o := range all {
		a.store("MODIFIED", o.copied())
	}
}

// awaitSent waits until so many objects went out in lists and watches.
func (a *apiServer) awaitSent(objects int64) error {
	const within = 2 * time.Minute
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if a.objectsSent() >= objects {
			return nil
		}
	}
	return fmt.Errorf("the API server has sent %d of %d objects in %v", a.objectsSent(), objects, within)
}
