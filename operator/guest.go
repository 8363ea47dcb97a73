package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

// conditionGateway says which gateway serves a resource that names one.
const conditionGateway = "GatewayRefValidated"

// joinTexts is how long a gateway waits with what several resources bring at a time.
const joinTexts = time.Second

// ConflictError is what a resource would take from others of the gateway that it names.
type ConflictError struct{ manifest.Problems }

// gatewayKey is an MCPGateway.
func gatewayKey(namespace, name string) key {
	return key{Kind: "MCPGateway", Namespace: namespace, Name: name}
}

// shares tells whether a resource is served by a gateway of many, or is on its way there
// or back.
func (s *serving) shares() bool { return gatewayOf(s.object) != "" || *s.status.gateway != "" }

// namesGateway looks at the gateway that a resource names; what is wrong with that is added
// to the verdict.
func (r *reconciler) namesGateway(ctx context.Context, k key, s *serving, g *gathered, v *verdict) error {
	want := gatewayOf(s.object)
	if want == "" {
		return nil
	}
	u := gatewayKey(k.Namespace, want).Use()
	g.uses[u] = true
	r.tracker.Note(k, u)
	obj, err := r.get(ctx, gatewayKey(k.Namespace, want))
	if err != nil {
		return err
	}
	problem := manifest.Problem{Object: k.Kind + "/" + k.Name, Field: "spec.gatewayRef.name"}
	switch {
	case obj == nil:
		problem.Message, problem.Missing = fmt.Sprintf("there is no MCPGateway %q; add it, or remove gatewayRef for pods of its own", want), "MCPGateway"
	case obj.GetDeletionTimestamp() != nil && *s.status.gateway != want:
		problem.Message = fmt.Sprintf("MCPGateway %q is being deleted; name another", want)
	default:
		return nil
	}
	v.problems = append(v.problems, problem)
	return nil
}

// host is a resource that is served by a gateway of many, or on its way there or back.
type host struct {
	*reconciler
	k          key
	s          *serving
	gw         *render.Gateway // of pods of its own
	g          *gathered
	c          *container
	want, have string
	fine       bool // nothing is wrong with it
	old        bool // it has a Service from pods of its own
}

// serveShared brings about where a resource is served. What serves it goes on until what is
// to serve it does. A problem is returned as failed.
func (r *reconciler) serveShared(ctx context.Context, k key, s *serving, gw *render.Gateway, g *gathered, v *verdict, c *container, failed error) (st *observed, _, err error) {
	h := &host{r, k, s, gw, g, c, gatewayOf(s.object), *s.status.gateway, len(v.problems) == 0 && failed == nil, false}
	if err := h.offer(v); err != nil {
		return nil, failed, err
	}
	if h.want != "" {
		if problems := r.sharing.Refused(gatewayKey(k.Namespace, h.want), k); h.fine && len(problems) > 0 {
			failed, h.fine = ConflictError{problems}, false
		}
	}
	step := h.moveIn
	switch h.want {
	case "":
		step = h.moveOut
	case h.have:
		step = h.stay
	}
	st, wrong, err := step(ctx)
	if err != nil {
		return nil, failed, err
	}
	h.tell(v)
	return st, errors.Join(failed, wrong), nil
}

// offer tells the gateways what the resource is.
func (h *host) offer(v *verdict) error {
	text := ""
	if h.fine {
		var err error
		if text, err = h.g.text(); err != nil {
			return err
		}
		if n := len(text); n > render.LongestFile {
			v.problems = append(v.problems, manifest.Problem{Object: h.k.Kind + "/" + h.k.Name, Field: "spec.gatewayRef", Message: fmt.Sprintf(
				"is with all that it names %d KiB of text, and a shared gateway takes %d of each; remove it, for pods of its own", n>>10, render.LongestFile>>10)})
			h.fine, text = false, ""
		}
	}
	for _, name := range h.places() {
		at := gatewayKey(h.k.Namespace, name)
		h.asker.Joins(at, h.k, pods.Guest{Unit: sharing.Unit(h.k), Server: h.k.Name})
		if h.sharing.Offer(at, h.k, text, h.g.set.Revision(), v.plan.Claims()) {
			h.queue.AddAfter(at, joinTexts)
		}
	}
	h.leaves(sharing.Linger, h.places()...)
	return nil
}

