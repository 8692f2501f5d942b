package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The custom resources as a typed client sees them: a field that is not here is lost by a status PUT, as with the real one.

type componentSpec struct {
	Image           string                            `json:"image,omitempty"`
	Replicas        *int32                            `json:"replicas,omitempty"`
	FeEnvVars       []corev1.EnvVar                   `json:"feEnvVars,omitempty"`
	BeEnvVars       []corev1.EnvVar                   `json:"beEnvVars,omitempty"`
	CnEnvVars       []corev1.EnvVar                   `json:"cnEnvVars,omitempty"`
	EnvVars         []corev1.EnvVar                   `json:"envVars,omitempty"` // a warehouse's
	UpdateStrategy  *appsv1.StatefulSetUpdateStrategy `json:"updateStrategy,omitempty"`
	MinReadySeconds *int32                            `json:"minReadySeconds,omitempty"`
}

func (s *componentSpec) environment() []corev1.EnvVar {
	var all []corev1.EnvVar
	for _, some := range [][]corev1.EnvVar{s.FeEnvVars, s.BeEnvVars, s.CnEnvVars, s.EnvVars} {
		all = append(all, some...)
	}
	return all
}

type componentStatus struct {
	ServiceName       string   `json:"serviceName,omitempty"`
	FailedInstances   []string `json:"failedInstances,omitempty"`
	CreatingInstances []string `json:"creatingInstances,omitempty"`
	RunningInstances  []string `json:"runningInstances,omitempty"`
	ResourceNames     []string `json:"resourceNames,omitempty"`
	Phase             string   `json:"phase,omitempty"`
	Reason            string   `json:"reason,omitempty"`
	Replicas          int32    `json:"replicas,omitempty"`
	Selector          string   `json:"selector,omitempty"`
}

type clusterStatus struct {
	Phase  string           `json:"phase"`
	Reason string           `json:"reason,omitempty"`
	Fe     *componentStatus `json:"starRocksFeStatus,omitempty"`
	Be     *componentStatus `json:"starRocksBeStatus,omitempty"`
	Cn     *componentStatus `json:"starRocksCnStatus,omitempty"`
}

type starRocksCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		Fe                 *componentSpec `json:"starRocksFeSpec,omitempty"`
		Be                 *componentSpec `json:"starRocksBeSpec,omitempty"`
		Cn                 *componentSpec `json:"starRocksCnSpec,omitempty"`
		WaitForFullRollout bool           `json:"waitForFullRollout,omitempty"`
	} `json:"spec,omitempty"`
	Status clusterStatus `json:"status,omitempty"`
}

type starRocksWarehouse struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		Cluster  string         `json:"starRocksCluster"`
		Template *componentSpec `json:"template,omitempty"`
	} `json:"spec,omitempty"`
	Status componentStatus `json:"status,omitempty"`
}

const (
	phaseRunning     = "running"
	phaseReconciling = "reconciling"
	phaseFailed      = "failed"
)
