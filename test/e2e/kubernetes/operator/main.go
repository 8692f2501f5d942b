// A stand-in for the StarRocks operator: what it writes, in which order and when, so that tests meet the real one's ways.
// One pass takes fe, be and cn in turn and ends at the first error; a StatefulSet is written only when its hash annotation
// differs from the expected hash, by a three-way strategic PATCH and a full PUT (or by one merge PATCH, as up to 1.11.3);
// the status is a PUT of what its types know. Left out: fe-proxy, autoscalers, ConfigMaps, storage, SQL.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

var (
	clusterResource   = schema.GroupVersionResource{Group: "starrocks.com", Version: "v1", Resource: "starrocksclusters"}
	warehouseResource = schema.GroupVersionResource{Group: "starrocks.com", Version: "v1", Resource: "starrockswarehouses"}
)

const (
	styleThreeWay = "three-way"
	styleMerge    = "merge"
)

// controller-runtime's own: what fails is tried again after 5 ms, doubled up to 1000 s.
const (
	backoffFirst = 5 * time.Millisecond
	backoffMost  = 1000 * time.Second
)

// request names one object to look at.
type request struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

type operator struct {
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	objects  map[schema.GroupVersionResource]cache.GenericLister
	sets     appslisters.StatefulSetLister
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	queue    workqueue.TypedRateLimitingInterface[request]
	style    string
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	resync := flag.Duration("resync", 2*time.Minute, "every object is looked at again after this")
	style := flag.String("write-style", styleThreeWay, styleThreeWay+": PATCH then PUT, as since 1.11.4; "+styleMerge+": one merge PATCH, as before")
	flag.Parse()
	if *style != styleThreeWay && *style != styleMerge {
		log.Fatalf("--write-style: invalid value %q: want one of %s, %s", *style, styleThreeWay, styleMerge)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.UserAgent = "starrocks-operator"
	config.QPS, config.Burst = 100, 200
	o := &operator{
		client: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config), style: *style,
		objects: map[schema.GroupVersionResource]cache.GenericLister{},
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[request](backoffFirst, backoffMost)),
	}
	ctx := context.Background()
	o.watch(ctx, *resync)
	fmt.Fprintln(os.Stdout, "operator ready")
	// One worker for each kind, as in the real one (MaxConcurrentReconciles 1); here two that share a queue.
	go o.work(ctx)
	o.work(ctx)
}

func (o *operator) watch(ctx context.Context, resync time.Duration) {
	owned := informers.NewSharedInformerFactory(o.client, resync)
	customs := dynamicinformer.NewDynamicSharedInformerFactory(o.dynamic, resync)
	sets, services, pods := owned.Apps().V1().StatefulSets(), owned.Core().V1().Services(), owned.Core().V1().Pods()
	o.sets, o.services, o.pods = sets.Lister(), services.Lister(), pods.Lister()
	for _, informer := range []cache.SharedIndexInformer{sets.Informer(), services.Informer()} {
		must(informer.AddEventHandler(handler(o.addOwner)))
	}
	pods.Informer() // read only: a pod's event starts no pass
	for _, resource := range []schema.GroupVersionResource{clusterResource, warehouseResource} {
		informer := customs.ForResource(resource)
		o.objects[resource] = informer.Lister()
		must(informer.Informer().AddEventHandler(handler(func(object metav1.Object) {
			o.queue.Add(request{resource, object.GetNamespace(), object.GetName()})
		})))
	}
	owned.Start(ctx.Done())
	customs.Start(ctx.Done())
	owned.WaitForCacheSync(ctx.Done())
	customs.WaitForCacheSync(ctx.Done())
}

func (o *operator) addOwner(object metav1.Object) {
	owner := metav1.GetControllerOf(object)
	if owner == nil || !strings.HasPrefix(owner.APIVersion, "starrocks.com/") {
		return
	}
	resource := clusterResource
	if owner.Kind == "StarRocksWarehouse" {
		resource = warehouseResource
	}
	o.queue.Add(request{resource, object.GetNamespace(), owner.Name})
}

// handler calls `seen` for every event, a deletion that was missed included.
func handler(seen func(metav1.Object)) cache.ResourceEventHandler {
	each := func(object any) {
		if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		if known, ok := object.(metav1.Object); ok {
			seen(known)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: each, UpdateFunc: func(_, object any) { each(object) }, DeleteFunc: each}
}

func must(_ cache.ResourceEventHandlerRegistration, err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (o *operator) work(ctx context.Context) {
	for {
		next, shutdown := o.queue.Get()
		if shutdown {
			return
		}
		err := o.pass(ctx, next)
		log.Printf("pass %s %s/%s", next.resource.Resource, next.namespace, next.name)
		if err != nil {
			log.Printf("%s %s/%s: %v", next.resource.Resource, next.namespace, next.name, err)
			o.queue.AddRateLimited(next)
		} else {
			o.queue.Forget(next)
		}
		o.queue.Done(next)
	}
}

func (o *operator) pass(ctx context.Context, next request) error {
	bounded, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	if next.resource == warehouseResource {
		return o.reconcileWarehouse(bounded, next.namespace, next.name)
	}
	return o.reconcileCluster(bounded, next.namespace, next.name)
}
