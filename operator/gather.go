package operator

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/manifests"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// gathered is a resource with all that it rests on, as the gateway of it reads them.
type gathered struct {
	set      *manifest.Set
	problems manifest.Problems
	uses     map[manifest.Use]bool        // what was looked at, there or not
	secrets  []v1alpha1.SecretKeyRef      // whose values the gateway reads, there or not
	members  []client.Object              // of the group that is served; empty where none is
	broken   map[string]manifest.Problems // of members that are left out, by name
}

// gatherer follows references, each once.
type gatherer struct {
	*reconciler
	key    key // whose
	out    *gathered
	values []map[string]any
	done   map[key]bool // objects that were looked at
	skip   map[key]bool // members that are left out
}

// gather collects a resource with all that it rests on.
func (r *reconciler) gather(ctx context.Context, k key, obj client.Object) (*gathered, error) {
	out, err := r.gatherWithout(ctx, k, obj, map[manifest.Use]bool{}, nil)
	if err != nil {
		return nil, err
	}
	if len(out.members) > 0 && len(judge(out).problems) > 0 {
		if out, err = r.wholeMembers(ctx, k, obj, out); err != nil {
			return nil, err
		}
	}
	r.uses(k, out.uses)
	return out, nil
}

// wholeMembers gathers a virtual server without the members that have problems of their
// own: they cost themselves, and not the others.
func (r *reconciler) wholeMembers(ctx context.Context, k key, obj client.Object, all *gathered) (*gathered, error) {
	skip := map[key]bool{}
	broken := map[string]manifest.Problems{}
	for _, m := range all.members {
		alone, err := r.gatherWithout(ctx, k, manifests.AsMember(m), all.uses, nil)
		if err != nil {
			return nil, err
		}
		if problems := judge(alone).problems; len(problems) > 0 {
			skip[resource.Of(m)] = true
			broken[m.GetName()] = problems
		}
	}
	if len(skip) == 0 {
		return all, nil
	}
	out, err := r.gatherWithout(ctx, k, obj, all.uses, skip)
	if err != nil {
		return nil, err
	}
	out.broken = broken
	return out, nil
}

// gatherWithout collects a resource with all that it rests on, some members apart. It
// adds to uses.
func (r *reconciler) gatherWithout(ctx context.Context, k key, obj client.Object, uses map[manifest.Use]bool, skip map[key]bool) (*gathered, error) {
	g := &gatherer{reconciler: r, key: k, out: &gathered{uses: uses}, done: map[key]bool{}, skip: skip}
	g.note(k.Use())
	if err := g.resource(ctx, obj); err != nil {
		return nil, err
	}
	if v, ok := obj.(*v1alpha1.VirtualMCPServer); ok {
		if err := g.membersOf(ctx, v); err != nil {
			return nil, err
		}
	}
	g.out.secrets = sortedRefs(g.out.secrets)
	g.out.set, g.out.problems = manifest.FromValues(g.values)
	return g.out, nil
}

// files are the manifests of what was gathered, as the pods read them: Secrets apart,
// which the kubelet mounts.
func (g *gathered) files() (map[string]string, error) {
	files := map[string]string{}
	for _, o := range g.set.Objects {
		if o.Kind == "Secret" {
			continue
		}
		text, err := o.Text()
		if err != nil {
			return nil, err
		}
		files[render.FileOf(o.Kind, o.Name)+".yaml"] = string(text)
	}
	return files, nil
}

// text are the manifests of what was gathered as one file.
func (g *gathered) text() (string, error) {
	files, err := g.files()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b.WriteString("---\n" + files[name])
	}
	return b.String(), nil
}

