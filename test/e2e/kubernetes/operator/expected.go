package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// How the operator names things. Programs that look at its StatefulSets rely on these.
const (
	labelComponent        = "app.kubernetes.io/component"
	labelOwner            = "app.starrocks.ownerreference/name"
	annotationHash        = "app.starrocks.components/hash"
	annotationLastApplied = "starrocks.kubernetes.operator/last-applied-configuration"
	warehouseFinalizer    = "starrocks.com/warehouse"
)

// What one component of one object becomes.
type component struct {
	kind      string // fe, be or cn: the container's name, too
	namespace string
	cluster   string // whose FE it belongs to
	base      string // of the names: <cluster>-fe, <warehouse>-warehouse-cn
	owner     metav1.OwnerReference
	spec      *componentSpec
	warehouse bool
}

func (c *component) labels() map[string]string {
	return map[string]string{labelComponent: c.kind, labelOwner: c.base}
}

var ports = map[string][]corev1.ServicePort{
	"fe": {{Name: "http", Port: 8030}, {Name: "rpc", Port: 9020}, {Name: "query", Port: 9030}},
	"be": {{Name: "be", Port: 9060}, {Name: "webserver", Port: 8040}, {Name: "heartbeat", Port: 9050}, {Name: "brpc", Port: 8060}},
	"cn": {{Name: "thrift", Port: 9060}, {Name: "webserver", Port: 8040}, {Name: "heartbeat", Port: 9050}, {Name: "brpc", Port: 8060}},
}

// searchPorts are the headless Service's: what the nodes use among themselves.
var searchPorts = map[string][]corev1.ServicePort{
	"fe": {{Name: "query", Port: 9030}},
	"be": {{Name: "heartbeat", Port: 9050}},
	"cn": {{Name: "heartbeat", Port: 9050}},
}

func (c *component) metadata(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: c.namespace, Labels: c.labels(), OwnerReferences: []metav1.OwnerReference{c.owner}}
}

func (c *component) services() []*corev1.Service {
	external := &corev1.Service{
		ObjectMeta: c.metadata(c.base + "-service"),
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: c.labels(), Ports: targeted(ports[c.kind])},
	}
	search := &corev1.Service{
		ObjectMeta: c.metadata(c.base + "-search"),
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: c.labels(), Ports: targeted(searchPorts[c.kind]),
			PublishNotReadyAddresses: true},
	}
	return []*corev1.Service{search, external}
}

func targeted(some []corev1.ServicePort) []corev1.ServicePort {
	out := make([]corev1.ServicePort, 0, len(some))
	for _, port := range some {
		port.TargetPort = intstr.FromInt32(port.Port)
		out = append(out, port)
	}
	return out
}

// statefulSet is the expected object, without what the API server fills in.
func (c *component) statefulSet() *appsv1.StatefulSet {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	environment := []corev1.EnvVar{
		field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP"), field("POD_NAMESPACE", "metadata.namespace"),
		{Name: "HOST_TYPE", Value: "FQDN"},
		{Name: "FE_SERVICE_NAME", Value: c.cluster + "-fe-service." + c.namespace},
		{Name: "FE_QUERY_PORT", Value: "9030"},
	}
	container := corev1.Container{
		Name: c.kind, Image: c.spec.Image, Command: []string{"/opt/starrocks/" + c.kind + "_entrypoint.sh"},
		Args: []string{"$(FE_SERVICE_NAME)"}, Env: append(environment, c.spec.environment()...),
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/api/health", Port: intstr.FromInt32(ports[c.kind][0].Port)}},
			PeriodSeconds: 5, FailureThreshold: 3,
		},
	}
	for _, port := range ports[c.kind] {
		container.Ports = append(container.Ports, corev1.ContainerPort{Name: port.Name, ContainerPort: port.Port})
	}
	set := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: c.metadata(c.base),
		Spec: appsv1.StatefulSetSpec{
			Replicas: c.spec.Replicas, ServiceName: c.base + "-search", PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector: &metav1.LabelSelector{MatchLabels: c.labels()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: c.labels(), Namespace: c.namespace},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{container}},
			},
		},
	}
	set.Annotations = map[string]string{}
	if c.warehouse {
		set.Finalizers = []string{warehouseFinalizer}
	}
	set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32)}}
	if c.spec.UpdateStrategy != nil {
		set.Spec.UpdateStrategy = *c.spec.UpdateStrategy
	}
	if c.spec.MinReadySeconds != nil {
		set.Spec.MinReadySeconds = *c.spec.MinReadySeconds
	}
	return set
}

// hashOf covers what the operator compares; nothing else of a StatefulSet makes it write.
func hashOf(set *appsv1.StatefulSet) string {
	text, err := json.Marshal(struct {
		Name, Namespace string
		Labels          map[string]string
		Finalizers      []string
		Selector        *metav1.LabelSelector
		Template        corev1.PodTemplateSpec
		ServiceName     string
		Claims          []corev1.PersistentVolumeClaim
		Replicas        *int32
		UpdateStrategy  appsv1.StatefulSetUpdateStrategy
		Retention       *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy
		MinReadySeconds int32
	}{set.Name, set.Namespace, set.Labels, set.Finalizers, set.Spec.Selector, set.Spec.Template, set.Spec.ServiceName,
		set.Spec.VolumeClaimTemplates, set.Spec.Replicas, set.Spec.UpdateStrategy, set.Spec.PersistentVolumeClaimRetentionPolicy,
		set.Spec.MinReadySeconds})
	if err != nil {
		panic(err) // plain structs of the API
	}
	sum := fnv.New32a()
	sum.Write(text)
	return strconv.FormatUint(uint64(sum.Sum32()), 10)
}

// sameService tells whether an update of `actual` is needed to make it as `expected`.
func sameService(expected, actual *corev1.Service) bool {
	if !maps.Equal(expected.Spec.Selector, actual.Spec.Selector) || !maps.Equal(expected.Labels, actual.Labels) ||
		len(expected.Spec.Ports) != len(actual.Spec.Ports) {
		return false
	}
	for i := range expected.Spec.Ports {
		if expected.Spec.Ports[i].Name != actual.Spec.Ports[i].Name || expected.Spec.Ports[i].Port != actual.Spec.Ports[i].Port {
			return false
		}
	}
	return true
}

func (c *component) String() string { return fmt.Sprintf("%s/%s", c.namespace, c.base) }