// places are the gateways that serve the resource, or are to.
func (h *host) places() (all []string) {
	for _, name := range []string{h.have, h.want} {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// leaves takes a resource from all gateways but those that are named.
func (r *reconciler) leaves(k key, after time.Duration, except ...string) {
	for _, at := range r.sharing.Leave(k, after, except...) {
		r.asker.Leaves(at, k)
		r.queue.AddAfter(at, min(after, joinTexts))
	}
}

func (h *host) leaves(after time.Duration, except ...string) {
	h.reconciler.leaves(h.k, after, except...)
}

// stay keeps a resource where it is: without pods of its own.
func (h *host) stay(ctx context.Context) (*observed, error, error) {
	h.asker.Forget(h.k)
	var failed error
	if h.fine {
		failed = h.settle(ctx, h.have)
	}
	st, err := h.observeAt(ctx, h.have)
	return st, failed, err
}

// moveOut makes pods of its own, and leaves the gateway when they serve.
func (h *host) moveOut(ctx context.Context) (st *observed, failed, err error) {
	if err := h.leadTo(ctx, h.have); err != nil {
		return nil, nil, err
	}
	h.asker.Serves(h.k, h.gw)
	if h.fine {
		failed = h.make(ctx, h.s, h.gw, h.c)
	}
	own, err := h.observe(ctx, h.k, h.gw, h.c)
	if err != nil {
		return nil, failed, err
	}
	if !h.fine || failed != nil || !own.serves(h.g.set.Revision()) {
		st, err = h.observeAt(ctx, h.have)
		return st, failed, err
	}
	h.gw.LeadsTo = ""
	if _, err := h.writer().Apply(ctx, h.s.object, []render.Object{h.gw.Service()}); err != nil {
		return own, err, nil
	}
	*h.s.status.gateway = ""
	h.leaves(sharing.Linger)
	return own, nil, nil
}

// moveIn waits until the gateway serves it, and takes away what served it before.
func (h *host) moveIn(ctx context.Context) (st *observed, failed, err error) {
	own, err := h.hasPods(ctx)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !h.fine:
	case own:
		if err := h.leadTo(ctx, h.have); err != nil {
			return nil, nil, err
		}
		failed = h.make(ctx, h.s, h.gw, h.c)
	case h.have != "":
		failed = h.settle(ctx, h.have)
	default:
		failed = h.settle(ctx, h.want)
	}
	st, err = h.observeAt(ctx, h.want)
	if err != nil {
		return nil, failed, err
	}
	if h.fine && failed == nil && st.serves(h.g.set.Revision()) {
		before := *h.s.status.gateway
		*h.s.status.gateway, h.have = h.want, h.want
		h.leaves(sharing.Linger, h.want)
		h.log.Info("a resource is served elsewhere", "kind", h.k.Kind, "namespace", h.k.Namespace, "name", h.k.Name, "before", before, "now", h.want)
		h.asker.Forget(h.k)
		return st, h.settle(ctx, h.want), nil
	}
	st.pending = true
	switch {
	case own && h.have == "":
		h.asker.Serves(h.k, h.gw)
		st, err = h.observe(ctx, h.k, h.gw, h.c)
	case h.have != "":
		st, err = h.observeAt(ctx, h.have)
	}
	return st, failed, err
}

// serves tells whether all that are asked serve just that.
func (o *observed) serves(revision string) bool {
	return o.deployment != nil && o.asked && o.said.Pods > 0 && o.said.Silent == "" && slices.Equal(o.said.Hashes, []string{revision})
}

// leadTo has the Service of the resource lead to a gateway; to pods of its own where none is
// named.
func (h *host) leadTo(ctx context.Context, gateway string) error {
	h.gw.LeadsTo, h.gw.LeadsToTLS = gateway, false
	if gateway == "" {
		return nil
	}
	obj, err := h.get(ctx, gatewayKey(h.k.Namespace, gateway))
	if obj != nil {
		h.gw.LeadsToTLS = obj.(*v1alpha1.MCPGateway).Spec.TLS != nil
	}
	return err
}

// hasPods tells whether there is a Deployment of its own.
func (h *host) hasPods(ctx context.Context) (bool, error) {
	var d appsv1.Deployment
	err := h.client.Get(ctx, types.NamespacedName{Namespace: h.k.Namespace, Name: h.gw.ObjectName()}, &d)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && metav1.IsControlledBy(&d, h.s.object) && d.DeletionTimestamp == nil, err
}

// settle takes away what served the resource alone. A Service that it has leads to a
// gateway: addresses that clients have go on.
func (h *host) settle(ctx context.Context, to string) error {
	owner, names := h.s.object, []string{h.gw.ObjectName()}
	var objects []render.Object
	if h.c != nil {
		server, err := h.c.Objects()
		if err != nil {
			return err
		}
		objects, names = server, append(names, h.c.ObjectName())
	}
	var service corev1.Service
	at := types.NamespacedName{Namespace: h.k.Namespace, Name: h.gw.ObjectName()}
	switch err := h.client.Get(ctx, at, &service); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read Service %s: %w", at.Name, err)
	case metav1.IsControlledBy(&service, owner):
		if err := h.leadTo(ctx, to); err != nil {
			return err
		}
		h.old = true
		objects = append(objects, h.gw.Service())
	}
	if _, err := h.writer().Apply(ctx, owner, objects); err != nil {
		return err
	}
	for kind, o := range map[string]client.Object{"Deployment": &appsv1.Deployment{}, "PodDisruptionBudget": &policyv1.PodDisruptionBudget{}} {
		if err := h.writer().Remove(ctx, owner, kind, at.Name, o); err != nil {
			return err
		}
	}
	return h.prune(ctx, owner, names, objects)
}

