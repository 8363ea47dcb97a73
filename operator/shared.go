package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/needs"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/route"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

// gatewayField is the index of resources by the gateways that serve them, or are to.
const gatewayField = "spec.gatewayRef.name"

// gatewaysOf are those of a resource.
func gatewaysOf(o client.Object) (names []string) {
	s, ok := asServing(o)
	if !ok {
		return nil
	}
	for _, name := range []string{gatewayOf(o), *s.status.gateway} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// sharedRender is a gateway of many as far as it says itself what it is.
func sharedRender(k key, o *v1alpha1.MCPGateway) *render.Gateway {
	port := o.Spec.ProxyPort
	if port == 0 {
		port = 8080
	}
	return &render.Gateway{
		Kind: k.Kind, Namespace: k.Namespace, Name: k.Name, Port: port, Cluster: o.Spec.Cluster.DeepCopy(), Owner: ownedBy(k, o),
		Shared: &render.Shared{TLS: o.Spec.TLS, Store: o.Spec.Store, Origins: o.Spec.AllowedOrigins},
	}
}

// gatewayOfMany reconciles a gateway that resources share.
func (r *reconciler) gatewayOfMany(ctx context.Context, k key, obj client.Object) error {
	o := obj.(*v1alpha1.MCPGateway)
	residents, err := r.residents(ctx, k)
	if err != nil {
		return err
	}
	if o.DeletionTimestamp != nil && len(residents) == 0 {
		r.uses(k, nil)
		return r.hold(ctx, o, false)
	}
	if o.DeletionTimestamp == nil {
		if err := r.hold(ctx, o, len(residents) > 0); err != nil {
			return err
		}
	}
	before := o.DeepCopy()
	g, err := r.gather(ctx, k, o)
	if err != nil {
		return err
	}
	problems := judge(g).problems
	gw := sharedRender(k, o)
	out, err := route.Read(ctx, r.direct, k.Namespace, o.Spec.Gateway)
	if err != nil {
		return err
	}
	r.asker.Serves(k, gw)
	if err := r.fillGateway(ctx, k, gw, o, residents); err != nil {
		return err
	}
	if err := r.reachesCluster(ctx, gw); err != nil {
		return err
	}
	var failed error
	if len(problems) == 0 {
		failed = r.makeGateway(ctx, k, gw, o, residents)
	}
	st := &observed{url: gw.Base()}
	if err := r.runs(ctx, st, gw, func() (pods.Said, bool) { return r.asker.Of(k) }); err != nil {
		return err
	}
	r.tellGateway(k, gw, o, residents, problems, st, failed)
	led := r.sharedRoute(ctx, o, gw, out, len(problems) == 0 && failed == nil)
	if had := meta.FindStatusCondition(before.Status.Conditions, conditionReady); had == nil || had.Status != meta.FindStatusCondition(o.Status.Conditions, conditionReady).Status {
		for _, m := range residents {
			r.queue.Add(resource.Of(m)) // whether it is ready follows from that
		}
	}
	if err := r.writeStatus(ctx, before, o, o.Status.Conditions, before.Status.Conditions); err != nil {
		return errors.Join(failed, led, err)
	}
	if onlyManifests(failed) {
		failed = nil
	}
	return errors.Join(failed, led)
}

// sharedRoute makes the route to all residents, and tells of it.
func (r *reconciler) sharedRoute(ctx context.Context, o *v1alpha1.MCPGateway, gw *render.Gateway, out *route.Outside, whole bool) error {
	var to *render.Route
	if out != nil {
		to = gw.Route(out.Spec)
	}
	led := r.route(ctx, o, gw, to, whole)
	tellRoute(&o.Status.Conditions, &o.Status.ExternalURL, "", out, led, func(kind string, status metav1.ConditionStatus, reason, message string) {
		if o.Spec.TLS != nil {
			message += "; the pods speak TLS, which a BackendTLSPolicy for Service " + gw.ObjectName() + " has to tell the Gateway"
		}
		conditions.Set(&o.Status.Conditions, o.Generation, kind, status, reason, message)
	})
	return led.failed
}

// residents are the resources that a gateway serves, or is to, the oldest first.
func (r *reconciler) residents(ctx context.Context, k key) (all []client.Object, err error) {
	for _, list := range []client.ObjectList{&v1alpha1.MCPRemoteProxyList{}, &v1alpha1.MCPServerList{}, &v1alpha1.VirtualMCPServerList{}} {
		if err := r.client.List(ctx, list, client.InNamespace(k.Namespace), client.MatchingFields{gatewayField: k.Name}); err != nil {
			return nil, fmt.Errorf("list who shares a gateway: %w", err)
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			if o := item.(client.Object); o.GetDeletionTimestamp() == nil {
				all = append(all, o)
			}
			return nil
		})
	}
	slices.SortFunc(all, func(a, b client.Object) int {
		if c := a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time); c != 0 {
			return c
		}
		return resource.Of(a).Compare(resource.Of(b))
	})
	return all, nil
}

