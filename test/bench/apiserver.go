package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// apiServer stands in for the Kubernetes API server, in this process: objects of two resources with list, watch,
// metadata alone, compare-and-set of the status and merge patches of it. Everything else is not found. What it costs is
// on the load generator's processor, and it never makes the servers wait for a disk. Thread safe.
type apiServer struct {
	address string
	close   func()
	sent    int64 // objects in lists and watches; atomic

	mutex       sync.Mutex
	version     int
	collections map[string]*collection // by "group/plural"
}

type collection struct {
	kind, apiVersion string
	objects          map[string]*kubeObject // by "namespace/name"
	events           []kubeEvent            // since the start
	changed          chan struct{}          // closed with the next event
}

// kubeObject is never changed once it is stored: its members may be shared with others.
type kubeObject struct {
	collection     *collection
	metadata, rest map[string]json.RawMessage
	version        int
}

type kubeEvent struct {
	kind   string
	object *kubeObject
}

const (
	recordsCollection  = "gate.starrocks.com/upgradepreparations"
	clustersCollection = "starrocks.com/starrocksclusters"
	mergePatch         = "application/merge-patch+json"
	bearerToken        = "bench"
)

func startAPIServer(certificates string) (*apiServer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(certificates, "tls.crt"), filepath.Join(certificates, "tls.key"))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		return nil, err
	}
	a := &apiServer{address: listener.Addr().String(), version: 1, collections: map[string]*collection{
		recordsCollection:                   newCollection("UpgradePreparation", "gate.starrocks.com/v1alpha1"),
		clustersCollection:                  newCollection("StarRocksCluster", "starrocks.com/v1"),
		"starrocks.com/starrockswarehouses": newCollection("StarRocksWarehouse", "starrocks.com/v1"),
	}}
	server := &http.Server{Handler: a, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	a.close = func() { _ = server.Close() }
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return a, nil
}

func newCollection(kind, apiVersion string) *collection {
	return &collection{kind: kind, apiVersion: apiVersion, objects: map[string]*kubeObject{}, changed: make(chan struct{})}
}

