package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var recordGroupVersion = schema.GroupVersion{Group: "gate.starrocks.com", Version: "v1alpha1"}

// UpgradePreparation has what the decision reads of a record.
type UpgradePreparation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PreparationSpec   `json:"spec"`
	Status PreparationStatus `json:"status,omitempty"`
}

type PreparationSpec struct {
	ObjectRef  ObjectReference  `json:"objectRef"`
	ClusterRef ClusterReference `json:"clusterRef"`
	Attempt    int32            `json:"attempt,omitempty"`
	Changes    []Change         `json:"changes"`
	Hooks      []Hook           `json:"hooks"`
}

type ObjectReference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type ClusterReference struct {
	Name string `json:"name"`
}

type Change struct {
	Component string `json:"component"`
	From      string `json:"from"`
	To        string `json:"to"`
}

type Hook struct {
	Name     string `json:"name"`
	SQL      string `json:"sql,omitempty"`
	Critical bool   `json:"critical,omitempty"`
}

type PreparationStatus struct {
	Phase   string `json:"phase,omitempty"`
	Stage   string `json:"stage,omitempty"`
	Message string `json:"message,omitempty"`
}

type UpgradePreparationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UpgradePreparation `json:"items"`
}

type StarRocksClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StarRocksCluster `json:"items"`
}

// Nothing that is measured copies one of these.
func (p *UpgradePreparation) DeepCopyObject() runtime.Object     { return copied(p) }
func (l *UpgradePreparationList) DeepCopyObject() runtime.Object { return copied(l) }
func (l *StarRocksClusterList) DeepCopyObject() runtime.Object   { return copied(l) }

func copied[T any](object *T) *T {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	out := new(T)
	if err := json.Unmarshal(text, out); err != nil {
		panic(err)
	}
	return out
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &StarRocksCluster{}, &StarRocksClusterList{})
	scheme.AddKnownTypes(recordGroupVersion, &UpgradePreparation{}, &UpgradePreparationList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	metav1.AddToGroupVersion(scheme, recordGroupVersion)
	return scheme
}

// newMapper knows both resources without asking for them.
func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(groupVersion.WithKind("StarRocksCluster"), meta.RESTScopeNamespace)
	mapper.Add(recordGroupVersion.WithKind("UpgradePreparation"), meta.RESTScopeNamespace)
	return mapper
}

const byCluster = "spec.clusterRef.name"

// startCache returns once both resources are in it. Readers get what is in it, not copies: they only read.
func startCache(ctx context.Context, scheme *runtime.Scheme, kubeconfig string) (cache.Cache, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	unshared := true
	known, err := cache.New(config, cache.Options{Scheme: scheme, Mapper: newMapper(), DefaultUnsafeDisableDeepCopy: &unshared})
	if err != nil {
		return nil, err
	}
	err = known.IndexField(ctx, &UpgradePreparation{}, byCluster, func(object client.Object) []string {
		return []string{object.(*UpgradePreparation).Spec.ClusterRef.Name}
	})
	if err == nil {
		_, err = known.GetInformer(ctx, &StarRocksCluster{}, cache.BlockUntilSynced(false))
	}
	if err != nil {
		return nil, err
	}
	go func() {
		if err := known.Start(ctx); err != nil {
			panic(err)
		}
	}()
	known.WaitForCacheSync(ctx)
	return known, nil
}

// changes between the two, as a record has them.
func changesOf(object, old *StarRocksCluster) (changes []Change) {
	before, after := old.images(), object.images()
	for i, component := range []string{"fe", "be", "cn"} {
		if before[i] != after[i] {
			changes = append(changes, Change{component, before[i], after[i]})
		}
	}
	return changes
}

const annotationPrefix = "starrocks.com/"

func hooksOf(object *StarRocksCluster) []string {
	return strings.Split(object.Annotations[annotationPrefix+"upgrade-hooks"], ",")
}

// sameAsStored: what was sent as the old object is what the cache has.
func sameAsStored(old, stored *StarRocksCluster) bool {
	if old.UID != stored.UID || old.Generation != stored.Generation || old.images() != stored.images() {
		return false
	}
	for _, pair := range [][2]map[string]string{{old.Annotations, stored.Annotations}, {stored.Annotations, old.Annotations}} {
		for name, value := range pair[0] {
			if strings.HasPrefix(name, annotationPrefix) && pair[1][name] != value {
				return false
			}
		}
	}
	return stored.DeletionTimestamp.IsZero()
}

func (g imageGuard) judgeChange(ctx context.Context, request admission.Request, object, old *StarRocksCluster) admission.Response {
	if g.known == nil {
		return admission.Denied("the image changes, and nothing here could prepare an upgrade")
	}
	var stored StarRocksCluster
	err := g.known.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Name}, &stored)
	if apierrors.IsNotFound(err) || err == nil && !sameAsStored(old, &stored) {
		return admission.Denied("what was sent is not what is stored")
	}
	var records UpgradePreparationList
	if err == nil {
		err = g.known.List(ctx, &records, client.InNamespace(request.Namespace), client.MatchingFields{byCluster: request.Name})
	}
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	for i := range records.Items {
		record := &records.Items[i]
		if !prepares(record, object, old) {
			continue
		}
		if g.live != nil {
			if err := g.live.confirm(ctx, record, object, old); err != nil {
				return admission.Denied(err.Error())
			}
		}
		response := admission.Allowed("")
		response.AuditAnnotations = map[string]string{"decision": "allowed-prepared", "preparation": record.Name}
		return response
	}
	return admission.Denied("the upgrade is not prepared")
}

// prepares: the record is Completed for exactly this change with exactly these hooks.
func prepares(record *UpgradePreparation, object, old *StarRocksCluster) bool {
	names := make([]string, 0, len(record.Spec.Hooks))
	for _, hook := range record.Spec.Hooks {
		names = append(names, hook.Name)
	}
	return record.Spec.ObjectRef.UID == string(object.UID) && slices.Equal(record.Spec.Changes, changesOf(object, old)) &&
		slices.Equal(names, hooksOf(object)) && record.Status.Phase == "Completed" && record.Status.Stage == "Prepared"
}
