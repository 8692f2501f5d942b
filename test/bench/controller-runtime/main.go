// The peer of the benchmark: the gate's most frequent decision as one writes it with controller-runtime. Both objects are
// decoded into typed structs, their images compared, and an update that changes none is allowed.
//
// usage: controller-runtime PORT CERTIFICATE_DIRECTORY   (tls.crt and tls.key; serves /validate on 127.0.0.1)
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
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type imageGuard struct {
	decoder admission.Decoder
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

func (g imageGuard) Handle(_ context.Context, request admission.Request) admission.Response {
	var object, old StarRocksCluster
	if err := g.decoder.Decode(request, &object); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if err := g.decoder.DecodeRaw(request.OldObject, &old); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if object.images() != old.images() {
		return admission.Denied("the image changes, and nothing here could prepare an upgrade")
	}
	response := admission.Allowed("")
	response.AuditAnnotations = map[string]string{"decision": "allowed-no-image-change"}
	return response
}

func serve(port int, certificates string) error {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &StarRocksCluster{})
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates})
	server.Register("/validate", &admission.Webhook{Handler: imageGuard{admission.NewDecoder(scheme)}})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Start(ctx)
}

func main() {
	log.SetLogger(logr.Discard())
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: controller-runtime PORT CERTIFICATE_DIRECTORY")
		os.Exit(2)
	}
	port, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = serve(port, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller-runtime:", err)
		os.Exit(1)
	}
}