// kubeconfig writes one for this server, with `authority` (a file) as what vouches for it; returns its path.
func (a *apiServer) kubeconfig(dir, authority string) (string, error) {
	file := filepath.Join(dir, "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]\n"+
		"users: [{name: u, user: {token: %s}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n",
		"https://"+a.address, authority, bearerToken)
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// where is a request's place in the API.
type where struct {
	collection, namespace, name, subresource string
}

// placeOf understands /apis/GROUP/VERSION[/namespaces/NAMESPACE]/PLURAL[/NAME[/SUBRESOURCE]].
func placeOf(path string) (where, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 4 || parts[0] != "apis" {
		return where{}, false
	}
	group, parts := parts[1], parts[3:]
	var w where
	if parts[0] == "namespaces" && len(parts) > 2 {
		w.namespace, parts = parts[1], parts[2:]
	}
	w.collection = group + "/" + parts[0]
	if len(parts) > 1 {
		w.name = parts[1]
	}
	if len(parts) > 2 {
		w.subresource = parts[2]
	}
	return w, len(parts) <= 3
}

func refuse(out http.ResponseWriter, code int, reason string) {
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(code)
	fmt.Fprintf(out, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%q,"reason":%q,"code":%d}`, reason, reason, code)
}

func (a *apiServer) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Authorization") != "Bearer "+bearerToken {
		refuse(out, http.StatusUnauthorized, "Unauthorized")
		return
	}
	place, understood := placeOf(request.URL.Path)
	a.mutex.Lock()
	c := a.collections[place.collection]
	a.mutex.Unlock()
	if !understood || c == nil {
		_, _ = io.Copy(io.Discard, request.Body)
		refuse(out, http.StatusNotFound, "NotFound")
		return
	}
	query := request.URL.Query()
	bare := strings.Contains(request.Header.Get("Accept"), "as=PartialObjectMetadata")
	switch {
	case request.Method == http.MethodGet && place.name != "":
		a.get(out, c, place, bare)
	case request.Method == http.MethodGet && query.Get("watch") != "" && query.Get("sendInitialEvents") != "":
		refuse(out, http.StatusUnprocessableEntity, "Invalid") // clients fall back to list and watch
	case request.Method == http.MethodGet && query.Get("watch") != "":
		a.watch(out, request, c, place.namespace, bare)
	case request.Method == http.MethodGet:
		a.list(out, c, place.namespace, query.Get("labelSelector"), bare)
	default:
		a.write(out, request, c, place)
	}
}

func (a *apiServer) write(out http.ResponseWriter, request *http.Request, c *collection, place where) {
	body, err := io.ReadAll(request.Body)
	var sent *kubeObject
	if err == nil {
		sent, err = parseObject(c, body)
	}
	if err != nil {
		refuse(out, http.StatusBadRequest, "BadRequest")
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if request.Method == http.MethodPost {
		sent.metadata["namespace"] = quoted(place.namespace)
		if c.objects[sent.key()] != nil {
			refuse(out, http.StatusConflict, "AlreadyExists")
			return
		}
		sent.metadata["uid"] = quoted(fmt.Sprintf("00000000-0000-0000-0000-%012d", a.version))
		sent.metadata["creationTimestamp"] = quoted(time.Now().UTC().Format(time.RFC3339))
		sent.metadata["generation"] = json.RawMessage("1")
		a.store("ADDED", sent)
		sendObject(out, http.StatusCreated, sent, false)
		return
	}
	old := c.objects[place.namespace+"/"+place.name]
	if old == nil {
		refuse(out, http.StatusNotFound, "NotFound")
		return
	}
	if version := sent.text("resourceVersion"); version != "" && version != old.text("resourceVersion") {
		refuse(out, http.StatusConflict, "Conflict")
		return
	}
	now := old.copied()
	switch {
	case request.Method == http.MethodPut && place.subresource == "status":
		now.rest["status"] = sent.rest["status"]
	case request.Method == http.MethodPatch && place.subresource == "status" && request.Header.Get("Content-Type") == mergePatch:
		now.rest["status"] = merged(old.rest["status"], sent.rest["status"])
	default:
		refuse(out, http.StatusMethodNotAllowed, "MethodNotAllowed")
		return
	}
	if !bytes.Equal(now.rest["status"], old.rest["status"]) {
		a.store("MODIFIED", now)
	}
	sendObject(out, http.StatusOK, c.objects[now.key()], false)
}

func quoted(text string) json.RawMessage {
	out, _ := json.Marshal(text)
	return out
}

// merged is RFC 7386.
func merged(old, patch json.RawMessage) json.RawMessage {
	var changes map[string]json.RawMessage
	if json.Unmarshal(patch, &changes) != nil || changes == nil {
		return patch
	}
	into := map[string]json.RawMessage{}
	_ = json.Unmarshal(old, &into)
	if into == nil {
		into = map[string]json.RawMessage{}
	}
	for key, value := range changes {
		if string(value) == "null" {
			delete(into, key)
		} else {
			into[key] = merged(into[key], value)
		}
	}
	out, _ := json.Marshal(into)
	return out
}

// parseObject copies nothing out of `body`, which must not be changed any more.
func parseObject(c *collection, body []byte) (*kubeObject, error) {
	o := &kubeObject{collection: c}
	if err := json.Unmarshal(body, &o.rest); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(o.rest["metadata"], &o.metadata); err != nil && o.rest["metadata"] != nil {
		return nil, err
	}
	if o.metadata == nil {
		o.metadata = map[string]json.RawMessage{}
	}
	for _, name := range []string{"metadata", "apiVersion", "kind"} {
		delete(o.rest, name)
	}
	return o, nil
}

func (o *kubeObject) text(field string) string {
	var text string
	_ = json.Unmarshal(o.metadata[field], &text)
	return text
}

func (o *kubeObject) key() string { return o.text("namespace") + "/" + o.text("name") }

func (o *kubeObject) copied() *kubeObject {
	out := &kubeObject{collection: o.collection, metadata: map[string]json.RawMessage{}, rest: map[string]json.RawMessage{}}
	for key, value := range o.metadata {
		out.metadata[key] = value
	}
	for key, value := range o.rest {
		out.rest[key] = value
	}
	return out
}

func (o *kubeObject) labelled(selector string) bool {
	labels := map[string]string{}
	_ = json.Unmarshal(o.metadata["labels"], &labels)
	for _, term := range strings.Split(selector, ",") {
		if key, value, found := strings.Cut(term, "="); found && labels[key] != value {
			return false
		}
	}
	return true
}

func writeMembers(out *bytes.Buffer, members map[string]json.RawMessage) {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(name))
		out.WriteByte(':')
		out.Write(members[name])
	}
}

// render writes the object, or its metadata alone.
func (o *kubeObject) render(out *bytes.Buffer, bare bool) {
	kind, apiVersion := o.collection.kind, o.collection.apiVersion
	if bare {
		kind, apiVersion = "PartialObjectMetadata", "meta.k8s.io/v1"
	}
	fmt.Fprintf(out, `{"apiVersion":%q,"kind":%q,"metadata":{`, apiVersion, kind)
	writeMembers(out, o.metadata)
	out.WriteByte('}')
	if !bare && len(o.rest) > 0 {
		out.WriteByte(',')
		writeMembers(out, o.rest)
	}
	out.WriteByte('}')
}

func sendObject(out http.ResponseWriter, code int, o *kubeObject, bare bool) {
	var text bytes.Buffer
	o.render(&text, bare)
	out.Header().Set("Content-Type", "application/json")
	out.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	out.WriteHeader(code)
	_, _ = out.Write(text.Bytes())
}

// store is called with the mutex held.
func (a *apiServer) store(event string, o *kubeObject) {
	a.version++
	o.version = a.version
	o.metadata["resourceVersion"] = quoted(strconv.Itoa(a.version))
	c := o.collection
	c.objects[o.key()] = o
	c.events = append(c.events, kubeEvent{event, o})
	close(c.changed)
	c.changed = make(chan struct{})
}

// put is what a user does: the object is stored as it is, with another resourceVersion.
func (a *apiServer) put(name string, body []byte) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	o, err := parseObject(a.collections[name], body)
	if err == nil {
		a.store("ADDED", o)
	}
	return err
}

func (a *apiServer) objectsSent() int64 { return atomic.LoadInt64(&a.sent) }

func (a *apiServer) get(out http.ResponseWriter, c *collection, place where, bare bool) {
	a.mutex.Lock()
	o := c.objects[place.namespace+"/"+place.name]
	a.mutex.Unlock()
	if o == nil {
		refuse(out, http.StatusNotFound, "NotFound")
		return
	}
	sendObject(out, http.StatusOK, o, bare)
}

func (a *apiServer) list(out http.ResponseWriter, c *collection, namespace, selector string, bare bool) {
	a.mutex.Lock()
	version := a.version
	var found []*kubeObject
	for _, o := range c.objects {
		if (namespace == "" || o.text("namespace") == namespace) && o.labelled(selector) {
			found = append(found, o)
		}
	}
	a.mutex.Unlock()
	kind, apiVersion := c.kind+"List", c.apiVersion
	if bare {
		kind, apiVersion = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	out.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(out, `{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"%d"},"items":[`, apiVersion, kind, version)
	var text bytes.Buffer
	for i, o := range found {
		text.Reset()
		if i > 0 {
			text.WriteByte(',')
		}
		o.render(&text, bare)
		if _, err := out.Write(text.Bytes()); err != nil {
			return
		}
		atomic.AddInt64(&a.sent, 1)
	}
	_, _ = io.WriteString(out, "]}")
}

func (a *apiServer) watch(out http.ResponseWriter, request *http.Request, c *collection, namespace string, bare bool) {
	query := request.URL.Query()
	since, _ := strconv.Atoi(query.Get("resourceVersion"))
	seconds, err := strconv.Atoi(query.Get("timeoutSeconds"))
	if err != nil {
		seconds = 300
	}
	over := time.After(time.Duration(seconds) * time.Second)
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(http.StatusOK)
	flush := out.(http.Flusher).Flush
	flush()
	var text bytes.Buffer
	for next := 0; ; {
		a.mutex.Lock()
		events, changed := c.events, c.changed
		a.mutex.Unlock()
		for ; next < len(events); next++ {
			o := events[next].object
			if o.version <= since || namespace != "" && o.text("namespace") != namespace {
				continue
			}
			text.Reset()
			fmt.Fprintf(&text, `{"type":%q,"object":`, events[next].kind)
			o.render(&text, bare)
			text.WriteString("}\n")
			if _, err := out.Write(text.Bytes()); err != nil {
				return
			}
			atomic.AddInt64(&a.sent, 1)
		}
		flush()
		select {
		case <-changed:
		case <-over:
			return
		case <-request.Context().Done():
			return
		}
	}
}