// sortedRefs are references in a fixed order, each once.
func sortedRefs(refs []v1alpha1.SecretKeyRef) []v1alpha1.SecretKeyRef {
	slices.SortFunc(refs, func(a, b v1alpha1.SecretKeyRef) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	return slices.Compact(refs)
}

func (g *gatherer) note(u manifest.Use) {
	u.Key = "" // a Secret changes as a whole
	g.out.uses[u] = true
	if g.tracker.Note(g.key, u) && isConfig(u.Kind) && u != g.key.Use() {
		g.again(key{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name}) // it has a user more
	}
}

// resource adds one of ours, as the gateway reads it, and what it names.
func (g *gatherer) resource(ctx context.Context, obj client.Object) error {
	seen := resource.Of(obj)
	g.done[seen] = true
	obj = manifests.AsServed(obj)
	value, err := manifests.Value(obj)
	if err != nil {
		return err
	}
	g.values = append(g.values, value)
	for _, u := range resource.References(g.key.Namespace, resource.Spec(obj)) {
		if err := g.follow(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// follow adds what a reference names, where it is there.
func (g *gatherer) follow(ctx context.Context, u manifest.Use) error {
	at := key{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name}
	if u.Kind == "Secret" {
		g.out.secrets = append(g.out.secrets, v1alpha1.SecretKeyRef{Name: v1alpha1.ObjectName(u.Name), Key: v1alpha1.DataKey(u.Key)})
	}
	if g.done[at] {
		return nil
	}
	g.done[at] = true
	g.note(u)
	name := types.NamespacedName{Namespace: u.Namespace, Name: u.Name}
	switch u.Kind {
	case "Secret":
		return g.secret(ctx, name)
	case "ConfigMap":
		return g.configMap(ctx, name)
	}
	obj, err := g.get(ctx, at)
	if obj == nil || err != nil {
		return err
	}
	return g.resource(ctx, obj)
}

// get is a resource of ours out of the cache; nil where there is none.
func (r *reconciler) get(ctx context.Context, k key) (client.Object, error) {
	i := slices.IndexFunc(r.kinds, func(known kind) bool { return known.name == k.Kind })
	if i < 0 {
		return nil, fmt.Errorf("there is no kind %s", k.Kind)
	}
	obj := r.kinds[i].object()
	err := r.client.Get(ctx, types.NamespacedName{Namespace: k.Namespace, Name: k.Name}, obj)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}

func (g *gatherer) secret(ctx context.Context, name types.NamespacedName) error {
	var s corev1.Secret
	if err := g.direct.Get(ctx, name, &s); err != nil {
		return client.IgnoreNotFound(err)
	}
	data := map[string]any{}
	for k, v := range s.Data {
		data[k] = base64.StdEncoding.EncodeToString(v)
	}
	g.values = append(g.values, manifests.Document("v1", "Secret", name, map[string]any{"data": data}))
	return nil
}

func (g *gatherer) configMap(ctx context.Context, name types.NamespacedName) error {
	var c corev1.ConfigMap
	if err := g.direct.Get(ctx, name, &c); err != nil {
		return client.IgnoreNotFound(err)
	}
	data := map[string]any{}
	for k, v := range c.Data {
		data[k] = v
	}
	g.values = append(g.values, manifests.Document("v1", "ConfigMap", name, map[string]any{"data": data}))
	return nil
}

// membersOf adds the members of the group that a virtual server serves.
func (g *gatherer) membersOf(ctx context.Context, v *v1alpha1.VirtualMCPServer) error {
	group := manifest.Use{Kind: "MCPGroup", Namespace: v.Namespace, Name: string(v.Spec.GroupRef.Name), Key: members}
	g.out.uses[group] = true
	g.tracker.Note(g.key, group)
	all, err := g.inGroup(ctx, v.Namespace, group.Name)
	if err != nil {
		return err
	}
	g.out.members = all
	for _, m := range all {
		g.note(resource.Of(m).Use())
		if g.skip[resource.Of(m)] {
			continue
		}
		if err := g.resource(ctx, manifests.AsMember(m)); err != nil {
			return err
		}
	}
	return nil
}

// inGroup are the members of a group, by kind and name.
func (r *reconciler) inGroup(ctx context.Context, namespace, group string) ([]client.Object, error) {
	var all []client.Object
	in := []client.ListOption{client.InNamespace(namespace), client.MatchingFields{groupField: group}}
	var servers v1alpha1.MCPServerList
	var proxies v1alpha1.MCPRemoteProxyList
	var entries v1alpha1.MCPServerEntryList
	for _, list := range []client.ObjectList{&servers, &proxies, &entries} {
		if err := r.client.List(ctx, list, in...); err != nil {
			return nil, err
		}
	}
	for i := range servers.Items {
		all = append(all, &servers.Items[i])
	}
	for i := range proxies.Items {
		all = append(all, &proxies.Items[i])
	}
	for i := range entries.Items {
		all = append(all, &entries.Items[i])
	}
	all = slices.DeleteFunc(all, func(o client.Object) bool { return o.GetDeletionTimestamp() != nil })
	slices.SortFunc(all, func(a, b client.Object) int { return resource.Of(a).Compare(resource.Of(b)) })
	return all, nil
}

// groupField is the index of members by their group.
const groupField = "spec.groupRef.name"
