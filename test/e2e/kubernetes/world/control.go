package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// A request names a command or a few addresses.
const bodyMax = 64 << 10

// keys are all pods, as namespace/name.
func (n *node) keys() []string {
	pods, err := n.lister.List(labels.Everything())
	if err != nil {
		return nil
	}
	var out []string
	for _, pod := range pods {
		if key, err := cache.MetaNamespaceKeyFunc(pod); err == nil {
			out = append(out, key)
		}
	}
	return out
}

// control is what a test tells and asks the world:
//
//	POST   /databases/NS/CLUSTER?frontends=1&version=3.3.0&arg=...  starts its simulator; {"address": what clients use}
//	DELETE /databases/NS/CLUSTER                                    ends it
//	POST   /databases/NS/CLUSTER/command                            body: a command of fe-simulator; {"answer": [lines]}
//	GET    /databases/NS/CLUSTER/timeline?from=N                    [{"at", "kind": pod|sql|trouble, "what"}]
//	POST   /rules?match=TEXT&start=1s|never&stop=1s|never&crash=true    for pods whose names contain TEXT
//	DELETE /rules                                                   all pods are as usual again
//	POST   /gates                                                   body: the replicas' addresses; {"address": for the webhooks}
func control(n *node, d *databases, b *balancer) http.Handler {
	mux := http.NewServeMux()
	key := func(r *http.Request) string { return r.PathValue("namespace") + "/" + r.PathValue("cluster") }
	mux.HandleFunc("POST /databases/{namespace}/{cluster}", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		frontends, err := strconv.Atoi(query.Get("frontends"))
		if err != nil || query.Get("version") == "" {
			refuse(w, http.StatusBadRequest, fmt.Errorf("invalid query %q: want frontends=N&version=X.Y.Z", r.URL.RawQuery))
			return
		}
		db, err := d.start(key(r), frontends, query.Get("version"), query["arg"])
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, map[string]any{"address": db.front.Addr().String(), "ports": db.ports})
	})
	mux.HandleFunc("DELETE /databases/{namespace}/{cluster}", func(w http.ResponseWriter, r *http.Request) {
		d.stop(key(r))
		answer(w, map[string]any{})
	})
	mux.HandleFunc("POST /databases/{namespace}/{cluster}/command", func(w http.ResponseWriter, r *http.Request) {
		db := d.get(key(r))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if db == nil || err != nil {
			refuse(w, http.StatusNotFound, fmt.Errorf("no database of %s", key(r)))
			return
		}
		lines, err := db.say(strings.TrimSpace(string(body)))
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, map[string]any{"answer": lines})
	})
	mux.HandleFunc("GET /databases/{namespace}/{cluster}/timeline", func(w http.ResponseWriter, r *http.Request) {
		db := d.get(key(r))
		if db == nil {
			refuse(w, http.StatusNotFound, fmt.Errorf("no database of %s", key(r)))
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		answer(w, append([]entry{}, db.since(from)...))
	})
	mux.HandleFunc("POST /rules", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		made := n.usual
		made.Match, made.Crash = query.Get("match"), query.Get("crash") == "true"
		for name, target := range map[string]*time.Duration{"start": &made.Start, "stop": &made.Stop} {
			if text := query.Get(name); text == "never" {
				*target = -1
			} else if text != "" {
				delay, err := time.ParseDuration(text)
				if err != nil || delay < 0 {
					refuse(w, http.StatusBadRequest, fmt.Errorf("%s: invalid value %q: want a duration like 1s, or never", name, text))
					return
				}
				*target = delay
			}
		}
		n.addRule(made)
		answer(w, map[string]any{})
	})
	mux.HandleFunc("DELETE /rules", func(w http.ResponseWriter, _ *http.Request) {
		n.clearRules()
		answer(w, map[string]any{})
	})
	mux.HandleFunc("POST /gates", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		b.set(strings.Fields(string(body)))
		answer(w, map[string]any{"address": b.listener.Addr().String()})
	})
	return mux
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what)
}

func refuse(w http.ResponseWriter, code int, why error) {
	w.WriteHeader(code)
	answer(w, map[string]any{"error": why.Error()})
}
