package operator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/needs"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/route"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

// serve reconciles a resource with an endpoint of its own.
func (r *reconciler) serve(ctx context.Context, k key, obj client.Object) error {
	s, _ := asServing(obj)
	before := obj.DeepCopyObject().(client.Object)
	w, failed, err := r.weigh(ctx, k, s)
	if err != nil {
		return err
	}
	g, v := w.gathered, &w.verdict
	var st *observed
	if s.shares() {
		st, failed, err = r.serveShared(ctx, k, s, w.gateway, g, v, w.container, failed)
	} else {
		st, failed, err = r.serveAlone(ctx, k, s, w.gateway, v, w.container, failed)
	}
	if err != nil {
		return err
	}
	gw, out := w.gateway, w.outside
	led := r.ownRoute(ctx, s, gw, out, len(v.problems) == 0 && failed == nil)
	r.tellServing(s, gw, g, v, st, failed)
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		conditions.Set(s.status.conditions, s.object.GetGeneration(), kind, status, reason, message)
	}
	if out != nil && out.By != "" {
		err = r.tellSharedRoute(ctx, s, gw.Path(), out, set)
	} else {
		tellRoute(s.status.conditions, s.status.externalURL, gw.Path(), out, led, set)
	}
	if err != nil {
		return err
	}
	if st.asked && st.said.Exchange != nil && st.said.Exchange.Last != nil {
		for u := range g.uses {
			if u.Kind == "MCPExternalAuthConfig" { // which tells how the last exchange went
				r.queue.Add(key{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name})
			}
		}
	}
	if err := r.writeStatus(ctx, before, s.object, *s.status.conditions, conditionsIn(before)); err != nil {
		return errors.Join(failed, led.failed, err)
	}
	if onlyManifests(failed) {
		failed = nil
	}
	return errors.Join(failed, led.failed)
}

// reached is a resource that says what the Gateway before it speaks, for its pods.
func reached(obj client.Object, out *route.Outside) client.Object {
	if out == nil {
		return obj
	}
	obj = obj.DeepCopyObject().(client.Object) // what is told goes into the other
	s, _ := asServing(obj)
	s.spec.Gateway = out.Spec
	return obj
}

// onlyManifests tells what only other manifests can mend.
func onlyManifests(failed error) bool {
	_, template := errors.AsType[render.TemplateError](failed)
	_, conflict := errors.AsType[ConflictError](failed)
	return template || conflict
}

// serveAlone serves a resource by pods of its own. A problem is returned as failed.
func (r *reconciler) serveAlone(ctx context.Context, k key, s *serving, gw *render.Gateway, v *verdict, c *container, failed error) (st *observed, _, err error) {
	meta.RemoveStatusCondition(s.status.conditions, conditionGateway)
	r.leaves(k, sharing.Linger)
	r.asker.Serves(k, gw)
	// What is wrong keeps everything as it was when it was good.
	if len(v.problems) == 0 && failed == nil {
		failed = r.make(ctx, s, gw, c)
	}
	st, err = r.observe(ctx, k, gw, c)
	return st, failed, err
}

// gateway is a resource as it is to be rendered.
func (r *reconciler) gateway(k key, s *serving, g *gathered) (*render.Gateway, error) {
	files, err := g.files()
	if err != nil {
		return nil, err
	}
	cluster := s.spec.Cluster.DeepCopy()
	template, err := podTemplates(s.object)
	if o, ok := s.object.(*v1alpha1.MCPServer); ok && o.Spec.Image != "" {
		cluster.Resources, cluster.ServiceAccount = nil, "" // the server's
	}
	n := needs.Of(g.set)
	return &render.Gateway{
		Kind: k.Kind, Namespace: k.Namespace, Name: k.Name, Port: s.port, Cluster: cluster, PodTemplate: template.gateway,
		Owner: ownedBy(k, s.object), Files: files, Secrets: g.secrets, Variables: n.Variables, Addresses: append(n.Addresses, needs.Proxies(cluster)...),
		Issuers: n.Issuers, Keys: n.Keys, RedirectHosts: n.RedirectHosts, ClusterToken: n.ClusterToken,
		Image: r.options.Image, PullSecrets: r.pullSecrets(s), HealthInterval: min(r.options.StatusEvery, 30*time.Second),
	}, err
}

func ownedBy(k key, obj client.Object) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: v1alpha1.APIVersion, Kind: k.Kind, Name: k.Name, UID: obj.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// pullSecretsOf are those that the images of pods are pulled with.
func (r *reconciler) pullSecretsOf(c *v1alpha1.Cluster) []string {
	all := slices.Clone(r.options.PullSecrets)
	if o := c.ResourceOverrides; o != nil && o.ProxyDeployment != nil {
		for _, ref := range o.ProxyDeployment.ImagePullSecrets {
			all = append(all, string(ref.Name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// pullSecrets are those that the images of a resource's pods are pulled with.
func (r *reconciler) pullSecrets(s *serving) []string {
	all := r.pullSecretsOf(&s.spec.Cluster)
	if v, ok := s.object.(*v1alpha1.VirtualMCPServer); ok {
		for _, ref := range v.Spec.ImagePullSecrets {
			all = append(all, string(ref.Name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// make makes what serves a resource.
func (r *reconciler) make(ctx context.Context, s *serving, gw *render.Gateway, c *container) error {
	objects, err := gw.Objects()
	if err != nil {
		return err
	}
	names := []string{gw.ObjectName()}
	if c != nil {
		server, err := c.Objects()
		if err != nil {
			return err
		}
		objects, names = append(server, objects...), append(names, c.ObjectName())
	}
	if err := r.writer().SessionKey(ctx, s.object, gw); err != nil {
		return err
	}
	wrote, err := r.writer().Apply(ctx, s.object, objects)
	if err != nil {
		return err
	}
	if ignored := gw.Ignored(); wrote && len(ignored) > 0 {
		r.events.Eventf(s.object, nil, corev1.EventTypeWarning, "LabelIgnored", "Reconcile", "%s",
			"the labels "+strings.Join(ignored, ", ")+" of the pods are the operator's own, which select them; set others")
	}
	return r.prune(ctx, s.object, names, objects)
}

// writer writes objects as this reconciler sees the cluster.
func (r *reconciler) writer() *apply.Writer {
	return &apply.Writer{Client: r.client, Direct: r.direct, Routes: func() client.Reader { return r.routes.Known().Reader }, Log: r.log}
}

// prune deletes what a resource needed once and needs no more.
func (r *reconciler) prune(ctx context.Context, owner client.Object, names []string, objects []render.Object) error {
	if o, ok := owner.(*v1alpha1.MCPServer); ok {
		names = append(names, render.ServerName(o.Name))
	}
	return r.writer().Prune(ctx, owner, names, objects)
}
