package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A simulator that does not answer a command within this is taken for hung.
const commandTimeout = 20 * time.Second

// entry is one line of a cluster's timeline: what its pods did and which statements its FEs received, in one order.
type entry struct {
	At   float64 `json:"at"` // seconds since the database began
	Kind string  `json:"kind"`
	What string  `json:"what"`
}

// database is one fe-simulator with the port that clients are given.
type database struct {
	input  io.WriteCloser
	ports  []int
	front  net.Listener
	answer chan string
	ask    sync.Mutex // one command at a time

	mu       sync.Mutex
	began    time.Time
	timeline []entry
	up       map[int]bool
	leader   int // -1: none
	turn     int
}

type databases struct {
	program string
	mu      sync.Mutex
	all     map[string]*database
}

func (d *databases) get(key string) *database {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[key]
}

// start runs a simulator for a cluster; no FE answers until its pod is up.
func (d *databases) start(key string, frontends int, version string, more []string) (*database, error) {
	command := exec.Command(d.program, append([]string{"--frontends", strconv.Itoa(frontends), "--backends", "0", "--version-string", version}, more...)...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// It ends with its input, and so with this program.
	if err := command.Start(); err != nil {
		return nil, err
	}
	db := &database{input: input, answer: make(chan string, 64), up: map[int]bool{}, leader: -1, began: time.Now()}
	lines := bufio.NewScanner(output)
	lines.Buffer(make([]byte, 0, 64<<10), 4<<20)
	for len(db.ports) < frontends && lines.Scan() {
		_, port, _ := strings.Cut(lines.Text(), " 127.0.0.1:")
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("fe-simulator said %q: want fe-N 127.0.0.1:PORT", lines.Text())
		}
		db.ports = append(db.ports, number)
	}
	if len(db.ports) < frontends {
		return nil, errors.New("fe-simulator ended before it listened")
	}
	go db.read(lines, command)
	if db.front, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go forward(db.front, db.next)
	for i := range frontends {
		db.mustSay(fmt.Sprintf("stop %d", i))
	}
	db.mustSay("leader none")
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.all[key]; old != nil {
		old.close()
	}
	d.all[key] = db
	return db, nil
}

func (d *databases) stop(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db := d.all[key]; db != nil {
		db.close()
		delete(d.all, key)
	}
}

func (db *database) close() {
	db.front.Close()
	db.input.Close()
}

// read sorts the simulator's lines: answers to commands, and statements.
func (db *database) read(lines *bufio.Scanner, command *exec.Cmd) {
	for lines.Scan() {
		line := lines.Text()
		first, _, _ := strings.Cut(line, " ")
		if first == "done" || first == "error" || first == "config" {
			db.answer <- line
		} else {
			db.note("sql", line)
		}
	}
	close(db.answer)
	if err := command.Wait(); err != nil {
		log.Printf("fe-simulator: %v", err)
	}
}

func (db *database) note(kind, what string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.timeline = append(db.timeline, entry{time.Since(db.began).Seconds(), kind, what})
}

func (db *database) since(from int) []entry {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.timeline[min(max(from, 0), len(db.timeline)):])
}

// say sends one command and returns the lines of its answer; the last begins with "done" or "error".
func (db *database) say(command string) ([]string, error) {
	db.ask.Lock()
	defer db.ask.Unlock()
	if _, err := fmt.Fprintln(db.input, command); err != nil {
		return nil, err
	}
	var out []string
	for {
		select {
		case line, open := <-db.answer:
			if !open {
				return out, errors.New("fe-simulator has ended")
			}
			out = append(out, line)
			if !strings.HasPrefix(line, "config ") {
				return out, nil
			}
		case <-time.After(commandTimeout):
			return out, fmt.Errorf("fe-simulator did not answer %q within %s", command, commandTimeout)
		}
	}
}

func (db *database) mustSay(command string) {
	answer, err := db.say(command)
	if err == nil && strings.HasPrefix(answer[len(answer)-1], "error") {
		err = errors.New(answer[len(answer)-1])
	}
	if err != nil {
		log.Printf("%s: %v", command, err)
		db.note("trouble", command+": "+err.Error())
	}
}

