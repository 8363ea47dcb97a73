package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	numbers "k8s.io/apimachinery/pkg/util/json" // which keeps whole numbers whole
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Object is one of any kind.
type Object = unstructured.Unstructured

// Ref says which object, or which objects where it has no name.
type Ref struct {
	APIVersion, Kind string
	Namespace, Name  string
	Subresource      string // "" for the object itself
}

// RefOf is the one of an object.
func RefOf(o *Object) Ref {
	return Ref{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Get reads an object.
func (p *Plane) Get(t testing.TB, r Ref) (*Object, error) {
	t.Helper()
	return p.object(p.ask(t.Context(), http.MethodGet, r, nil, "", nil))
}

// List reads the objects of a kind; in all namespaces where the Ref has none.
func (p *Plane) List(t testing.TB, r Ref) []Object {
	t.Helper()
	text, err := p.ask(t.Context(), http.MethodGet, r, nil, "", nil)
	list := map[string]any{}
	if err == nil {
		err = numbers.Unmarshal(text, &list)
	}
	if err != nil {
		t.Fatalf("list %s: %v", r.Kind, err)
	}
	items, _ := list["items"].([]any)
	objects := make([]Object, len(items))
	for i, item := range items {
		objects[i].Object = item.(map[string]any)
		objects[i].SetAPIVersion(r.APIVersion) // which a list says once for all
		objects[i].SetKind(r.Kind)
	}
	return objects
}

// Create makes an object as kubectl does when nothing else is asked for: a field that the schema does not know is
// refused. Options are further parameters of the request, like dryRun=All.
func (p *Plane) Create(t testing.TB, o *Object, options ...string) (*Object, error) {
	t.Helper()
	r := RefOf(o)
	r.Name = "" // it is the list that is asked
	return p.write(t, http.MethodPost, r, "application/json", o.Object, append(options, "fieldValidation=Strict"))
}

// Patch merges a value into an object.
func (p *Plane) Patch(t testing.TB, r Ref, value map[string]any) (*Object, error) {
	t.Helper()
	return p.write(t, http.MethodPatch, r, "application/merge-patch+json", value, []string{"fieldManager=test"})
}

// Delete deletes an object. What it owns goes later.
func (p *Plane) Delete(t testing.TB, r Ref) error {
	t.Helper()
	_, err := p.ask(t.Context(), http.MethodDelete, r, nil, "", nil)
	return err
}

// Apply applies the objects of YAML documents on the server's side. A document without a namespace is for the one that
// is given.
func (p *Plane) Apply(t testing.TB, namespace, documents string) []*Object {
	t.Helper()
	var applied []*Object
	for _, o := range Documents(t, documents) {
		done, err := p.TryApply(t, namespace, o)
		if err != nil {
			t.Fatal(err)
		}
		applied = append(applied, done)
	}
	return applied
}

// TryApply applies one object; options are further parameters of the request.
func (p *Plane) TryApply(t testing.TB, namespace string, o *Object, options ...string) (*Object, error) {
	t.Helper()
	r := RefOf(o)
	if r.Namespace == "" {
		r.Namespace = namespace
	}
	done, err := p.write(t, http.MethodPatch, r, "application/apply-patch+yaml", o.Object,
		append(options, "fieldManager=test", "force=true", "fieldValidation=Strict"))
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", r.Kind, r.Name, err)
	}
	return done, nil
}

// Warnings applies an object like [Plane.TryApply], and returns what the API server warns of.
func (p *Plane) Warnings(t testing.TB, namespace string, o *Object, options ...string) (warnings []string, err error) {
	t.Helper()
	r := RefOf(o)
	r.Namespace = namespace
	path, err := p.discovery.path(t.Context(), p.client, r)
	if err != nil {
		return nil, err
	}
	body, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	path += "?" + strings.Join(append(options, "fieldManager=test", "force=true", "fieldValidation=Strict"), "&")
	_, header, err := p.client.send(t.Context(), http.MethodPatch, path, "application/apply-patch+yaml", body)
	for _, line := range header.Values("Warning") { // RFC 7234 §5.5: a code, who, and a quoted text
		if _, text, ok := strings.Cut(line, ` "`); ok {
			warnings = append(warnings, strings.ReplaceAll(strings.TrimSuffix(text, `"`), `\"`, `"`))
		}
	}
	return warnings, err
}

// Documents are the objects of YAML documents.
func Documents(t testing.TB, text string) (objects []*Object) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+text, "\n---") {
		o := &Object{}
		if err := yaml.UnmarshalStrict([]byte(doc), &o.Object); err != nil { // no field twice
			t.Fatalf("read an object: %v\n%s", err, doc)
		}
		if len(o.Object) > 0 { // or it is a comment
			objects = append(objects, o)
		}
	}
	return objects
}

