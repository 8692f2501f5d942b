package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
)

// A pass that takes longer is given up and repeated; the API server's own limit for a webhook is below it.
const passTimeout = 40 * time.Second

// reconcileCluster is one pass: fe, be and cn in this order; the first error ends it and is told in the status.
func (o *operator) reconcileCluster(ctx context.Context, namespace, name string) error {
	var cluster starRocksCluster
	if found, err := o.read(clusterResource, namespace, name, &cluster); !found || err != nil {
		return err
	}
	if cluster.DeletionTimestamp != nil {
		return nil
	}
	owner := *metav1.NewControllerRef(&cluster, schema.GroupVersionKind{Group: "starrocks.com", Version: "v1", Kind: "StarRocksCluster"})
	part := func(kind string, spec *componentSpec) *component {
		return &component{kind: kind, namespace: namespace, cluster: name, base: name + "-" + kind, owner: owner, spec: spec}
	}
	parts := []*component{part("fe", cluster.Spec.Fe), part("be", cluster.Spec.Be), part("cn", cluster.Spec.Cn)}
	for _, c := range parts {
		if err := o.syncPart(ctx, c, cluster.Spec.WaitForFullRollout); err != nil {
			o.tell(ctx, &cluster.ObjectMeta, "StarRocksCluster", "Sync"+strings.ToUpper(c.kind[:1])+c.kind[1:]+"Failed", err)
			cluster.Status.Phase = phaseFailed
			cluster.Status.Reason = fmt.Sprintf("error from %s controller: %v", strings.ToUpper(c.kind), err)
			return errors.Join(err, writeStatus(ctx, o, clusterResource, namespace, name, func(live *starRocksCluster) { live.Status = cluster.Status }))
		}
	}
	status := clusterStatus{Phase: phaseRunning}
	var failure error
	for i, target := range []**componentStatus{&status.Fe, &status.Be, &status.Cn} {
		if parts[i].spec == nil {
			continue
		}
		var err error
		if *target, err = o.statusOf(parts[i]); err != nil {
			failure = fmt.Errorf("error from %s controller: %w", strings.ToUpper(parts[i].kind), err)
			break
		}
		if phase := (*target).Phase; phase != phaseRunning && status.Phase == phaseRunning {
			status.Phase = phase
		}
	}
	if failure != nil {
		status.Phase, status.Reason = phaseFailed, failure.Error()
	}
	return errors.Join(failure, writeStatus(ctx, o, clusterResource, namespace, name, func(live *starRocksCluster) { live.Status = status }))
}

func (o *operator) syncPart(ctx context.Context, c *component, waitForFullRollout bool) error {
	if c.spec == nil {
		return o.clear(ctx, c)
	}
	if c.kind != "fe" && !o.frontendReady(c.namespace, c.cluster, waitForFullRollout) {
		return nil
	}
	if err := o.applyStatefulSet(ctx, c.statefulSet()); err != nil {
		return err
	}
	return o.applyServices(ctx, c)
}

// frontendReady: one FE pod that is ready is enough, old or new.
func (o *operator) frontendReady(namespace, cluster string, whole bool) bool {
	if whole {
		set, err := o.sets.StatefulSets(namespace).Get(cluster + "-fe")
		return err == nil && set.Spec.Replicas != nil && set.Status.ReadyReplicas == *set.Spec.Replicas &&
			set.Status.UpdateRevision == set.Status.CurrentRevision
	}
	c := component{kind: "fe", base: cluster + "-fe"}
	pods, err := o.pods.Pods(namespace).List(labels.SelectorFromSet(c.labels()))
	for _, pod := range pods {
		if isReady(pod) {
			return true
		}
	}
	return err != nil
}