// next is the port of an FE that is up, in turn, as a Service picks one; 0: none is.
func (db *database) next() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	for range db.ports {
		db.turn++
		if i := db.turn % len(db.ports); db.up[i] {
			return db.ports[i]
		}
	}
	return 0
}

// frontendMoved starts or stops an FE; the lowest one that is up leads.
func (db *database) frontendMoved(number int, up bool, version string) {
	if number >= len(db.ports) {
		db.note("trouble", fmt.Sprintf("no simulated FE for ordinal %d: the database has %d", number, len(db.ports)))
		return
	}
	if up {
		db.mustSay(fmt.Sprintf("version %d %s", number, version))
		db.mustSay(fmt.Sprintf("start %d", number))
	} else {
		db.mustSay(fmt.Sprintf("stop %d", number))
	}
	db.mu.Lock()
	db.up[number] = up
	leader := db.leader
	if leader >= 0 && !db.up[leader] {
		leader = -1
	}
	for i := range db.ports {
		if leader < 0 && db.up[i] {
			leader = i
		}
	}
	changed := leader != db.leader
	db.leader = leader
	db.mu.Unlock()
	if !changed {
		return
	}
	if leader < 0 {
		db.mustSay("leader none")
	} else {
		db.mustSay(fmt.Sprintf("leader %d", leader))
	}
}

// member says which node of which database a pod is.
type member struct {
	cluster, kind, host, warehouse string
	ordinal                        int
}

var podName = regexp.MustCompile(`^(.+)-(fe|be|cn)-(\d+)$`)

// memberOf goes by the operator's labels and names; false for every other pod.
func memberOf(pod *corev1.Pod) (member, bool) {
	parts, kind := podName.FindStringSubmatch(pod.Name), pod.Labels["app.kubernetes.io/component"]
	if parts == nil || parts[2] != kind || pod.Labels["app.starrocks.ownerreference/name"] == "" {
		return member{}, false
	}
	m := member{cluster: parts[1], kind: kind}
	m.ordinal, _ = strconv.Atoi(parts[3])
	m.host = fmt.Sprintf("%s.%s-%s-search.%s.svc.cluster.local", pod.Name, parts[1], kind, pod.Namespace)
	if name, is := strings.CutSuffix(parts[1], "-warehouse"); is && kind == "cn" {
		m.warehouse = strings.ReplaceAll(name, "-", "_")
		for _, variable := range pod.Spec.Containers[0].Env {
			if variable.Name == "FE_SERVICE_NAME" {
				service, _, _ := strings.Cut(variable.Value, ".")
				m.cluster = strings.TrimSuffix(service, "-fe-service")
			}
		}
	}
	return m, true
}

var versionInTag = regexp.MustCompile(`\d+\.\d+\.\d+`)

// versionOf is what the image's process reports; a tag that names no version is some 3.5.9.
func versionOf(image string) string {
	if found := versionInTag.FindString(image[strings.LastIndex(image, ":")+1:]); found != "" {
		return found
	}
	return "3.5.9"
}

// podMoved tells the pod's database that its process is up, or is no more.
func (d *databases) podMoved(pod *corev1.Pod, up bool) {
	m, is := memberOf(pod)
	db := d.get(pod.Namespace + "/" + m.cluster)
	if !is || db == nil {
		return
	}
	version := versionOf(pod.Spec.Containers[0].Image)
	if !up {
		db.note("pod", pod.Name+" down")
	}
	switch {
	case m.kind == "fe":
		db.frontendMoved(m.ordinal, up, version)
	case up:
		db.mustSay(strings.TrimSpace(fmt.Sprintf("%s %s up %s %s", m.kind, m.host, version, m.warehouse)))
	default:
		db.mustSay(fmt.Sprintf("%s %s down", m.kind, m.host))
	}
	if up {
		db.note("pod", pod.Name+" up "+version)
	}
}

// podGone notes it: a BE that its StatefulSet gave up stays registered and dead, as in StarRocks.
func (d *databases) podGone(pod *corev1.Pod) {
	if m, is := memberOf(pod); is {
		if db := d.get(pod.Namespace + "/" + m.cluster); db != nil {
			db.note("pod", pod.Name+" gone")
		}
	}
}