// Namespace makes one for the test, which is deleted in the end.
func (p *Plane) Namespace(t testing.TB) string {
	t.Helper()
	o, err := p.Create(t, &Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "test-"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.DeleteAfter(t, RefOf(o))
	return o.GetName()
}

// DeleteAfter deletes an object when the test has ended.
func (p *Plane) DeleteAfter(t testing.TB, r Ref) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := p.ask(context.Background(), http.MethodDelete, r, nil, "", nil); err != nil && !IsNotFound(err) {
			t.Errorf("delete %s %s: %v", r.Kind, r.Name, err)
		}
	})
}

// Account writes a kubeconfig of a service account: of one who may do no more than it was granted.
func (p *Plane) Account(t testing.TB, namespace, name string) (kubeconfig string) {
	t.Helper()
	o, err := p.write(t, http.MethodPost, Ref{"v1", "ServiceAccount", namespace, name, "token"}, "application/json",
		map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, _ := unstructured.NestedString(o.Object, "status", "token")
	kubeconfig = t.TempDir() + "/kubeconfig"
	if err := p.writeKubeconfig(kubeconfig, token); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// Eventually waits until an object is as wanted; missing it is nil.
func (p *Plane) Eventually(t testing.TB, what string, r Ref, good func(o *Object) bool) (o *Object) {
	t.Helper()
	testkit.Eventually(t, what, func() bool {
		var err error
		if o, err = p.Get(t, r); err != nil && !IsNotFound(err) {
			t.Fatal(err)
		}
		return good(o)
	})
	return o
}

func (p *Plane) write(t testing.TB, method string, r Ref, contentType string, value map[string]any, options []string) (*Object, error) {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return p.object(p.ask(t.Context(), method, r, options, contentType, body))
}

func (p *Plane) object(text []byte, err error) (*Object, error) {
	if err != nil {
		return nil, err
	}
	o := &Object{}
	return o, numbers.Unmarshal(text, &o.Object)
}

// ask sends a request about an object, or the list that it is in.
func (p *Plane) ask(ctx context.Context, method string, r Ref, options []string, contentType string, body []byte) ([]byte, error) {
	path, err := p.discovery.path(ctx, p.client, r)
	if err != nil {
		return nil, err
	}
	if len(options) > 0 {
		path += "?" + strings.Join(options, "&")
	}
	return p.client.do(ctx, method, path, contentType, body)
}

// discovery knows where the objects of a kind are.
type discovery struct {
	mu    sync.Mutex
	known map[string]place // by apiVersion and kind
}

type place struct {
	plural     string
	namespaced bool
}

func (d *discovery) path(ctx context.Context, c *client, r Ref) (string, error) {
	base := "/apis/" + r.APIVersion
	if !strings.Contains(r.APIVersion, "/") {
		base = "/api/" + r.APIVersion
	}
	at, err := d.find(ctx, c, base, r.Kind)
	if err != nil {
		return "", err
	}
	if at.namespaced && r.Namespace != "" {
		base += "/namespaces/" + url.PathEscape(r.Namespace)
	}
	base += "/" + at.plural
	for _, part := range []string{r.Name, r.Subresource} {
		if part != "" {
			base += "/" + url.PathEscape(part)
		}
	}
	return base, nil
}

func (d *discovery) find(ctx context.Context, c *client, base, kind string) (place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.known[base+"/"+kind]; ok {
		return at, nil
	}
	text, err := c.do(ctx, http.MethodGet, base, "", nil)
	if err != nil {
		return place{}, fmt.Errorf("find %s: %w", kind, err)
	}
	var list struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return place{}, fmt.Errorf("find %s: %w", kind, err)
	}
	if d.known == nil {
		d.known = map[string]place{}
	}
	for _, r := range list.Resources {
		if !strings.Contains(r.Name, "/") { // that would be a subresource
			d.known[base+"/"+r.Kind] = place{r.Name, r.Namespaced}
		}
	}
	at, ok := d.known[base+"/"+kind]
	if !ok {
		return place{}, fmt.Errorf("the API server has no kind %s in %s", kind, base)
	}
	return at, nil
}
