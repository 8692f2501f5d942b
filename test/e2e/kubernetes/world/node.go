package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	nodeName   = "node-1"
	nodeIP     = "10.244.255.1"
	podWorkers = 4
	// What failed is tried again after the first, at most after the second.
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
	// A request to the API server that takes longer is given up; the pod is looked at again.
	requestTimeout = 20 * time.Second
)

// rule says how pods whose name contains Match behave; the newest that fits counts.
type rule struct {
	Match string        // "" fits every pod
	Start time.Duration // until it is ready; negative: never. One that runs is left alone
	Stop  time.Duration // until it is gone; negative: never
	Crash bool          // its container ends again and again
}

type podState struct {
	ip               string
	bornAt, endingAt time.Time // zero: not yet
	up               bool      // as the database was told
}

// node plays scheduler and kubelet for all pods.
type node struct {
	client    kubernetes.Interface
	databases *databases
	lister    corelisters.PodLister
	queue     workqueue.TypedRateLimitingInterface[string]

	mu     sync.Mutex
	usual  rule
	rules  []rule
	states map[types.UID]*podState
	ips    int
}

func newNode(client kubernetes.Interface, databases *databases, usual rule) *node {
	return &node{client: client, databases: databases, usual: usual, states: map[types.UID]*podState{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryMost))}
}

func (n *node) watch(factory informers.SharedInformerFactory) {
	informer := factory.Core().V1().Pods()
	n.lister = informer.Lister()
	add := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			n.queue.Add(key)
		}
	}
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, object any) { add(object) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				n.gone(pod)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}

// addRule puts it in front of the others and looks at every pod again.
func (n *node) addRule(r rule) {
	n.mu.Lock()
	n.rules = append(n.rules, r)
	n.mu.Unlock()
	n.lookAgain()
}

func (n *node) clearRules() {
	n.mu.Lock()
	n.rules = nil
	n.mu.Unlock()
	n.lookAgain()
}

func (n *node) lookAgain() {
	for _, key := range n.keys() {
		n.queue.Add(key)
	}
}

func (n *node) ruleFor(pod *corev1.Pod) rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.rules) - 1; i >= 0; i-- {
		if strings.Contains(pod.Name, n.rules[i].Match) {
			return n.rules[i]
		}
	}
	return n.usual
}

func (n *node) state(uid types.UID) *podState {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.states[uid]; known != nil {
		return known
	}
	// An address that nothing listens on: endpoints accept none of the loopback network.
	ip := fmt.Sprintf("10.244.%d.%d", n.ips/250, n.ips%250+2)
	n.ips++
	n.states[uid] = &podState{ip: ip}
	return n.states[uid]
}

func (n *node) work(ctx context.Context) {
	for {
		key, shutdown := n.queue.Get()
		if shutdown {
			return
		}
		again, err := n.look(ctx, key)
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			if !apierrors.IsConflict(err) {
				log.Printf("pod %s: %v", key, err)
			}
			n.queue.AddRateLimited(key)
		default:
			n.queue.Forget(key)
			if again > 0 {
				n.queue.AddAfter(key, again)
			}
		}
		n.queue.Done(key)
	}
}

func (n *node) look(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, err
	}
	cached, err := n.lister.Pods(namespace).Get(name)
	if err != nil {
		return 0, err
	}
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return n.sync(bounded, cached.DeepCopy())
}

// sync takes one step for a pod and says when to look again; 0: at its next event.
func (n *node) sync(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	rule, state := n.ruleFor(pod), n.state(pod.UID)
	if pod.DeletionTimestamp != nil {
		return n.end(ctx, pod, rule, state)
	}
	if pod.Spec.NodeName == "" {
		return 0, n.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName}}, metav1.CreateOptions{})
	}
	n.mu.Lock()
	running := state.up
	n.mu.Unlock()
	image := pod.Spec.Containers[0].Image
	switch left := n.left(&state.bornAt, rule.Start); {
	case strings.Contains(image[strings.LastIndex(image, ":")+1:], "broken"):
		return 0, n.report(ctx, pod, state, "ImagePullBackOff")
	case rule.Crash:
		n.move(pod, state, false)
		return 0, n.report(ctx, pod, state, "CrashLoopBackOff")
	case running:
	case rule.Start < 0:
		return 0, n.report(ctx, pod, state, "ContainerCreating")
	case left > 0:
		return left, nil
	}
	n.move(pod, state, true)
	return 0, n.report(ctx, pod, state, "")
}

func (n *node) end(ctx context.Context, pod *corev1.Pod, rule rule, state *podState) (time.Duration, error) {
	n.move(pod, state, false)
	left := n.left(&state.endingAt, rule.Stop)
	if rule.Stop < 0 {
		return 0, nil
	}
	if left > 0 {
		return left, nil
	}
	now := int64(0)
	return 0, n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
}

// left remembers when the wait began.
func (n *node) left(since *time.Time, delay time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since.IsZero() {
		*since = time.Now()
	}
	return time.Until(since.Add(delay))
}

// move tells the database once that the pod's process is up, or is no more.
func (n *node) move(pod *corev1.Pod, state *podState, up bool) {
	n.mu.Lock()
	changed := state.up != up
	state.up = up
	n.mu.Unlock()
	if changed {
		n.databases.podMoved(pod, up)
	}
}

func (n *node) gone(pod *corev1.Pod) {
	n.move(pod, n.state(pod.UID), false)
	n.databases.podGone(pod)
	n.mu.Lock()
	delete(n.states, pod.UID)
	n.mu.Unlock()
}

// report writes the pod's status where it changes; `waiting` is why its container does not run.
func (n *node) report(ctx context.Context, pod *corev1.Pod, state *podState, waiting string) error {
	before, err := json.Marshal(pod.Status)
	if err != nil {
		return err
	}
	status, now := &pod.Status, metav1.Now()
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.HostIP, status.PodIP, status.PodIPs = nodeIP, state.ip, []corev1.PodIP{{IP: state.ip}}
	status.Phase = corev1.PodRunning
	if waiting != "" && waiting != "CrashLoopBackOff" {
		status.Phase = corev1.PodPending
	}
	ready := waiting == ""
	for _, kind := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		setCondition(status, kind, ready || kind == corev1.PodInitialized, now)
	}
	known := map[string]corev1.ContainerStatus{}
	for _, container := range status.ContainerStatuses {
		known[container.Name] = container
	}
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		entry := known[container.Name]
		entry.Name, entry.Image, entry.ImageID, entry.Ready, entry.Started = container.Name, container.Image, container.Image, ready, &ready
		switch {
		case !ready:
			entry.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting, Message: container.Image}}
		case entry.State.Running == nil:
			entry.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
		}
		status.ContainerStatuses = append(status.ContainerStatuses, entry)
	}
	after, err := json.Marshal(status)
	if err != nil || string(before) == string(after) {
		return err
	}
	_, err = n.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, holds bool, now metav1.Time) {
	value := corev1.ConditionFalse
	if holds {
		value = corev1.ConditionTrue
	}
	for i := range status.Conditions {
		if condition := &status.Conditions[i]; condition.Type == kind {
			if condition.Status != value {
				condition.Status, condition.LastTransitionTime = value, now
			}
			return
		}
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: now})
}