// fillGateway adds what the residents bring. Of one with which something is wrong that is
// what the pods have of it.
func (r *reconciler) fillGateway(ctx context.Context, k key, gw *render.Gateway, o *v1alpha1.MCPGateway, residents []client.Object) error {
	have, err := r.writer().Files(ctx, gw)
	if err != nil {
		return err
	}
	live := map[string]string{}
	for _, files := range have {
		maps.Copy(live, files)
	}
	guests, want := r.sharing.Guests(k), map[string]string{}
	take := func(k key, text string) {
		if name := sharing.Unit(k) + ".yaml"; text != "" {
			want[name] = text
		} else if live[name] != "" {
			want[name] = live[name]
		}
	}
	taken := map[string]plan.Claim{}
	there := map[key]bool{}
	for _, m := range residents {
		mk := resource.Of(m)
		there[mk] = true
		guest := guests[mk]
		var clash manifest.Problems
		for _, c := range guest.Claims {
			if other, ok := taken[c.What]; ok {
				clash = append(clash, c.Against(other)...)
			}
		}
		if r.sharing.Refuse(k, mk, clash) {
			r.queue.Add(mk)
		}
		if len(clash) > 0 {
			take(mk, "")
			continue
		}
		for _, c := range guest.Claims {
			taken[c.What] = c
		}
		take(mk, guest.Text)
		if p := servingOf(m).spec.NetworkPolicy; p != nil {
			gw.Cluster.NetworkPolicy = widened(gw.Cluster.NetworkPolicy, p.AllowedEgress)
		}
	}
	for mk, guest := range guests { // who is served elsewhere by now
		if !there[mk] && !guest.Until.IsZero() {
			take(mk, "")
			r.queue.AddAfter(k, time.Until(guest.Until)+time.Second)
		}
	}
	gw.Shared.Files = render.Divide(have, want)
	r.needsOf(k, gw, o, want)
	if with := o.Spec.PodTemplateSpec; with != nil {
		gw.PodTemplate = with.Raw
	}
	return nil
}

func servingOf(o client.Object) *serving {
	s, _ := asServing(o)
	return s
}

// widened is a policy with the rules that a resident needs, if there is a policy.
func widened(p *v1alpha1.NetworkPolicy, rules []v1alpha1.EgressRule) *v1alpha1.NetworkPolicy {
	if p == nil {
		return nil
	}
	for _, rule := range rules {
		if !slices.ContainsFunc(p.AllowedEgress, func(have v1alpha1.EgressRule) bool { return reflect.DeepEqual(have, rule) }) {
			p.AllowedEgress = append(p.AllowedEgress, rule)
		}
	}
	return p
}

// needsOf adds what the pods need for the files. Client secrets of providers are among the
// mounted ones: in the environment, one resource's would be another's.
func (r *reconciler) needsOf(k key, gw *render.Gateway, o *v1alpha1.MCPGateway, files map[string]string) {
	for _, n := range r.sharing.Needs(k, files) {
		gw.Secrets = append(gw.Secrets, n.Secrets...)
		gw.Addresses = append(gw.Addresses, n.Addresses...)
		gw.RedirectHosts = append(gw.RedirectHosts, n.RedirectHosts...)
		gw.Issuers, gw.Keys = append(gw.Issuers, n.Issuers...), append(gw.Keys, n.Keys...)
		gw.ClusterToken = gw.ClusterToken || n.ClusterToken
	}
	gw.Secrets = sortedRefs(gw.Secrets)
	gw.Addresses = append(gw.Addresses, needs.Proxies(gw.Cluster)...)
	if o.Spec.Store != nil {
		if u, err := url.Parse(o.Spec.Store.URL); err == nil {
			gw.Addresses = append(gw.Addresses, u)
		}
	}
	gw.Image, gw.HealthInterval = r.options.Image, min(r.options.StatusEvery, 30*time.Second)
	gw.PullSecrets = r.pullSecretsOf(gw.Cluster)
}

// makeGateway makes what serves the residents. What changes the pods waits until a batch of
// residents is whole.
func (r *reconciler) makeGateway(ctx context.Context, k key, gw *render.Gateway, o *v1alpha1.MCPGateway, residents []client.Object) error {
	objects, err := gw.Objects()
	if err != nil {
		return err
	}
	wait, err := r.waits(ctx, k, objects, residents)
	if wait > 0 || err != nil {
		r.queue.AddAfter(k, wait)
		return err
	}
	if err := r.writer().SessionKey(ctx, o, gw); err != nil {
		return err
	}
	if _, err := r.writer().Apply(ctx, o, objects); err != nil {
		return err
	}
	r.sharing.Made(k)
	names := []string{gw.ObjectName()}
	for i := range 8 { // those that are needed no more; more are left over at no time
		names = append(names, gw.FilesName(len(gw.Shared.Files)+i))
	}
	return r.prune(ctx, o, names, objects)
}

