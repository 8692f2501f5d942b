package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/util/retry"
)

// applyStatefulSet writes only when the hash annotation of the object in the cache differs from the expected object's
// hash: what the live spec says plays no part.
func (o *operator) applyStatefulSet(ctx context.Context, expected *appsv1.StatefulSet) error {
	sets := o.client.AppsV1().StatefulSets(expected.Namespace)
	cached, err := o.sets.StatefulSets(expected.Namespace).Get(expected.Name)
	if apierrors.IsNotFound(err) {
		_, err = sets.Create(ctx, expected, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	actual := cached.DeepCopy()
	if actual.DeletionTimestamp != nil && len(actual.Finalizers) > 0 {
		actual.Finalizers = nil
		_, err = sets.Update(ctx, actual, metav1.UpdateOptions{})
		return err
	}
	expected.Spec.ServiceName = actual.Spec.ServiceName
	hash := hashOf(expected)
	written, known := actual.Annotations[annotationHash]
	if !known {
		written = hashOf(actual)
	}
	if hash == written {
		return nil
	}
	expected.Annotations[annotationHash] = hash
	expected.ResourceVersion = actual.ResourceVersion
	text, err := json.Marshal(expected)
	if err != nil {
		return err
	}
	log.Printf("write StatefulSet %s/%s hash %s instead of %s", expected.Namespace, expected.Name, hash, written)
	if o.style == styleMerge {
		_, err = sets.Patch(ctx, expected.Name, types.MergePatchType, text, metav1.PatchOptions{})
		return err
	}
	return o.patchThenPut(ctx, text, actual)
}

// patchThenPut is how the operator writes since 1.11.4. The annotation of the second write holds the resource version
// from which the first was computed.
func (o *operator) patchThenPut(ctx context.Context, expected []byte, actual *appsv1.StatefulSet) error {
	sets := o.client.AppsV1().StatefulSets(actual.Namespace)
	live, err := json.Marshal(actual)
	if err != nil {
		return err
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(&appsv1.StatefulSet{})
	if err != nil {
		return err
	}
	var lastApplied []byte
	if text, ok := actual.Annotations[annotationLastApplied]; ok {
		lastApplied = []byte(text)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(lastApplied, expected, live, schema, true)
	if err != nil {
		return fmt.Errorf("failed to create merge patch: %w", err)
	}
	if string(patch) == "{}" {
		return nil
	}
	if _, err = sets.Patch(ctx, actual.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("failed to patch statefulset: %w", err)
	}
	// Read from the cache, which may lag behind the patch: a conflict is tried again. Its error is not looked at, as in
	// the real one.
	_ = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cached, err := o.sets.StatefulSets(actual.Namespace).Get(actual.Name)
		if err != nil {
			return err
		}
		next := cached.DeepCopy()
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[annotationLastApplied] = string(expected)
		_, err = sets.Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
	return nil
}

func (o *operator) applyServices(ctx context.Context, c *component) error {
	for _, expected := range c.services() {
		services := o.client.CoreV1().Services(c.namespace)
		actual, err := o.services.Services(c.namespace).Get(expected.Name)
		if apierrors.IsNotFound(err) {
			if _, err = services.Create(ctx, expected, metav1.CreateOptions{}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if sameService(expected, actual) {
			continue
		}
		expected.ResourceVersion = actual.ResourceVersion
		text, err := json.Marshal(expected)
		if err != nil {
			return err
		}
		if _, err = services.Patch(ctx, expected.Name, types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}