// observeAt looks at what runs of a resource in a gateway of many.
func (h *host) observeAt(ctx context.Context, gateway string) (*observed, error) {
	o := &observed{}
	at := gatewayKey(h.k.Namespace, gateway)
	obj, err := h.get(ctx, at)
	if obj == nil || err != nil {
		return o, err
	}
	shared := sharedRender(at, obj.(*v1alpha1.MCPGateway))
	if err := h.runs(ctx, o, shared, func() (pods.Said, bool) { return h.asker.Guest(at, h.k) }); err != nil {
		return nil, err
	}
	o.url = shared.Base() + h.gw.Path()
	o.unserved = !o.asked || !slices.ContainsFunc(o.said.Hashes, func(hash string) bool { return hash != "" })
	return o, h.environmentOf(ctx, o, h.k, h.c)
}

// tell says which gateway serves the resource.
func (h *host) tell(v *verdict) {
	set := func(status metav1.ConditionStatus, reason, message string) {
		conditions.Set(h.s.status.conditions, h.s.object.GetGeneration(), conditionGateway, status, reason, message)
	}
	have, want := *h.s.status.gateway, h.want
	now := "its own pods go on until then"
	if have != "" {
		now = "MCPGateway " + have + " goes on until then"
	}
	missing := slices.ContainsFunc(v.problems, func(p manifest.Problem) bool { return p.Missing == "MCPGateway" })
	switch {
	case missing:
		set(metav1.ConditionFalse, "MCPGatewayNotFound", fmt.Sprintf("there is no MCPGateway %s; %s", want, now))
	case want == "" && have == "":
		meta.RemoveStatusCondition(h.s.status.conditions, conditionGateway)
	case want == "":
		set(metav1.ConditionTrue, "Leaving", "pods of its own are made; "+now)
	case have == want:
		message := "MCPGateway " + have + " serves it"
		if idle := plan.NotItsPods(h.s.spec, h.c != nil); len(idle) > 0 {
			message += "; what it says of pods has no effect here, and is to be set there: " + strings.Join(idle, ", ")
		}
		if h.old && h.gw.LeadsToTLS {
			name := h.gw.ObjectName()
			message += fmt.Sprintf("; its old Service %s leads there too, where TLS is spoken: its clients need https and a certificate for %s.%s.svc, or status.url; delete it when nobody uses it", name, name, h.k.Namespace)
		}
		set(metav1.ConditionTrue, "Served", message)
	default:
		set(metav1.ConditionFalse, "NotYetServed", fmt.Sprintf("MCPGateway %s does not serve it yet; %s", want, now))
	}
}
