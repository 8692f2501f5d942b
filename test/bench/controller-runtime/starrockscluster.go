package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "starrocks.com", Version: "v1"}

// StarRocksCluster has the fields that people set, typed as an operator has them: all of them are decoded, as typed
// objects always are.
type StarRocksCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterSpec   `json:"spec,omitempty"`
	Status ClusterStatus `json:"status,omitempty"`
}

type ClusterSpec struct {
	ServiceAccount  string     `json:"serviceAccount,omitempty"`
	StarRocksFeSpec *FeSpec    `json:"starRocksFeSpec,omitempty"`
	StarRocksBeSpec *BeSpec    `json:"starRocksBeSpec,omitempty"`
	StarRocksCnSpec *CnSpec    `json:"starRocksCnSpec,omitempty"`
	FeProxySpec     *Component `json:"starRocksFeProxySpec,omitempty"`
}

type FeSpec struct {
	Component `json:",inline"`
	FeEnvVars []corev1.EnvVar `json:"feEnvVars,omitempty"`
}

type BeSpec struct {
	Component `json:",inline"`
	BeEnvVars []corev1.EnvVar `json:"beEnvVars,omitempty"`
}

type CnSpec struct {
	Component `json:",inline"`
	CnEnvVars []corev1.EnvVar `json:"cnEnvVars,omitempty"`
}

// Component is what the nodes of every kind have.
type Component struct {
	corev1.ResourceRequirements `json:",inline"`

	Image                         string                            `json:"image,omitempty"`
	ImagePullPolicy               corev1.PullPolicy                 `json:"imagePullPolicy,omitempty"`
	ImagePullSecrets              []corev1.LocalObjectReference     `json:"imagePullSecrets,omitempty"`
	Replicas                      *int32                            `json:"replicas,omitempty"`
	Annotations                   map[string]string                 `json:"annotations,omitempty"`
	PodLabels                     map[string]string                 `json:"podLabels,omitempty"`
	ServiceAccount                string                            `json:"serviceAccount,omitempty"`
	SchedulerName                 string                            `json:"schedulerName,omitempty"`
	NodeSelector                  map[string]string                 `json:"nodeSelector,omitempty"`
	Affinity                      *corev1.Affinity                  `json:"affinity,omitempty"`
	Tolerations                   []corev1.Toleration               `json:"tolerations,omitempty"`
	TopologySpreadConstraints     []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	HostAliases                   []corev1.HostAlias                `json:"hostAliases,omitempty"`
	TerminationGracePeriodSeconds *int64                            `json:"terminationGracePeriodSeconds,omitempty"`
	Lifecycle                     *corev1.Lifecycle                 `json:"lifecycle,omitempty"`
	Service                       *Service                          `json:"service,omitempty"`
	ConfigMapInfo                 ConfigMapInfo                     `json:"configMapInfo,omitempty"`
	ConfigMaps                    []Mount                           `json:"configMaps,omitempty"`
	Secrets                       []Mount                           `json:"secrets,omitempty"`
	StorageVolumes                []StorageVolume                   `json:"storageVolumes,omitempty"`
	Sidecars                      []corev1.Container                `json:"sidecars,omitempty"`
	InitContainers                []corev1.Container                `json:"initContainers,omitempty"`
}

type Service struct {
	Annotations    map[string]string    `json:"annotations,omitempty"`
	Type           corev1.ServiceType   `json:"type,omitempty"`
	LoadBalancerIP string               `json:"loadBalancerIP,omitempty"`
	Ports          []corev1.ServicePort `json:"ports,omitempty"`
}

type ConfigMapInfo struct {
	ConfigMapName string `json:"configMapName,omitempty"`
	ResolveKey    string `json:"resolveKey,omitempty"`
}

type Mount struct {
	Name      string `json:"name,omitempty"`
	MountPath string `json:"mountPath,omitempty"`
	SubPath   string `json:"subPath,omitempty"`
}

type StorageVolume struct {
	Name             string  `json:"name"`
	StorageClassName *string `json:"storageClassName,omitempty"`
	StorageSize      string  `json:"storageSize"`
	MountPath        string  `json:"mountPath,omitempty"`
}

type ClusterStatus struct {
	Phase             string           `json:"phase,omitempty"`
	StarRocksFeStatus *ComponentStatus `json:"starRocksFeStatus,omitempty"`
	StarRocksBeStatus *ComponentStatus `json:"starRocksBeStatus,omitempty"`
	StarRocksCnStatus *ComponentStatus `json:"starRocksCnStatus,omitempty"`
}

type ComponentStatus struct {
	ServiceName       string   `json:"serviceName,omitempty"`
	Phase             string   `json:"phase,omitempty"`
	Reason            string   `json:"reason,omitempty"`
	RunningInstances  []string `json:"runningInstances,omitempty"`
	CreatingInstances []string `json:"creatingInstances,omitempty"`
	FailedInstances   []string `json:"failedInstances,omitempty"`
}

// DeepCopyObject makes it a runtime.Object. Nothing that is measured copies one.
func (c *StarRocksCluster) DeepCopyObject() runtime.Object {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	copied := new(StarRocksCluster)
	if err := json.Unmarshal(text, copied); err != nil {
		panic(err)
	}
	return copied
}
