package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// finalizer is on configuration as long as somebody rests on it. Serving kinds have none:
// they can be deleted while no operator runs.
const finalizer = v1alpha1.Group + "/in-use"

// conditionBlocked says that a deletion waits for the users of a configuration.
const conditionBlocked = "DeletionBlocked"

// config reconciles a kind that others rest on: is it valid, and who uses it?
func (r *reconciler) config(ctx context.Context, k key, obj client.Object) error {
	users, err := r.usersOf(ctx, k)
	if err != nil {
		return err
	}
	if obj.GetDeletionTimestamp() != nil && len(users) == 0 {
		r.uses(k, nil)
		return r.hold(ctx, obj, false)
	}
	if obj.GetDeletionTimestamp() == nil {
		if err := r.hold(ctx, obj, len(users) > 0); err != nil {
			return err
		}
	}
	before := obj.DeepCopyObject().(client.Object)
	g, err := r.gather(ctx, k, obj)
	if err != nil {
		return err
	}
	problems := configProblems(g, judge(g).problems, obj)
	st := configStatus(obj)
	all, generation := &st.Conditions, &st.ObservedGeneration
	*generation, st.ReferencingWorkloads = obj.GetGeneration(), nil
	for _, u := range users {
		st.ReferencingWorkloads = append(st.ReferencingWorkloads, v1alpha1.WorkloadRef{Kind: u.Kind, Name: u.Name})
	}
	if x, ok := obj.(*v1alpha1.MCPExternalAuthConfig); ok {
		r.tellLastExchange(x, users)
	}
	status, reason, message := metav1.ConditionTrue, "Valid", usedBy(users)
	if len(problems) > 0 {
		status, reason, message = metav1.ConditionFalse, conditions.Reason(problems), conditions.Tell(problems)
	}
	conditions.Set(all, *generation, conditionValid, status, reason, message)
	if obj.GetDeletionTimestamp() != nil {
		conditions.Set(all, *generation, conditionBlocked, metav1.ConditionTrue, "InUse", "it goes when nobody uses it any more; "+usedBy(users))
	} else {
		meta.RemoveStatusCondition(all, conditionBlocked)
	}
	return r.writeStatus(ctx, before, obj, *all, conditionsIn(before))
}

// tellLastExchange says how the last exchange went that users of a configuration made.
func (r *reconciler) tellLastExchange(x *v1alpha1.MCPExternalAuthConfig, users []key) {
	for _, u := range users {
		said, ok := r.asker.Of(u)
		if !ok || said.Exchange == nil || said.Exchange.Last == nil {
			continue
		}
		last := said.Exchange.Last
		news := x.Status.LastExchangeError != conditions.Shorten(last.Error)
		if had := x.Status.LastExchange; had != nil && !last.At.After(had.Time) {
			continue
		}
		x.Status.LastExchange = moved(x.Status.LastExchange, last.At, news)
		x.Status.LastExchangeError = conditions.Shorten(last.Error)
	}
}

// usersOf are the resources that name a configuration. It asks the cache and not the
// tracker, which knows nothing yet of what this process has not gathered.
func (r *reconciler) usersOf(ctx context.Context, k key) ([]key, error) {
	var users []key
	for _, kind := range r.kinds {
		list := kind.list()
		if err := r.client.List(ctx, list, client.InNamespace(k.Namespace)); err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.name, err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			if o.GetDeletionTimestamp() == nil && slices.Contains(resource.References(k.Namespace, resource.Spec(o)), k.Use()) {
				users = append(users, resource.Of(o))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.name, err)
		}
	}
	slices.SortFunc(users, key.Compare)
	return users, nil
}

// usedBy names users to people, the first of many.
func usedBy(users []key) string {
	const most = 10
	var names []string
	for _, u := range users[:min(len(users), most)] {
		names = append(names, u.Kind+" "+u.Name)
	}
	switch {
	case len(users) == 0:
		return "nobody uses it"
	case len(users) > most:
		return fmt.Sprintf("used by %s and %d more", strings.Join(names, ", "), len(users)-most)
	}
	return "used by " + strings.Join(names, ", ")
}

// hold puts the finalizer on, or takes it off.
func (r *reconciler) hold(ctx context.Context, obj client.Object, on bool) error {
	before := obj.DeepCopyObject().(client.Object)
	if on && !controllerutil.AddFinalizer(obj, finalizer) || !on && !controllerutil.RemoveFinalizer(obj, finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}) // the list is written as a whole
	return client.IgnoreNotFound(r.client.Patch(ctx, obj, patch, apply.FieldOwner))
}

