package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// kind is one of the servers that are compared.
type kind struct {
	name    string
	binary  string
	version string
	path    string // of reviews
	// wholePath is for bodies that do not fit into few writes: wrk hangs when it is answered while it writes.
	wholePath string
	// patience is for how long it may refuse its first review, once it answers.
	patience time.Duration
	// arguments prepares what it needs in `dir`, which holds tls.crt and tls.key and is its own.
	arguments func(dir string, port int) ([]string, error)
}

const (
	gateName  = "upgrade-gate"
	peerName  = "controller-runtime"
	askerName = "controller-runtime, asking" // the same, which asks as the gate does before it admits an image change
	nginxName = "nginx"
)

func gate(binary, version, drain string) kind {
	return kind{gateName, binary, version, "/validate", "/validate", 0, func(dir string, port int) ([]string, error) {
		ops, err := freePort()
		return []string{"serve", "--listen", address(port), "--ops-listen", address(ops), "--store=memory",
			"--frontend-address", "127.0.0.1:9030", "--drain", drain,
			"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-key-file", filepath.Join(dir, "tls.key")}, err
	}}
}

func peer(binary, version string) kind {
	return kind{peerName, binary, version, "/validate", "/validate", 0, func(dir string, port int) ([]string, error) {
		return []string{strconv.Itoa(port), dir}, nil
	}}
}

// One process, a constant answer: what TLS and HTTP cost without any decision. By itself nginx answers before it has read
// the body; "mirror" makes it read all.
const nginxConfiguration = `
daemon off; master_process off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/nginx.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_timeout 120s; keepalive_requests 1000000000;
  client_max_body_size 8m; client_body_buffer_size 8m; client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server {
    listen ADDRESS ssl backlog=1024; ssl_certificate DIR/tls.crt; ssl_certificate_key DIR/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3; default_type application/json;
    location = /whole { mirror /nowhere; empty_gif; error_page 405 =200 /constant; }
    location = /nowhere { internal; return 204; }
    location / { return 200 '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}}'; }
  }
}
`

func nginx(binary, version string) kind {
	return kind{nginxName, binary, version, "/constant", "/whole", 0, func(dir string, port int) ([]string, error) {
		text := strings.NewReplacer("DIR", dir, "ADDRESS", address(port)).Replace(nginxConfiguration)
		file := filepath.Join(dir, "nginx.conf")
		return []string{"-e", filepath.Join(dir, "nginx.log"), "-c", file}, os.WriteFile(file, []byte(text), 0o600)
	}}
}

// machine is where servers run: certificates and pinning are the same for all.
type machine struct {
	scratch string   // tls.crt, tls.key and a directory for each server
	pin     []string // command before every server's: {"taskset", "-c", "0"}, or nothing
	trust   *tls.Config
	started int

	mutex   sync.Mutex
	running map[*server]bool // for killAll
}

type server struct {
	kind
	machine *machine
	address string
	trust   *tls.Config
	ready   time.Duration // from before its exec until its first answered review
	process *exec.Cmd
	log     string
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func freePort() (int, error) {
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func trust(certificate string) (*tls.Config, error) {
	text, err := os.ReadFile(certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in " + certificate)
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}}, nil
}

// start returns once the server has answered a review rightly: one that answers wrongly would be fast, too.
func (m *machine) start(k kind, request []byte) (*server, error) {
	m.started++
	dir := filepath.Join(m.scratch, strconv.Itoa(m.started))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Link(filepath.Join(m.scratch, name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	arguments, err := k.arguments(dir, port)
	if err != nil {
		return nil, err
	}
	command := append(append([]string{}, m.pin...), append([]string{k.binary}, arguments...)...)
	s := &server{kind: k, machine: m, address: address(port), trust: m.trust, process: exec.Command(command[0], command[1:]...)}
	s.log = filepath.Join(dir, "log")
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process.Stdout, s.process.Stderr = log, log
	began := time.Now()
	if err := m.launch(s); err != nil {
		return nil, err
	}
	for {
		c, err := s.dial()
		if err == nil {
			err = c.review(request)
			c.close()
		}
		s.ready = time.Since(began)
		if err == nil {
			return s, nil
		}
		refused := errors.Is(err, errRefused) && s.ready < k.patience
		if !refused && (!errors.Is(err, syscall.ECONNREFUSED) || s.ready > 10*time.Second) {
			s.stop()
			text, _ := os.ReadFile(s.log)
			return nil, fmt.Errorf("%s does not answer: %w\n%s", k.name, err, text)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func (m *machine) launch(s *server) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.running[s] = true
	return s.process.Start()
}

// killAll is for an end in a hurry; no launch succeeds afterwards.
func (m *machine) killAll() {
	m.mutex.Lock()
	for s := range m.running {
		if s.process.Process != nil {
			_ = s.process.Process.Kill()
		}
	}
}

func (s *server) stop() {
	defer func() {
		s.machine.mutex.Lock()
		defer s.machine.mutex.Unlock()
		delete(s.machine.running, s)
	}()
	_ = s.process.Process.Signal(syscall.SIGTERM)
	killer := time.AfterFunc(10*time.Second, func() { _ = s.process.Process.Kill() })
	defer killer.Stop()
	_ = s.process.Wait()
}

// precedence puts this program, and the servers that it starts from now on, before whatever else the machine does, or
// back among it: else a measurement of waiting measures the neighbours. Real-time scheduling, since niceness neither counts
// across sessions nor ends a neighbour's time slice. Without the right to (root) nothing happens.
func precedence(first bool) {
	policy, priority := 0, int32(0) // SCHED_OTHER
	if first {
		policy, priority = 2, 1 // SCHED_RR, the lowest
	}
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), uintptr(policy), uintptr(unsafe.Pointer(&priority)))
		}
	}
}

// cpu is the user and system time of all its threads, past ones too: utime + stime of /proc/PID/stat, in nanoseconds
// instead of ticks. Linux has a clock for that, numbered ~PID<<3 | CPUCLOCK_SCHED.
func (s *server) cpu() time.Duration {
	const cpuClockSched = 2
	var now syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(^s.process.Process.Pid<<3|cpuClockSched),
		uintptr(unsafe.Pointer(&now)), 0)
	if failed != 0 {
		panic(fmt.Sprintf("%s has ended: %v", s.name, failed))
	}
	return time.Duration(now.Nano())
}

// settle waits until it works no more on what an earlier measurement has left behind.
func (s *server) settle() {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		before := s.cpu()
		time.Sleep(50 * time.Millisecond)
		if s.cpu()-before < time.Millisecond {
			return
		}
	}
}

// residentKiB is VmRSS, and the highest VmRSS since forgetPeak.
func (s *server) residentKiB() (now, peak int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			now, _ = strconv.Atoi(fields[1])
		} else if len(fields) == 3 && fields[0] == "VmHWM:" {
			peak, _ = strconv.Atoi(fields[1])
		}
	}
	return now, peak
}

func (s *server) forgetPeak() {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.process.Process.Pid), []byte("5"), 0); err != nil {
		panic(err)
	}
}
