// What stands around a control plane in tests: a node's kubelet and scheduler, the way to the frontends, and the way to
// the webhooks.
//   - Pods are bound, become Running and Ready, and go when they are deleted; rules delay, stick or break them. An image
//     whose tag contains "broken" never starts.
//   - FE, BE and CN pods move the nodes of one fe-simulator per StarRocksCluster: what restarts here restarts there, with
//     the image's version. Their pod IPs are invented; clients reach the FEs through one forwarded port per cluster.
//   - One port passes connections on to whichever of the gates accepts them, as a Service of ready pods does.
//
// Everything is on 127.0.0.1 and is told over HTTP (control.go); "world 127.0.0.1:PORT" is printed when it serves.
// Left out: volumes, image pulls, node failures, container logs, programs in pods.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	simulator := flag.String("simulator", "", "the program fe-simulator")
	start := flag.Duration("start-delay", 200*time.Millisecond, "how long a pod takes to become ready")
	stop := flag.Duration("stop-delay", 100*time.Millisecond, "how long a pod takes to end")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.UserAgent = "world"
	config.QPS, config.Burst = 200, 400
	client := kubernetes.NewForConfigOrDie(config)
	databases := &databases{program: *simulator, all: map[string]*database{}}
	n := newNode(client, databases, rule{Start: *start, Stop: *stop})
	ctx := context.Background()
	factory := informers.NewSharedInformerFactory(client, 0)
	n.watch(factory)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range podWorkers {
		go n.work(ctx)
	}
	balancer, err := newBalancer()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("world %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, control(n, databases, balancer)))
}
