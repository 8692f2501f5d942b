// The peer of the benchmark: the gate's decisions as one writes them with controller-runtime. Both objects are decoded
// into typed structs, their images compared, and an update that changes none is allowed. With a kubeconfig one that
// changes some is allowed, too, if the informer cache has the object as it was sent and a record that prepared exactly
// this change; without one it is refused. With a frontend it asks as the gate does, too, before it allows such a change.
//
// usage: controller-runtime PORT CERTIFICATE_DIRECTORY [KUBECONFIG [FRONTEND]]
// (tls.crt and tls.key; serves /validate on 127.0.0.1; FRONTEND is HOST:PORT)
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type imageGuard struct {
	decoder admission.Decoder
	known   cache.Cache // nil without a kubeconfig
	live    *questions  // nil without a frontend
}

// The images whose change the gate watches: of FE, BE and CN.
func (c *StarRocksCluster) images() (images [3]string) {
	if c.Spec.StarRocksFeSpec != nil {
		images[0] = c.Spec.StarRocksFeSpec.Image
	}
	if c.Spec.StarRocksBeSpec != nil {
		images[1] = c.Spec.StarRocksBeSpec.Image
	}
	if c.Spec.StarRocksCnSpec != nil {
		images[2] = c.Spec.StarRocksCnSpec.Image
	}
	return images
}

func (g imageGuard) Handle(ctx context.Context, request admission.Request) admission.Response {
	var object, old StarRocksCluster
	if err := g.decoder.Decode(request, &object); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if err := g.decoder.DecodeRaw(request.OldObject, &old); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if object.images() != old.images() {
		return g.judgeChange(ctx, request, &object, &old)
	}
	response := admission.Allowed("")
	response.AuditAnnotations = map[string]string{"decision": "allowed-no-image-change"}
	return response
}

func serve(port int, certificates, kubeconfig, frontend string) error {
	scheme := newScheme()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	guard := imageGuard{decoder: admission.NewDecoder(scheme)}
	if kubeconfig != "" {
		var err error
		if guard.known, err = startCache(ctx, scheme, kubeconfig); err != nil {
			return err
		}
		if frontend != "" {
			if guard.live, err = newQuestions(scheme, kubeconfig, frontend); err != nil {
				return err
			}
		}
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates})
	server.Register("/validate", &admission.Webhook{Handler: guard})
	return server.Start(ctx)
}

func main() {
	log.SetLogger(logr.Discard())
	arguments := os.Args[1:]
	if len(arguments) < 2 || len(arguments) > 4 {
		fmt.Fprintln(os.Stderr, "usage: controller-runtime PORT CERTIFICATE_DIRECTORY [KUBECONFIG [FRONTEND]]")
		os.Exit(2)
	}
	arguments = append(arguments, "", "")
	port, err := strconv.Atoi(arguments[0])
	if err == nil {
		err = serve(port, arguments[1], arguments[2], arguments[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller-runtime:", err)
		os.Exit(1)
	}
}
