package route

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// Config says how HTTPRoutes are watched.
type Config struct {
	Direct     client.Reader
	Namespaces []string // that are kept; none for all
	Every      time.Duration
	Open       func() (cache.Cache, error)          // of our own HTTPRoutes
	Changed    func(context.Context, client.Object) // one of them
	News       func(context.Context)                // there are HTTPRoutes from now on, or none any more
	Log        *slog.Logger
}

// Watch knows whether the cluster has HTTPRoutes of the Gateway API, and those of ours
// where it has. It looks again and again: the API may be installed later, or taken away.
type Watch struct {
	Config

	mu    sync.Mutex
	known Known
	close func()
}

// Known is what a Watch knows.
type Known struct {
	State  State
	Why    string        // of Forbidden
	Reader client.Reader // of our HTTPRoutes; nil but where there can be some
}

// State is whether routes can be made.
type State int

// The states.
const (
	Unknown   State = iota // nobody has looked yet
	Absent                 // the cluster has no such kind
	Forbidden              // the operator lacks a right
	There
)

// Open opens a cache of our own HTTPRoutes.
func Open(mgr manager.Manager, namespaces []string) (cache.Cache, error) {
	options := cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy}),
	}
	for _, ns := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[ns] = cache.Config{}
	}
	return cache.New(mgr.GetConfig(), options)
}

// Fixed is one that knows what it is told, and never looks.
func Fixed(k Known) *Watch { return &Watch{known: k} }

// NeedLeaderElection says that only the replica that works looks.
func (r *Watch) NeedLeaderElection() bool { return true }

// Start looks until ctx ends.
func (r *Watch) Start(ctx context.Context) error {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			r.leave()
			return nil
		case <-tick.C:
		}
	}
}

// Known is whether routes can be made, why not, and where those are that there are.
func (r *Watch) Known() Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// look finds out whether the cluster has HTTPRoutes, and watches ours where it has.
func (r *Watch) look(ctx context.Context) {
	state, why, err := r.ask(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Warn("ask whether the cluster has the Gateway API", "err", err)
		}
		return // as it was
	}
	if state == r.Known().State {
		return
	}
	var reader client.Reader
	if r.leave(); state == There {
		if reader, err = r.watch(ctx); err != nil {
			r.Log.Warn("watch HTTPRoutes", "err", err)
			return // the next look tries again
		}
	}
	r.mu.Lock()
	r.known = Known{state, why, reader}
	r.mu.Unlock()
	r.Log.Info("gateway API", "httproutes", state.String())
	r.News(ctx)
}

// String is the state for a log.
func (s State) String() string {
	return [...]string{"unknown", "not installed", "forbidden", "there"}[s]
}

// ask asks the API server, which knows best: for one HTTPRoute, of whomever.
func (r *Watch) ask(ctx context.Context) (state State, why string, err error) {
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(render.HTTPRoute.GroupVersion().WithKind(render.HTTPRoute.Kind + "List"))
		switch err := r.Direct.List(ctx, list, client.InNamespace(ns), client.Limit(1)); {
		case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
			return Absent, "", nil
		case apierrors.IsForbidden(err):
			return Forbidden, err.Error(), nil
		case err != nil:
			return Unknown, "", fmt.Errorf("list HTTPRoutes: %w", err)
		}
	}
	return There, "", nil
}

// comeWithin is how long the first list of our HTTPRoutes is waited for.
const comeWithin = 30 * time.Second

// watch keeps our HTTPRoutes in memory, until ctx ends or [Watch.leave] is called.
func (r *Watch) watch(ctx context.Context) (client.Reader, error) {
	ours, err := r.Open()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	leave := func() {
		cancel()
		running.Wait()
	}
	informer, err := ours.GetInformer(ctx, New())
	if err == nil {
		tell := func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if o, ok := o.(client.Object); ok {
				r.Changed(ctx, o)
			}
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, o any) { tell(o) }, DeleteFunc: tell})
	}
	if err != nil {
		leave()
		return nil, err
	}
	running.Go(func() {
		if err := ours.Start(ctx); err != nil {
			r.Log.Warn("watch HTTPRoutes", "err", err)
		}
	})
	wait, enough := context.WithTimeout(ctx, comeWithin)
	defer enough()
	if !ours.WaitForCacheSync(wait) {
		leave()
		return nil, fmt.Errorf("they do not come within %s", comeWithin)
	}
	r.mu.Lock()
	r.close = leave
	r.mu.Unlock()
	return ours, nil
}

// leave ends the watch, where there is one.
func (r *Watch) leave() {
	r.mu.Lock()
	leave := r.close
	r.close, r.known.Reader = nil, nil
	r.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// New is one of which nothing is known but the kind.
func New() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(render.HTTPRoute)
	return u
}
