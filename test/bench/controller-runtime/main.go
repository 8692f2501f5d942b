// The peer of the benchmark: the gate's decisions as one writes them with controller-runtime. Both objects are decoded
// into typed structs, their images compared, and an update that changes none is allowed. With a kubeconfig one that
// changes some is allowed, too, if the informer cache has the object as it was sent and a record that prepared exactly
// this change; without one it is refused.
//
// usage: controller-runtime PORT CERTIFICATE_DIRECTORY [KUBECONFIG]   (tls.crt and tls.key; serves /validate on 127.0.0.1)
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

func serve(port int, certificates, kubeconfig string) error {
	scheme := newScheme()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var known cache.Cache
	if kubeconfig != "" {
		var err error
		if known, err = startCache(ctx, scheme, kubeconfig); err != nil {
			return err
		}
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates})
	server.Register("/validate", &admission.Webhook{Handler: imageGuard{admission.NewDecoder(scheme), known}})
	return server.Start(ctx)
}

func main() {
	log.SetLogger(logr.Discard())
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: controller-runtime PORT CERTIFICATE_DIRECTORY [KUBECONFIG]")
		os.Exit(2)
	}
	kubeconfig := ""
	if len(os.Args) == 4 {
		kubeconfig = os.Args[3]
	}
	port, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = serve(port, os.Args[2], kubeconfig)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller-runtime:", err)
		os.Exit(1)
	}
}