// configProblems are what is wrong with a configuration.
func configProblems(g *gathered, planned manifest.Problems, obj client.Object) manifest.Problems {
	return append(planned, missing(g, resource.Spec(obj))...).Sort()
}

// missing are the Secrets and ConfigMaps, with their keys, that a configuration names and
// that are not there. The plan looks at those of what is served.
func missing(g *gathered, spec any) (problems manifest.Problems) {
	o := g.set.Objects[0]
	for _, u := range resource.References(o.Namespace, spec) {
		switch u.Kind {
		case "Secret":
			s, ok := g.set.Secret(u.Namespace, u.Name)
			if ok {
				if _, has := s.Data[u.Key]; has {
					continue
				}
			}
			problems = append(problems, lacks(o, u, ok))
		case "ConfigMap":
			c, ok := g.set.ConfigMap(u.Namespace, u.Name)
			if ok {
				if _, has := c.Data[u.Key]; has {
					continue
				}
			}
			problems = append(problems, lacks(o, u, ok))
		}
	}
	return problems
}

func lacks(o *manifest.Object, u manifest.Use, there bool) manifest.Problem {
	p := o.Problem("", "there is no %s %q; add it", u.Kind, u.Name)
	if there {
		p = o.Problem("", "%s %q has no key %q; add it", u.Kind, u.Name, u.Key)
	}
	p.Missing = u.Kind
	return p
}

// entry reconciles a member without an endpoint of its own.
func (r *reconciler) entry(ctx context.Context, k key, obj client.Object) error {
	e := obj.(*v1alpha1.MCPServerEntry)
	before := e.DeepCopy()
	g, err := r.gather(ctx, k, obj)
	if err != nil {
		return err
	}
	st := &e.Status
	st.ObservedGeneration, st.Phase = e.Generation, phaseValid
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		conditions.Set(&st.Conditions, e.Generation, kind, status, reason, message)
	}
	problems := judge(g).problems
	set(conditionGroup, metav1.ConditionTrue, "GroupFound", "the group is there")
	set(conditionAuth, metav1.ConditionTrue, "Configured", "what it names is there")
	set(conditionReady, metav1.ConditionTrue, "Valid", "virtual servers of its group serve it")
	if len(problems) > 0 {
		reason, message := conditions.Reason(problems), conditions.Tell(problems)
		st.Phase = phaseFailed
		if strings.HasSuffix(reason, "NotFound") {
			st.Phase = phasePending
		}
		broken := conditionAuth
		if reason == "MCPGroupNotFound" {
			broken = conditionGroup
		}
		set(broken, metav1.ConditionFalse, reason, message)
		set(conditionReady, metav1.ConditionFalse, reason, message)
	}
	return r.writeStatus(ctx, before, e, st.Conditions, before.Status.Conditions)
}

// group reconciles a group: who is in it.
func (r *reconciler) group(ctx context.Context, k key, obj client.Object) error {
	gr := obj.(*v1alpha1.MCPGroup)
	before := gr.DeepCopy()
	in := manifest.Use{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name, Key: members}
	r.tracker.Note(k, in)
	all, err := r.inGroup(ctx, k.Namespace, k.Name)
	if err != nil {
		return err
	}
	st := &gr.Status
	st.Servers, st.RemoteProxies, st.Entries = nil, nil, nil
	for _, m := range all {
		switch m.(type) {
		case *v1alpha1.MCPServer:
			st.Servers = append(st.Servers, m.GetName())
		case *v1alpha1.MCPRemoteProxy:
			st.RemoteProxies = append(st.RemoteProxies, m.GetName())
		default:
			st.Entries = append(st.Entries, m.GetName())
		}
	}
	st.ServerCount, st.RemoteProxyCount, st.EntryCount = int32(len(st.Servers)), int32(len(st.RemoteProxies)), int32(len(st.Entries))
	st.ObservedGeneration, st.Phase = gr.Generation, phaseReady
	conditions.Set(&st.Conditions, gr.Generation, conditionReady, metav1.ConditionTrue, "Counted", fmt.Sprintf("%d members", len(all)))
	return r.writeStatus(ctx, before, gr, st.Conditions, before.Status.Conditions)
}
