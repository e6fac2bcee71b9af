// Syncs the manifests on standard input into a namespace, once and with the engine that ArgoCD syncs with. Prints what
// became of each as a line of JSON, in the order of the sync; the exit status is 1 where the sync failed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2/textlogger"
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
	// The cache lists and watches every kind there is, before it begins.
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
	if err := live.EnsureSynced(); err != nil {
		return err
	}
	defer live.Invalidate()
	return syncAll(config, live, manifests, namespace)
}

// Makes one pass after another, each with what is there by then, as ArgoCD's controller does.
func syncAll(config *rest.Config, live cache.ClusterCache, manifests []*unstructured.Unstructured, namespace string) error {
	log := textlogger.NewLogger(textlogger.NewConfig())
	kubectl := &kube.KubectlCmd{Log: log, Tracer: tracing.NopTracer{}}
	isOurs := func(resource *cache.Resource) bool {
		ours, _ := resource.Info.(bool)
		return ours
	}
	changed := make(chan struct{}, 1)
	defer live.OnResourceUpdated(func(_, _ *cache.Resource, _ map[kube.ResourceKey]*cache.Resource) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	phase, message, results, started := common.OperationRunning, "", []common.ResourceSyncResult{}, metav1.Now()
	for !phase.Completed() {
		objects, err := live.GetManagedLiveObjs(manifests, isOurs)
		if err != nil {
			return err
		}
		pass, cleanup, err := sync.NewSyncContext(
			"HEAD", sync.Reconcile(manifests, objects, namespace, live), config, config, kubectl, namespace,
			live.GetOpenAPISchema(), sync.WithInitialState(phase, message, results, started), sync.WithLogr(log))
		if err != nil {
			return err
		}
		pass.Sync()
		phase, message, results = pass.GetState()
		cleanup()
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
	for _, result := range results {
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			return err
		}
	}
	if !phase.Successful() {
		return fmt.Errorf("%s: %s", phase, message)
	}
	return nil
}
