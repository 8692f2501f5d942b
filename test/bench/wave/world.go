package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	startPatience = 30 * time.Second
	ordinaryPause = 20 * time.Millisecond
	ordinaryIdle  = 200 // reviews without a wave
)

var (
	serverLine   = regexp.MustCompile(`server: "(https://[^"]+)"`)
	portsLine    = regexp.MustCompile(` port=(\d+) ops_port=(\d+)`)
	frontendLine = regexp.MustCompile(`(?m)^fe-0 (127\.0\.0\.1:\d+)$`)
	residentLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
)

// world is the control plane, the gate's replicas behind one address, and a simulated FE for all clusters.
type world struct {
	options
	server   string
	admin    *http.Client
	reviews  *http.Client
	entry    net.Listener // what stands for the Service
	database io.Writer    // commands to the simulated FEs
	children []*exec.Cmd
	gates    []replica
}

type replica struct {
	process    *exec.Cmd
	hooks, ops string
}

func newWorld(o options) (*world, error) {
	w := &world{options: o}
	if err := w.start(); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *world) start() error {
	config, err := os.ReadFile(filepath.Join(w.directory, "kubeconfig"))
	if err != nil {
		return err
	}
	found := serverLine.FindSubmatch(config)
	if found == nil {
		return fmt.Errorf("no server in the kubeconfig")
	}
	w.server = string(found[1])
	if w.admin, err = client(filepath.Join(w.directory, "ca.crt"), filepath.Join(w.directory, "admin")); err != nil {
		return err
	}
	if w.reviews, err = client(w.tls("ca.crt"), ""); err != nil {
		return err
	}
	arguments := []string{"--delay", hangingAt}
	if w.leads {
		arguments = []string{"--frontends", strconv.Itoa(ledPods), "--backends", strconv.Itoa(ledPods), "--version-string", ledFrom}
	}
	log, _, err := w.launch("simulator", frontendLine, w.simulator, arguments...)
	if err != nil {
		return err
	}
	frontend := log[1]
	for i := 0; i < w.replicas; i++ {
		name := fmt.Sprintf("gate-%d", i)
		ports, process, err := w.launch(name, portsLine, w.gate, "serve", "--listen", "127.0.0.1:0", "--ops-listen",
			"127.0.0.1:0", "--tls-cert-file", w.tls("tls.crt"), "--tls-key-file", w.tls("tls.key"), "--kubeconfig",
			filepath.Join(w.directory, "gate.kubeconfig"), "--identity", name, "--frontend-address", frontend, "--drain", "0s",
			"--admission-wait", "1s")
		if err != nil {
			return err
		}
		w.gates = append(w.gates, replica{process, "127.0.0.1:" + ports[1], "127.0.0.1:" + ports[2]})
	}
	for until := time.Now().Add(startPatience); w.sum("upgrade_gate_ready") < w.replicas; time.Sleep(pollInterval) {
		if time.Now().After(until) {
			return fmt.Errorf("the gate is not ready; see %s", w.directory)
		}
	}
	if err := w.balance(); err != nil {
		return err
	}
	return w.install()
}

func (w *world) tls(file string) string { return filepath.Join(w.directory, "tls", file) }
func (w *world) audit() string          { return filepath.Join(w.directory, "audit.log") }

// client trusts `authority` alone and shows the certificate `pair`.crt, if any.
func client(authority, pair string) (*http.Client, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(pem)
	if pair != "" {
		certificate, err := tls.LoadX509KeyPair(pair+".crt", pair+".key")
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: config,
		MaxIdleConnsPerHost: atOnce, MaxIdleConns: atOnce}}, nil
}

// launch starts a program with its output in a file, and waits until that says what `ready` looks for.
func (w *world) launch(name string, ready *regexp.Regexp, program string, arguments ...string) ([]string, *exec.Cmd,
	error) {
	path := filepath.Join(w.directory, name+".log")
	file, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	process := exec.Command(program, arguments...)
	process.Stdout, process.Stderr = file, file
	// Its end would end the simulator.
	input, err := process.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err = process.Start(); err != nil {
		return nil, nil, err
	}
	w.children = append(w.children, process)
	if program == w.simulator {
		w.database = input
	}
	for until := time.Now().Add(startPatience); time.Now().Before(until); time.Sleep(pollInterval / 10) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		if found := ready.FindStringSubmatch(string(text)); found != nil {
			return found, process, nil
		}
	}
	return nil, nil, fmt.Errorf("%s did not start; see %s", name, path)
}

func (w *world) stop() {
	if w.entry != nil {
		w.entry.Close()
	}
	for _, child := range w.children {
		child.Process.Kill()
		child.Wait()
	}
}

