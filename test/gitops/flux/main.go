// What Flux says of objects by the healthCheckExprs of a Kustomization or HelmRelease:
//
//	flux-health MANIFEST OBJECT_JSON...
//
// prints one line for each object: its file, and Current, InProgress or Failed. The evaluator is Flux's own.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: flux-health MANIFEST OBJECT_JSON..."))
	}
	expressions, err := readExpressions(os.Args[1])
	if err != nil {
		fail(err)
	}
	for _, file := range os.Args[2:] {
		verdict, err := judge(expressions, file)
		if err != nil {
			fail(fmt.Errorf("%s: %w", file, err))
		}
		fmt.Println(file, verdict)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func readExpressions(file string) ([]kustomize.CustomHealthCheck, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(manifest.Spec.HealthCheckExprs) == 0 {
		return nil, fmt.Errorf("%s: no spec.healthCheckExprs", file)
	}
	return manifest.Spec.HealthCheckExprs, nil
}

func judge(expressions []kustomize.CustomHealthCheck, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var object unstructured.Unstructured
	if err := json.Unmarshal(text, &object); err != nil {
		return "", err
	}
	for i := range expressions {
		// The version does not count, for Flux either.
		one := expressions[i]
		group := schema.FromAPIVersionAndKind(one.APIVersion, one.Kind)
		if group.GroupKind() != object.GroupVersionKind().GroupKind() {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&one.HealthCheckExpressions)
		if err != nil {
			return "", err
		}
		result, err := evaluator.Evaluate(context.Background(), &object)
		if err != nil {
			return "", err
		}
		return result.Status.String(), nil
	}
	return "", fmt.Errorf("no expression for %s", object.GroupVersionKind())
}
