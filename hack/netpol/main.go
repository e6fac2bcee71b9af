// Enforces the NetworkPolicies of a cluster on its one node, by the controller of kube-router alone: without its routes,
// its proxy and its CNI. Prints "enforcing" once the rules stand; takes all of them away when it is asked to end.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: KUBECONFIG=FILE netpol NODE SERVICE_CIDR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(node, services string) error {
	client, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	set, err := kubernetes.NewForConfig(client)
	if err != nil {
		return err
	}
	config := options.NewKubeRouterConfig()
	config.HostnameOverride = node
	config.ClusterIPCIDRs = []string{services}
	config.EnableIPv4 = true
	config.IPTablesSyncPeriod = 2 * time.Second
	factory := informers.NewSharedInformerFactory(set, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	stop := make(chan struct{})
	factory.Start(stop)
	for _, informer := range []cache.SharedIndexInformer{pods, namespaces, policies} {
		if !cache.WaitForCacheSync(stop, informer.HasSynced) {
			return errors.New("the API server does not answer")
		}
	}
	tables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	controller, err := netpol.NewNetworkPolicyController(set, config, pods, policies, namespaces, &sync.Mutex{}, tables, sets)
	if err != nil {
		return err
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods: controller.PodEventHandler, namespaces: controller.NamespaceEventHandler, policies: controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	beats := make(chan *healthcheck.ControllerHeartbeat, 10)
	var group sync.WaitGroup
	group.Add(1)
	go controller.Run(beats, stop, &group)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	for count := 0; ; {
		select {
		case <-beats:
			// One at the beginning of each synchronisation: at the second, the rules stand.
			if count++; count == 2 {
				fmt.Println("enforcing")
			}
		case <-ended:
			close(stop)
			group.Wait()
			controller.Cleanup()
			return nil
		}
	}
}
