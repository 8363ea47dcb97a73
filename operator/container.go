package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/manifests"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// container is the server of an MCPServer in a container, as it is to be rendered.
type container struct {
	*render.Server
	secrets map[string]pods.Values // of its environment
}

// container looks at what the server of an MCPServer itself needs; what is wrong with
// that is added to the verdict. It is nil for what cannot run in a cluster.
func (r *reconciler) container(ctx context.Context, k key, o *v1alpha1.MCPServer, g *gathered, v *verdict) (*container, error) {
	problem := func(field, format string, args ...any) *manifest.Problem {
		v.problems = append(v.problems, manifest.Problem{Object: k.Kind + "/" + k.Name, Field: field, Message: fmt.Sprintf(format, args...)})
		return &v.problems[len(v.problems)-1]
	}
	stdio := cmp.Or(o.Spec.Transport, "stdio") == "stdio"
	switch {
	case o.Spec.Image == "":
		problem("spec.command", "runs on the machine of a local gateway; in a cluster a server runs in a container: set image")
		return nil, nil
	case stdio && len(o.Spec.Command)+len(o.Spec.Args) == 0:
		problem("spec.command", "is required for a server spoken to over stdio: the gateway starts it within its container, and cannot know the program that the image begins with")
	case stdio && o.Spec.ExternalAuthConfigRef != nil:
		problem("spec.externalAuthConfigRef", "cannot be set for a server spoken to over stdio, which is shown no credential of a call; remove it, and give the server what it needs with secrets")
	}
	c := &container{secrets: map[string]pods.Values{}, Server: &render.Server{
		Namespace: k.Namespace, Name: k.Name, Owner: ownedBy(k, o), Spec: &o.Spec, Image: r.options.Image,
	}}
	s, _ := asServing(o)
	c.PullSecrets = r.pullSecrets(s)
	if template, err := podTemplates(o); err == nil { // else the gateway tells
		c.PodTemplate = template.server
	}
	for i, ref := range o.Spec.Secrets {
		if err := r.environment(ctx, k, c, g, ref, func(missing string, format string, args ...any) {
			problem(fmt.Sprintf("spec.secrets[%d]", i), format, args...).Missing = missing
		}); err != nil {
			return nil, err
		}
	}
	if o.Spec.RestartOnSecretChange {
		stamp, err := r.stamp(ctx, k, c)
		if err != nil {
			return nil, err
		}
		c.Changed = stamp
	}
	if err := r.profile(ctx, k, c, g, func(missing string, format string, args ...any) {
		problem("spec.permissionProfile", format, args...).Missing = missing
	}); err != nil {
		return nil, err
	}
	if !stdio {
		return c, nil
	}
	var err error
	c.Files, err = within(o)
	return c, err
}

// environment looks at a Secret that feeds the server's environment.
func (r *reconciler) environment(ctx context.Context, k key, c *container, g *gathered, ref v1alpha1.SecretEnv, problem func(missing, format string, args ...any)) error {
	u := manifest.Use{Kind: "Secret", Namespace: k.Namespace, Name: string(ref.Name)}
	g.uses[u] = true
	r.tracker.Note(k, u)
	var s corev1.Secret
	err := r.direct.Get(ctx, types.NamespacedName{Namespace: k.Namespace, Name: u.Name}, &s)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read Secret %s: %w", u.Name, err)
	}
	if err != nil {
		problem("Secret", "there is no Secret %q with the key %q; add it", ref.Name, ref.Key)
		return nil
	}
	if _, ok := s.Data[string(ref.Key)]; !ok {
		problem("Secret", "Secret %q has no key %q; add it", ref.Name, ref.Key)
	}
	c.secrets[u.Name] = pods.ValuesOf(&s)
	return nil
}

// stamp is what has the server's pods replaced when a Secret of its environment changes.
func (r *reconciler) stamp(ctx context.Context, k key, c *container) (string, error) {
	var d appsv1.Deployment
	err := r.client.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: c.ObjectName()}, &d)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("read Deployment %s: %w", c.ObjectName(), err)
	}
	list, err := r.pods(ctx, c.Namespace, c.Selector())
	return r.environments.Stamp(k, d.Spec.Template.Annotations[render.AnnotationChanged], c.secrets, list), err
}

// profile looks at the permission profile of the server.
func (r *reconciler) profile(ctx context.Context, k key, c *container, g *gathered, problem func(missing, format string, args ...any)) error {
	p := c.Spec.PermissionProfile
	switch {
	case p == nil || p.Type != "configmap" && p.Name == "network":
		return nil
	case p.Type != "configmap":
		c.Egress = &render.Egress{}
		return nil
	}
	u := manifest.Use{Kind: "ConfigMap", Namespace: k.Namespace, Name: string(p.Name)}
	g.uses[u] = true
	r.tracker.Note(k, u)
	var m corev1.ConfigMap
	err := r.direct.Get(ctx, types.NamespacedName{Namespace: k.Namespace, Name: u.Name}, &m)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read ConfigMap %s: %w", u.Name, err)
	}
	text, ok := m.Data[string(p.Key)]
	switch {
	case err != nil:
		problem("ConfigMap", "there is no ConfigMap %q; add it", p.Name)
		return nil
	case !ok:
		problem("ConfigMap", "ConfigMap %q has no key %q; add it", p.Name, p.Key)
		return nil
	}
	if c.Egress, err = render.ReadProfile(text); err != nil {
		problem("", "ConfigMap %q: key %q %v", p.Name, p.Key, err)
	}
	return nil
}

// within are the manifests of the gateway's program in the server's container: the
// command alone, for whoever reaches the pod.
func within(o *v1alpha1.MCPServer) (map[string]string, error) {
	inner := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace}}
	inner.Spec.Transport, inner.Spec.Command = "stdio", slices.Concat(o.Spec.Command, o.Spec.Args)
	inner.Spec.Env, inner.Spec.Secrets, inner.Spec.WorkingDir, inner.Spec.Sessions = o.Spec.Env, o.Spec.Secrets, o.Spec.WorkingDir, o.Spec.Sessions
	value, err := manifests.Value(inner)
	if err != nil {
		return nil, err
	}
	set, problems := manifest.FromValues([]map[string]any{value})
	if len(problems) > 0 {
		return nil, problems
	}
	text, err := set.Objects[0].Text()
	return map[string]string{"mcpserver." + o.Name + ".yaml": string(text)}, err
}

// templates are what a podTemplateSpec says of the gateway's pods, and of the server's.
type templates struct{ gateway, server json.RawMessage }

func podTemplates(obj client.Object) (t templates, err error) {
	s, _ := asServing(obj)
	with := s.spec.PodTemplateSpec
	if with == nil || len(with.Raw) == 0 {
		return t, nil
	}
	if o, ok := obj.(*v1alpha1.MCPServer); ok && o.Spec.Image != "" {
		t.gateway, t.server, err = render.Split(with)
		return t, err
	}
	t.gateway = with.Raw
	return t, nil
}
