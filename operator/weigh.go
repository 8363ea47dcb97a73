package operator

import (
	"context"
	"errors"
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/route"
	"github.com/sallyport-dev/sallyport/operator/webhook"
)

// weighed is a served resource with what it means and what is to be made for it.
type weighed struct {
	gathered  *gathered
	verdict   verdict
	container *container // nil for what has no server of its own
	gateway   *render.Gateway
	outside   *route.Outside // nil where no Gateway leads to it
}

// weigh is the pass over a served resource that reconciling it and judging a change of it
// share. failed is what no pod can be made of.
func (r *reconciler) weigh(ctx context.Context, k key, s *serving) (w *weighed, failed, err error) {
	w = &weighed{}
	if w.outside, err = r.outside(ctx, k, s); err != nil {
		return nil, nil, err
	}
	if w.gathered, err = r.gather(ctx, k, reached(s.object, w.outside)); err != nil {
		return nil, nil, err
	}
	w.verdict = judge(w.gathered)
	if o, ok := s.object.(*v1alpha1.MCPServer); ok {
		if w.container, err = r.container(ctx, k, o, w.gathered, &w.verdict); err != nil {
			return nil, nil, err
		}
	}
	if err = r.namesGateway(ctx, k, s, w.gathered, &w.verdict); err != nil {
		return nil, nil, err
	}
	if w.gateway, err = r.gateway(k, s, w.gathered); w.gateway != nil {
		if err := r.reachesCluster(ctx, w.gateway); err != nil {
			return nil, nil, err
		}
	}
	if template := (render.TemplateError{}); errors.As(err, &template) {
		return w, err, nil
	}
	return w, nil, err
}

// onlooker is a reconciler for a cluster that could be: it says what is wrong, and leaves
// nothing behind.
func (r *reconciler) onlooker(c webhook.Cluster) *reconciler {
	return &reconciler{options: r.options, kinds: r.kinds, tracker: resource.NewTracker(), client: c, direct: c.Direct, routes: r.routes, log: r.log}
}

// problems are what is wrong with a resource of any of our kinds, as its conditions say it.
func (r *reconciler) problems(ctx context.Context, obj client.Object) (problems, warnings manifest.Problems, err error) {
	k := resource.Of(obj)
	if s, ok := asServing(obj); ok {
		return r.servingProblems(ctx, k, s)
	}
	g, err := r.gather(ctx, k, obj)
	if err != nil {
		return nil, nil, err
	}
	v := judge(g)
	if isConfig(k.Kind) {
		v.problems = configProblems(g, v.problems, obj)
	}
	return v.problems, v.plan.Warnings, nil
}

func (r *reconciler) servingProblems(ctx context.Context, k key, s *serving) (problems, warnings manifest.Problems, err error) {
	w, failed, err := r.weigh(ctx, k, s)
	if err != nil {
		return nil, nil, err
	}
	problems, warnings = w.verdict.problems, w.verdict.plan.Warnings
	for _, name := range slices.Sorted(maps.Keys(w.gathered.broken)) { // which are left out
		warnings = append(warnings, w.gathered.broken[name]...)
	}
	if failed == nil && !s.shares() { // or a gateway of many has its objects
		failed, err = r.unfit(ctx, s, w)
	}
	if failed != nil {
		problems = append(problems, manifest.Problem{Object: k.Kind + "/" + k.Name, Message: failed.Error()})
	}
	return problems, warnings, err
}

// unfit is why the objects of a resource cannot be made: no pod can be, or the name is
// somebody else's.
func (r *reconciler) unfit(ctx context.Context, s *serving, w *weighed) (failed, err error) {
	objects, err := w.gateway.Objects()
	if err == nil && w.container != nil {
		var server []render.Object
		server, err = w.container.Objects()
		objects = append(objects, server...)
	}
	if template := (render.TemplateError{}); errors.As(err, &template) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	for _, want := range objects {
		live, err := r.writer().Live(ctx, want)
		if err != nil {
			return nil, err
		}
		if live != nil && !slices.Contains(r.ownerOf(live), resource.Of(s.object)) { // by name: an earlier one's goes soon
			return apply.Taken(live), nil
		}
	}
	return nil, nil
}
