// kube-controller-manager of the same release: StatefulSets, Jobs, garbage collection and namespaces are the real ones.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