// waits is how long a change of a gateway's pods waits for others.
func (r *reconciler) waits(ctx context.Context, k key, objects []render.Object, residents []client.Object) (time.Duration, error) {
	i := slices.IndexFunc(objects, func(o render.Object) bool { return o.GetObjectKind().GroupVersionKind().Kind == "Deployment" })
	switch live, current, err := r.writer().Current(ctx, objects[i]); {
	case err != nil || current:
		return 0, err
	case live:
		return r.sharing.Wait(k), nil
	}
	guests := r.sharing.Guests(k)
	for _, m := range residents {
		if _, known := guests[resource.Of(m)]; !known && r.sharing.Young(k) {
			return joinTexts, nil
		}
	}
	return 0, nil
}

// named are the first of many, for people.
const named = 32

// tellGateway sets the status of a gateway.
func (r *reconciler) tellGateway(k key, gw *render.Gateway, o *v1alpha1.MCPGateway, residents []client.Object, problems manifest.Problems, st *observed, failed error) {
	status, generation := &o.Status, o.Generation
	set := func(kind string, is metav1.ConditionStatus, reason, message string) {
		conditions.Set(&status.Conditions, generation, kind, is, reason, message)
	}
	ready, phase, reason, message := readiness(st, failed)
	if len(problems) > 0 {
		ready, phase, reason, message = metav1.ConditionFalse, phaseFailed, conditions.Reason(problems), conditions.Tell(problems)
		if strings.HasSuffix(reason, "NotFound") {
			phase = phasePending
		}
	}
	set(conditionReady, ready, reason, message)
	status.ObservedGeneration, status.Phase, status.Message, status.URL = generation, phase, message, ""
	if st.deployment != nil {
		status.URL = st.url
	}
	r.tellResidents(k, o, residents, set)
	tellPolicy(gw, &status.Conditions, set)
	if o.DeletionTimestamp != nil {
		var users []key
		for _, m := range residents {
			users = append(users, resource.Of(m))
		}
		set(conditionBlocked, metav1.ConditionTrue, "InUse", "it goes when nobody is served by it any more; "+usedBy(users))
	} else {
		meta.RemoveStatusCondition(&status.Conditions, conditionBlocked)
	}
}

// conditionServers says whether all residents of a gateway are served as they are.
const conditionServers = "ServersServed"

func (r *reconciler) tellResidents(k key, o *v1alpha1.MCPGateway, residents []client.Object, set setter) {
	guests := r.sharing.Guests(k)
	var serving, failing []v1alpha1.WorkloadRef
	count, unheard := int32(0), 0
	for _, m := range residents {
		if gatewayOf(m) != k.Name {
			continue // on its way out
		}
		count++
		mk, ref := resource.Of(m), v1alpha1.WorkloadRef{Kind: resource.Of(m).Kind, Name: m.GetName()}
		guest, known := guests[mk]
		said, asked := r.asker.Guest(k, mk)
		switch {
		case !known:
			unheard++
		case guest.Broken, len(guest.Refused) > 0, asked && said.Refused != "":
			failing = append(failing, ref)
		case asked && said.Pods > 0 && slices.Equal(said.Hashes, []string{guest.Revision}):
			serving = append(serving, ref)
		}
	}
	st := &o.Status
	_, asked := r.asker.Of(k)
	if news := st.ServerCount != count || len(failing) > int(st.FailingCount) || meta.FindStatusCondition(st.Conditions, conditionServers) == nil; !news &&
		(!asked || unheard > 0 && r.sharing.Young(k)) {
		return // a new operator does not know better yet
	}
	st.ServerCount, st.ServingCount, st.FailingCount = count, int32(len(serving)), int32(len(failing))
	st.Serving, st.Failing = serving[:min(len(serving), named)], failing[:min(len(failing), named)]
	switch {
	case count == 0:
		set(conditionServers, metav1.ConditionTrue, "NoServers", "no gatewayRef names it, so nothing is served")
	case len(failing) > 0:
		var users []key
		for _, f := range failing {
			users = append(users, key{Kind: f.Kind, Namespace: k.Namespace, Name: f.Name})
		}
		set(conditionServers, metav1.ConditionFalse, "SomeFail", "what is wrong they say themselves, and the others are served: "+strings.TrimPrefix(usedBy(users), "used by "))
	case int(count) > len(serving):
		set(conditionServers, metav1.ConditionFalse, "NotYet", fmt.Sprintf("%d of %d are served", len(serving), count))
	default:
		set(conditionServers, metav1.ConditionTrue, "AllServed", fmt.Sprintf("%d are served", count))
	}
}