// clear removes what belongs to a component that is no longer asked for.
func (o *operator) clear(ctx context.Context, c *component) error {
	if set, err := o.sets.StatefulSets(c.namespace).Get(c.base); err == nil {
		if len(set.Finalizers) > 0 {
			copied := set.DeepCopy()
			copied.Finalizers = nil
			if _, err := o.client.AppsV1().StatefulSets(c.namespace).Update(ctx, copied, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		if err := o.client.AppsV1().StatefulSets(c.namespace).Delete(ctx, c.base, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	for _, name := range []string{c.base + "-service", c.base + "-search"} {
		if _, err := o.services.Services(c.namespace).Get(name); err != nil {
			continue
		}
		if err := o.client.CoreV1().Services(c.namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (o *operator) reconcileWarehouse(ctx context.Context, namespace, name string) error {
	var warehouse starRocksWarehouse
	c := &component{kind: "cn", namespace: namespace, base: name + "-warehouse-cn", warehouse: true}
	found, err := o.read(warehouseResource, namespace, name, &warehouse)
	if err != nil {
		return err
	}
	if !found {
		return o.clear(ctx, c)
	}
	if warehouse.DeletionTimestamp != nil || warehouse.Spec.Template == nil {
		return nil
	}
	c.cluster, c.spec = warehouse.Spec.Cluster, warehouse.Spec.Template
	c.owner = *metav1.NewControllerRef(&warehouse, schema.GroupVersionKind{Group: "starrocks.com", Version: "v1", Kind: "StarRocksWarehouse"})
	status := &componentStatus{Phase: phaseReconciling}
	if o.frontendReady(namespace, c.cluster, false) {
		if err = o.syncPart(ctx, c, false); err == nil {
			status, err = o.statusOf(c)
		}
	}
	if err != nil {
		o.tell(ctx, &warehouse.ObjectMeta, "StarRocksWarehouse", "SyncWarehouseFailed", err)
		status = &componentStatus{Phase: phaseFailed, Reason: err.Error()}
	}
	return errors.Join(err, writeStatus(ctx, o, warehouseResource, namespace, name, func(live *starRocksWarehouse) { live.Status = *status }))
}

// statusOf reads it from the pods and the StatefulSet: one that was not changed counts as running.
func (o *operator) statusOf(c *component) (*componentStatus, error) {
	status := &componentStatus{Phase: phaseReconciling}
	set, err := o.sets.StatefulSets(c.namespace).Get(c.base)
	if apierrors.IsNotFound(err) {
		return status, nil
	}
	if err != nil {
		return nil, err
	}
	status.ServiceName, status.ResourceNames = c.base+"-service", []string{c.base}
	if c.kind == "cn" {
		status.Replicas, status.Selector = set.Status.Replicas, labels.SelectorFromSet(c.labels()).String()
	}
	// In the order of the cache's index, which is a different one each time: so is the real status.
	pods, err := o.pods.Pods(c.namespace).List(labels.SelectorFromSet(c.labels()))
	if err != nil {
		return nil, err
	}
	for _, pod := range pods {
		switch {
		case isReady(pod):
			status.RunningInstances = append(status.RunningInstances, pod.Name)
		case pod.Status.Phase == corev1.PodFailed || waitingReason(pod) == "CrashLoopBackOff":
			status.FailedInstances = append(status.FailedInstances, pod.Name)
			status.Reason = waitingReason(pod)
		default:
			status.CreatingInstances = append(status.CreatingInstances, pod.Name)
			status.Reason = waitingReason(pod)
		}
	}
	switch {
	case len(status.FailedInstances) > 0:
		status.Phase = phaseFailed
	case len(status.CreatingInstances) > 0:
		status.Phase = phaseReconciling
	default:
		status.Phase, status.Reason, err = rolloutPhase(set)
	}
	return status, err
}

// rolloutPhase: with a partition, "partitioned roll out complete" is the end; OnDelete is an error in every pass.
func rolloutPhase(set *appsv1.StatefulSet) (phase, reason string, err error) {
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return "", "", errors.New("rollout status is only available for RollingUpdate strategy type")
	}
	replicas := int32(1)
	if set.Spec.Replicas != nil {
		replicas = *set.Spec.Replicas
	}
	partition := int32(0)
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		partition = *rolling.Partition
	}
	switch {
	case set.Status.ObservedGeneration == 0 || set.Generation > set.Status.ObservedGeneration:
		return phaseReconciling, "waiting for statefulset spec update to be observed", nil
	case set.Status.ReadyReplicas < replicas:
		return phaseReconciling, fmt.Sprintf("waiting for %d pods to be ready", replicas-set.Status.ReadyReplicas), nil
	case partition > 0 && set.Status.UpdatedReplicas < replicas-partition:
		return phaseReconciling, "waiting for partitioned roll out to finish", nil
	case partition == 0 && set.Status.UpdateRevision != set.Status.CurrentRevision:
		return phaseReconciling, "waiting for statefulset rolling update to complete", nil
	}
	return phaseRunning, "", nil
}

func isReady(pod *corev1.Pod) bool {
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready {
			return false
		}
	}
	return len(pod.Status.ContainerStatuses) > 0
}

func waitingReason(pod *corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Waiting != nil {
			return status.State.Waiting.Reason
		}
	}
	return pod.Status.Reason
}

// read takes an object from the cache into the typed form.
func (o *operator) read(resource schema.GroupVersionResource, namespace, name string, into any) (bool, error) {
	item, err := o.objects[resource].ByNamespace(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(item.(*unstructured.Unstructured).Object, into)
}

// writeStatus replaces the whole status by what the type knows, as seen in the cache; a conflict is tried again.
func writeStatus[T any](ctx context.Context, o *operator, resource schema.GroupVersionResource, namespace, name string, change func(*T)) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		live := new(T)
		if found, err := o.read(resource, namespace, name, live); !found || err != nil {
			return err
		}
		change(live)
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			return err
		}
		_, err = o.dynamic.Resource(resource).Namespace(namespace).UpdateStatus(ctx, &unstructured.Unstructured{Object: object}, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// tell writes a Warning event; that it cannot is not the pass's error.
func (o *operator) tell(ctx context.Context, object *metav1.ObjectMeta, kind, reason string, cause error) {
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: object.Name + ".", Namespace: object.Namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "starrocks.com/v1", Kind: kind, Namespace: object.Namespace, Name: object.Name,
			UID: object.UID},
		Type: corev1.EventTypeWarning, Reason: reason, Message: cause.Error(), Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "starrocks-operator"},
	}
	if _, err := o.client.CoreV1().Events(object.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		log.Printf("event %s of %s/%s: %v", reason, object.Namespace, object.Name, err)
	}
}