// balance gives each new connection to the next replica, as a Service does.
func (w *world) balance() error {
	var err error
	if w.entry, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	go func() {
		for next := 0; ; next++ {
			from, err := w.entry.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", w.gates[next%len(w.gates)].hooks)
			if err != nil {
				from.Close()
				continue
			}
			go pass(from, to)
			go pass(to, from)
		}
	}()
	return nil
}

func pass(from, to net.Conn) {
	io.Copy(to, from)
	from.Close()
	to.Close()
}

// install writes the webhook configurations and waits until the API server uses them.
func (w *world) install() error {
	arguments := []string{"https://" + w.entry.Addr().String(), w.tls("ca.crt")}
	if w.leads {
		arguments = append(arguments, filepath.Join(w.scripts, "rollouts"))
	}
	rendered, err := exec.Command(filepath.Join(w.scripts, "webhooks-by-url.sh"), arguments...).Output()
	if err != nil {
		return fmt.Errorf("webhooks-by-url.sh: %v", err)
	}
	apply := exec.Command(os.Getenv("KUBECTL"), "apply", "-f", "-")
	apply.Stdin = bytes.NewReader(rendered)
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %v: %s", err, out)
	}
	probe := cluster{namespace: "default", name: "probe"}.object()
	probe["metadata"].(map[string]interface{})["annotations"] = map[string]string{
		"starrocks.com/prepare-upgrade": "true", "starrocks.com/upgrade-hooks": "no-such-hook"}
	for until := time.Now().Add(startPatience); time.Now().Before(until); time.Sleep(pollInterval) {
		status, _, err := w.call("POST", "/apis/starrocks.com/v1/namespaces/default/starrocksclusters?dryRun=All",
			"application/json", probe)
		if err == nil && status/100 == 4 {
			return nil
		}
	}
	return fmt.Errorf("the API server does not call the webhooks")
}

func (w *world) call(method, path, kind string, body interface{}) (int, string, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequest(method, w.server+path, bytes.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", kind)
	response, err := w.admin.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

// sum of a metric over all replicas and labels.
func (w *world) sum(metric string) int {
	var mutex sync.Mutex
	var all sync.WaitGroup
	sum := 0.0
	for _, gate := range w.gates {
		all.Add(1)
		go func(ops string) {
			defer all.Done()
			response, err := http.Get("http://" + ops + "/metrics")
			if err != nil {
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			mutex.Lock()
			defer mutex.Unlock()
			for _, line := range strings.Split(string(text), "\n") {
				rest := strings.TrimPrefix(line, metric)
				if rest == line || rest == "" || (rest[0] != '{' && rest[0] != ' ') {
					continue
				}
				value, _ := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
				sum += value
			}
		}(gate.ops)
	}
	all.Wait()
	return int(sum)
}

// resident memory of each replica in MiB, the most so far.
func (w *world) resident() []float64 {
	var out []float64
	for _, gate := range w.gates {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", gate.process.Process.Pid))
		found := residentLine.FindSubmatch(text)
		if err != nil || found == nil {
			continue
		}
		kib, _ := strconv.ParseFloat(string(found[1]), 64)
		out = append(out, kib/1024)
	}
	return out
}

// ordinaryReviews asks about a change that is none of images, one after the other, until `over` is closed; nil: some.
func (w *world) ordinaryReviews(over <-chan struct{}) []time.Duration {
	before := cluster{namespace: "default", name: "ordinary"}.object()
	after := cluster{namespace: "default", name: "ordinary"}.object()
	after["spec"].(map[string]interface{})["starRocksBeSpec"] = map[string]interface{}{"image": oldImage, "replicas": 3}
	group := map[string]string{"group": "starrocks.com", "version": "v1", "kind": "StarRocksCluster"}
	resource := map[string]string{"group": "starrocks.com", "version": "v1", "resource": "starrocksclusters"}
	review, _ := json.Marshal(map[string]interface{}{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]interface{}{"uid": "ordinary", "kind": group, "resource": resource, "name": "ordinary",
			"namespace": "default", "operation": "UPDATE", "userInfo": map[string]string{"username": "bench"},
			"object": after, "oldObject": before}})
	var took []time.Duration
	for {
		select {
		case <-over:
			return took
		default:
		}
		if over == nil && len(took) >= ordinaryIdle {
			return took
		}
		began := time.Now()
		response, err := w.reviews.Post("https://"+w.entry.Addr().String()+"/validate", "application/json",
			bytes.NewReader(review))
		if err != nil {
			took = append(took, time.Minute)
			continue
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != 200 || !bytes.Contains(answer, []byte(`"allowed":true`)) {
			took = append(took, time.Minute)
		} else {
			took = append(took, time.Since(began))
		}
		time.Sleep(ordinaryPause)
	}
}
