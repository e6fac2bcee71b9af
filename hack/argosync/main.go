// Syncs the manifests on standard input into a namespace, once and with the engine that ArgoCD syncs with. Prints what
// became of each as a line of JSON, in the order of the sync; the exit status is 1 where the sync failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/engine"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

// What ArgoCD tells its own objects by.
const tracking = "app.kubernetes.io/instance"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: KUBECONFIG=FILE argosync NAMESPACE < MANIFESTS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	// The engine lists and watches every kind there is, before it begins.
	config.QPS = -1
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	manifests, err := kube.SplitYAML(text)
	if err != nil {
		return err
	}
	live := cache.NewClusterCache(config, cache.SetPopulateResourceInfoHandler(
		func(object *unstructured.Unstructured, _ bool) (any, bool) {
			ours := object.GetLabels()[tracking] == namespace
			return ours, ours
		}))
	argo := engine.NewEngine(config, live)
	stop, err := argo.Run()
	if err != nil {
		return err
	}
	defer stop()
	isOurs := func(resource *cache.Resource) bool {
		ours, _ := resource.Info.(bool)
		return ours
	}
	results, err := argo.Sync(context.Background(), manifests, isOurs, "HEAD", namespace)
	for _, result := range results {
		if encoding := json.NewEncoder(os.Stdout).Encode(result); encoding != nil {
			return encoding
		}
		if result.HookPhase == common.OperationFailed || result.Status == common.ResultCodeSyncFailed {
			err = errors.Join(err, fmt.Errorf("%s: %s", result.ResourceKey, result.Message))
		}
	}
	return err
}
