package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// Options say which cluster is kept, and how.
type Options struct {
	Kubeconfig  string        // file; "" for the pod's own account
	Outside     string        // kubeconfig file, where this is no pod
	Namespaces  []string      // that are kept; none for all
	Image       string        // of the gateway, in the pods that are made
	PullSecrets []string      // that images of pods are pulled with, in each namespace
	AdminListen string        // "" for none
	Resync      time.Duration // after which everything is looked at again
	StatusEvery time.Duration // between questions to pods how they are
	LeaderElect bool          // one of several replicas works, the others wait
	Webhook     WebhookOptions

	ready func() error // beside the caches; nil for nothing
	Log   *slog.Logger
}

// Run keeps a cluster until ctx ends.
func Run(ctx context.Context, o Options) error {
	o.Log = slog.New(ending{o.Log.Handler(), ctx})
	logger := logr.FromSlogHandler(o.Log.Handler())
	ctrllog.SetLogger(logger)
	klog.SetLogger(logger)
	config, err := o.config()
	if err != nil {
		return err
	}
	mgr, err := newManager(config, &o)
	if err != nil {
		return err
	}
	r := newReconciler(mgr, &o)
	if err := r.answer(ctx, mgr, config); err != nil {
		return err
	}
	for _, runs := range []manager.Runnable{r.asker, r.routes} {
		if err := mgr.Add(runs); err != nil {
			return fmt.Errorf("start what looks at the cluster: %w", err)
		}
	}
	if err := r.measure(ctx, mgr); err != nil {
		return fmt.Errorf("expose metrics: %w", err)
	}
	if err := r.index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if err := r.watch(mgr); err != nil {
		return err
	}
	o.Log.Info("operator starts", "server", config.Host, "namespaces", o.Namespaces, "image", o.Image)
	if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("keep the cluster: %w", err)
	}
	return nil
}

// config finds the API server.
func (o *Options) config() (*rest.Config, error) {
	var config *rest.Config
	var err error
	switch {
	case o.Kubeconfig != "":
		config, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	default:
		config, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			if o.Outside == "" {
				return nil, errors.New("this is no pod of a cluster; name a kubeconfig with --kubeconfig or KUBECONFIG")
			}
			config, err = clientcmd.BuildConfigFromFlags("", o.Outside)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	config.UserAgent = "sallyport-operator"
	config.QPS, config.Burst = 100, 200 // the server has a fairness of its own
	return config, nil
}

func newManager(config *rest.Config, o *Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("make a scheme: %w", err)
	}
	addToScheme(scheme)
	// Of what is not ours, only what we made is kept in memory. Secrets and ConfigMaps are
	// watched without their content; what is referenced is read when it is needed.
	mine := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy})}
	options := manager.Options{
		Scheme: scheme,
		Logger: logr.FromSlogHandler(o.Log.Handler()),
		Cache: cache.Options{
			ByObject: map[client.Object]cache.ByObject{},
		},
		LeaderElection: o.LeaderElect, LeaderElectionID: "sallyport-operator", LeaderElectionReleaseOnCancel: true,
		Metrics: metricsserver.Options{BindAddress: cmp.Or(o.AdminListen, "0"), ExtraHandlers: map[string]http.Handler{}},
	}
	for _, obj := range append(owned(), &corev1.Pod{}) {
		options.Cache.ByObject[obj] = mine
	}
	for _, ns := range o.Namespaces {
		if options.Cache.DefaultNamespaces == nil {
			options.Cache.DefaultNamespaces = map[string]cache.Config{}
		}
		options.Cache.DefaultNamespaces[ns] = cache.Config{}
	}
	if _, err := rest.InClusterConfig(); errors.Is(err, rest.ErrNotInCluster) {
		options.LeaderElectionNamespace = "default"
		if len(o.Namespaces) > 0 {
			options.LeaderElectionNamespace = o.Namespaces[0]
		}
	}
	var mgr manager.Manager
	options.Metrics.ExtraHandlers["/healthz"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	options.Metrics.ExtraHandlers["/readyz"] = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		defer cancel()
		if mgr == nil || !mgr.GetCache().WaitForCacheSync(ctx) {
			http.Error(w, "the caches are being filled", http.StatusServiceUnavailable)
			return
		}
		if o.ready != nil {
			if err := o.ready(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mgr, err := manager.New(config, options)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return mgr, nil
}

// owned are the kinds of what is made, Secrets and ConfigMaps apart.
func owned() []client.Object {
	return []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}}
}
