package operator

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/compile/plan/text"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/route"
)

// cluster is an API server in memory, which knows server-side apply, and an operator
// that is told what to look at.
type cluster struct {
	*testing.T
	*reconciler
	writes atomic.Int64 // of the operator
	events *events.FakeRecorder
	ahead  time.Duration // of the machine's clock
}

const namespace = "team"

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	addToScheme(scheme)
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	for _, k := range kinds() {
		b = b.WithStatusSubresource(k.object())
	}
	for _, o := range []client.Object{&v1alpha1.MCPRemoteProxy{}, &v1alpha1.MCPServer{}, &v1alpha1.MCPServerEntry{}} {
		b = b.WithIndex(o, groupField, func(o client.Object) []string { return []string{groupOf(o)} })
	}
	for _, o := range []client.Object{&v1alpha1.MCPRemoteProxy{}, &v1alpha1.MCPServer{}, &v1alpha1.VirtualMCPServer{}} {
		b = b.WithIndex(o, gatewayField, gatewaysOf)
	}
	b = b.WithStatusSubresource(&appsv1.Deployment{})
	c := &cluster{T: t, events: events.NewFakeRecorder(100)}
	store := b.Build()
	counted := interceptor.NewClient(store, interceptor.Funcs{
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			c.writes.Add(1)
			return w.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			c.writes.Add(1)
			return w.Delete(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			c.writes.Add(1)
			return w.Patch(ctx, o, p, opts...)
		},
		Apply: func(ctx context.Context, w client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			c.writes.Add(1)
			// The store in memory cannot apply a NetworkPolicy: it fails to merge its ports.
			if u, ok := o.(interface{ GetKind() string }); ok && u.GetKind() == "NetworkPolicy" {
				return replace(ctx, w, o)
			}
			return w.Apply(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, w client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			c.writes.Add(1)
			return w.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
	c.reconciler = &reconciler{
		options: &Options{Image: "example.com/sallyport:1", Resync: time.Minute, StatusEvery: 15 * time.Second}, kinds: kinds(), tracker: resource.NewTracker(),
		client: counted, direct: store, events: c.events, log: slog.New(slog.DiscardHandler),
		routes: route.Fixed(route.Known{State: route.There, Reader: store}),
		asker:  pods.NewAsker(store, time.Minute, func(key) {}),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[key]()),
	}
	c.sharing.Now = func() time.Time { return time.Now().Add(c.ahead) }
	t.Cleanup(c.queue.ShutDown)
	return c
}

// replace makes an object what it is to be, whatever it was.
func replace(ctx context.Context, w client.Client, o runtime.ApplyConfiguration) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var p networkingv1.NetworkPolicy
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if err := w.Delete(ctx, p.DeepCopy()); client.IgnoreNotFound(err) != nil {
		return err
	}
	return w.Create(ctx, &p)
}

// look reconciles, and says what failed.
func (c *cluster) look(kind, name string) error {
	_, err := c.Reconcile(c.Context(), key{Kind: kind, Namespace: namespace, Name: name})
	return err
}

func (c *cluster) mustLook(kind, name string) {
	c.Helper()
	if err := c.look(kind, name); err != nil {
		c.Fatal(err)
	}
}

// read fetches an object; it must be there.
func read[T client.Object](c *cluster, name string, into T) T {
	c.Helper()
	if err := c.direct.Get(c.Context(), types.NamespacedName{Namespace: namespace, Name: name}, into); err != nil {
		c.Fatal(err)
	}
	return into
}

func (c *cluster) store() client.Client { return c.direct.(client.Client) }

// condition is a condition of a proxy as STATUS REASON, and its message.
func (c *cluster) condition(name, kind string) (short, message string) {
	c.Helper()
	p := read(c, name, &v1alpha1.MCPRemoteProxy{})
	cond := meta.FindStatusCondition(p.Status.Conditions, kind)
	if cond == nil {
		return "", ""
	}
	return string(cond.Status) + " " + cond.Reason, cond.Message
}

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID("uid-" + name), Generation: 1}
}

func proxy(name string, change ...func(*v1alpha1.MCPRemoteProxySpec)) *v1alpha1.MCPRemoteProxy {
	p := &v1alpha1.MCPRemoteProxy{ObjectMeta: objectMeta(name)}
	p.Spec.RemoteURL, p.Spec.Transport, p.Spec.ProxyPort = "https://mcp.example.com/mcp", "streamable-http", 8080
	for _, do := range change {
		do(&p.Spec)
	}
	return p
}

// shows makes a proxy show the credential of a configuration.
func shows(name string) func(*v1alpha1.MCPRemoteProxySpec) {
	return func(s *v1alpha1.MCPRemoteProxySpec) {
		s.ExternalAuthConfigRef = &v1alpha1.ObjectRef{Name: v1alpha1.ObjectName(name)}
	}
}

func apiKey() *v1alpha1.MCPExternalAuthConfig {
	return &v1alpha1.MCPExternalAuthConfig{ObjectMeta: objectMeta("key"), Spec: v1alpha1.MCPExternalAuthConfigSpec{
		Type:            v1alpha1.AuthHeaderInjection,
		HeaderInjection: &v1alpha1.HeaderInjection{HeaderName: "X-Api-Key", ValueSecretRef: v1alpha1.SecretKeyRef{Name: "api", Key: "token"}},
	}}
}

func secretOf(value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: objectMeta("api"), Data: map[string][]byte{"token": []byte(value)}}
}

// ready plays the controllers of Deployments and pods.
func (c *cluster) ready(name string) {
	c.Helper()
	d := read(c, name, &appsv1.Deployment{})
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, ReadyReplicas: 1, UpdatedReplicas: 1}
	if err := c.store().Status().Update(c.Context(), d); err != nil {
		c.Fatal(err)
	}
}

// A resource is served, its status says so, and nothing is written again.
//
// REQ B-11, B-13
func TestProxyIsServed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", shows("key")), apiKey(), secretOf("CANARY"))
	c.mustLook("MCPRemoteProxy", "docs")
	d := read(c, "docs-proxy", &appsv1.Deployment{})
	if !metav1.IsControlledBy(d, read(c, "docs", &v1alpha1.MCPRemoteProxy{})) || d.Spec.Replicas != nil {
		t.Errorf("owners %v, replicas %v", d.OwnerReferences, d.Spec.Replicas)
	}
	read(c, "docs-proxy", &corev1.Service{})
	read(c, "docs-proxy", &corev1.ServiceAccount{})
	if got, _ := c.condition("docs", conditionReady); got != "False NoPodReady" {
		t.Errorf("Ready before pods: %s", got)
	}
	c.ready("docs-proxy")
	c.mustLook("MCPRemoteProxy", "docs")
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	want := v1alpha1.MCPRemoteProxyStatus{Phase: "Ready", Message: "1 of 1 pods are ready", URL: "http://docs-proxy.team.svc:8080/servers/docs/mcp", ObservedGeneration: 1}
	p.Status.Conditions = nil
	if diff := cmp.Diff(want, p.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	before := c.writes.Load()
	for range 3 {
		c.mustLook("MCPRemoteProxy", "docs")
	}
	if n := c.writes.Load() - before; n != 0 {
		t.Errorf("%d writes though nothing changed", n)
	}
	for _, o := range []client.Object{read(c, "docs-proxy", &corev1.ConfigMap{}), d, p} {
		if text := cmp.Diff(nil, o); strings.Contains(text, "CANARY") {
			t.Errorf("a secret is in %T", o)
		}
	}
}

// The pods read what `sallyport serve` reads on a laptop, and it means the same.
func TestPodsReadTheManifests(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", shows("key")), apiKey(), secretOf("value"))
	c.mustLook("MCPRemoteProxy", "docs")
	pod, secrets, laptop := t.TempDir(), t.TempDir(), t.TempDir()
	for name, text := range read(c, "docs-proxy", &corev1.ConfigMap{}).Data {
		write(t, filepath.Join(pod, name), text)
	}
	write(t, filepath.Join(secrets, namespace, "api", "token"), "value")
	write(t, filepath.Join(laptop, "all.yaml"), `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs, namespace: team}
spec: {remoteUrl: "https://mcp.example.com/mcp", externalAuthConfigRef: {name: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: key, namespace: team}
spec: {type: headerInjection, headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}}
---
apiVersion: v1
kind: Secret
metadata: {name: api, namespace: team}
stringData: {token: value}
`)
	said := func(paths ...string) string {
		r := manifest.Reader{Paths: paths, Secrets: secrets}
		set, err := r.Load()
		if err != nil {
			t.Fatal(err)
		}
		if err := strict.Validate(set).Err(); err != nil { // which the pods leave out: the API server did it
			t.Fatal(err)
		}
		p := plan.Of(set, plan.Process{})
		if len(p.Problems) > 0 {
			t.Fatal(p.Problems)
		}
		return text.Of(p)
	}
	if diff := cmp.Diff(said(laptop), said(pod)); diff != "" {
		t.Errorf("pods serve something else (-laptop +pod):\n%s", diff)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A missing reference is told by name, nothing serves before it is there, and what
// served goes on when it breaks later.
//
// REQ B-6
func TestReferences(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", shows("key")), apiKey())
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionAuth); got != "False SecretNotFound" || !strings.Contains(message, `there is no Secret "api"`) {
		t.Errorf("AuthConfigured: %s: %s", got, message)
	}
	if err := c.direct.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "docs-proxy"}, &appsv1.Deployment{}); err == nil {
		t.Error("something serves already")
	}
	if n := len(c.events.Events); n != 1 {
		t.Errorf("%d events, want one warning", n)
	}
	users := c.tracker.UsersOf(manifest.Use{Kind: "Secret", Namespace: namespace, Name: "api"})
	if diff := cmp.Diff([]key{{Kind: "MCPRemoteProxy", Namespace: namespace, Name: "docs"}}, users); diff != "" {
		t.Errorf("who waits for the Secret (-want +got):\n%s", diff)
	}
	if err := c.store().Create(t.Context(), secretOf("value")); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionAuth); got != "True Configured" {
		t.Errorf("AuthConfigured: %s: %s", got, message)
	}
	files := read(c, "docs-proxy", &corev1.ConfigMap{}).Data
	if err := c.store().Delete(t.Context(), apiKey()); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionReady); got != "False MCPExternalAuthConfigNotFound" || !strings.Contains(message, "last good configuration") {
		t.Errorf("Ready: %s: %s", got, message)
	}
	if diff := cmp.Diff(files, read(c, "docs-proxy", &corev1.ConfigMap{}).Data); diff != "" {
		t.Errorf("what is served changed (-before +after):\n%s", diff)
	}
}

// What somebody changes by hand comes back; what is others' stays.
func TestDrift(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs"))
	c.mustLook("MCPRemoteProxy", "docs")
	three := int32(3)
	d := read(c, "docs-proxy", &appsv1.Deployment{})
	d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Image = &three, "example.com/other"
	d.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
	s := read(c, "docs-proxy", &corev1.Service{})
	s.Spec.Selector["more"] = "x"
	m := read(c, "docs-proxy", &corev1.ConfigMap{})
	m.Data["stranger.yaml"] = "a: b"
	for _, o := range []client.Object{d, s, m} {
		if err := c.store().Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.store().Delete(t.Context(), read(c, "docs-proxy", &corev1.ServiceAccount{})); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	d = read(c, "docs-proxy", &appsv1.Deployment{})
	if d.Spec.Template.Spec.Containers[0].Image != "example.com/sallyport:1" || *d.Spec.Replicas != 3 || d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
		t.Errorf("image %s, replicas %d, annotations %v", d.Spec.Template.Spec.Containers[0].Image, *d.Spec.Replicas, d.Spec.Template.Annotations)
	}
	if s := read(c, "docs-proxy", &corev1.Service{}); s.Spec.Selector["more"] != "" {
		t.Error("the Service selects something else")
	}
	if m := read(c, "docs-proxy", &corev1.ConfigMap{}); m.Data["stranger.yaml"] != "" {
		t.Error("a stranger's manifest is served")
	}
	read(c, "docs-proxy", &corev1.ServiceAccount{})
}

// Nobody else's object is taken over.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	theirs := &corev1.Service{ObjectMeta: objectMeta("docs-proxy"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "theirs"}}}
	c := newCluster(t, proxy("docs"), theirs)
	if err := c.look("MCPRemoteProxy", "docs"); err == nil {
		t.Error("no error, so that nothing brings it back")
	}
	if got, message := c.condition("docs", conditionReady); got != "False NameTaken" || !strings.Contains(message, "Service docs-proxy") {
		t.Errorf("Ready: %s: %s", got, message)
	}
	if s := read(c, "docs-proxy", &corev1.Service{}); s.Spec.Selector["app"] != "theirs" {
		t.Error("their Service was changed")
	}
}

// A podTemplateSpec that fits no pod is told with its field, and is not tried again.
func TestBadPodTemplate(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"spec":{"nodeSelectr":{}}}`:                                     "nodeSelectr",
		`{"spec":{"containers":{}}}`:                                      "containers",
		`{"spec":{"containers":[{"name":"x"}]}}`:                          "containers[x]: it has no image",
		`{"spec":{"containers":[{"name":"x","resources":{"limits":1}}]}}`: "limits",
		`{"spec":{"containers":[{"name":"sallyport","image":"mine:1"}]}}`: "containers[sallyport].image: is the operator's --image",
	} {
		c := newCluster(t, proxy("docs", func(s *v1alpha1.MCPRemoteProxySpec) { s.PodTemplateSpec = &v1alpha1.FreeForm{Raw: []byte(raw)} }))
		c.mustLook("MCPRemoteProxy", "docs")
		if got, message := c.condition("docs", conditionReady); got != "False PodTemplateInvalid" || !strings.Contains(message, want) {
			t.Errorf("%s: Ready: %s: %s", raw, got, message)
		}
		server := &v1alpha1.MCPServer{ObjectMeta: objectMeta("tools")}
		server.Spec.Image, server.Spec.Transport, server.Spec.PodTemplateSpec = "example.com/tools:1", "streamable-http", &v1alpha1.FreeForm{Raw: []byte(raw)}
		c = newCluster(t, server)
		c.mustLook("MCPServer", "tools")
		ready := meta.FindStatusCondition(read(c, "tools", &v1alpha1.MCPServer{}).Status.Conditions, conditionReady)
		if ready == nil || ready.Reason != "PodTemplateInvalid" || !strings.Contains(ready.Message, want) {
			t.Errorf("of a server, %s: %v", raw, ready)
		}
	}
}

// Configuration that is in use cannot vanish.
//
// REQ B-29
func TestConfigurationInUse(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", shows("key")), apiKey(), secretOf("value"))
	c.mustLook("MCPExternalAuthConfig", "key")
	cfg := read(c, "key", &v1alpha1.MCPExternalAuthConfig{})
	if valid := meta.FindStatusCondition(cfg.Status.Conditions, conditionValid); valid == nil || valid.Message != "used by MCPRemoteProxy docs" {
		t.Errorf("Valid: %+v", valid)
	}
	if err := c.store().Delete(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPExternalAuthConfig", "key")
	cfg = read(c, "key", &v1alpha1.MCPExternalAuthConfig{})
	if blocked := meta.FindStatusCondition(cfg.Status.Conditions, conditionBlocked); blocked == nil || !strings.Contains(blocked.Message, "MCPRemoteProxy docs") {
		t.Errorf("DeletionBlocked: %+v", blocked)
	}
	if err := c.store().Delete(t.Context(), proxy("docs")); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPExternalAuthConfig", "key")
	if err := c.direct.Get(t.Context(), client.ObjectKeyFromObject(cfg), cfg); err == nil {
		t.Error("it is still there")
	}
}

// A virtual server's pods know its members as what they are behind it, without endpoints
// of their own.
func TestVirtualServer(t *testing.T) {
	t.Parallel()
	member := func(s *v1alpha1.MCPRemoteProxySpec) { s.GroupRef = &v1alpha1.ObjectRef{Name: "all"} }
	v := &v1alpha1.VirtualMCPServer{ObjectMeta: objectMeta("one"), Spec: v1alpha1.VirtualMCPServerSpec{GroupRef: v1alpha1.ObjectRef{Name: "all"}}}
	entry := &v1alpha1.MCPServerEntry{ObjectMeta: objectMeta("search")}
	entry.Spec.RemoteURL, entry.Spec.Transport, entry.Spec.GroupRef = "https://search.example.com/mcp", "streamable-http", &v1alpha1.ObjectRef{Name: "all"}
	c := newCluster(t, proxy("docs", member), entry, &v1alpha1.MCPGroup{ObjectMeta: objectMeta("all")}, v)
	c.mustLook("VirtualMCPServer", "one")
	c.mustLook("MCPGroup", "all")
	c.mustLook("MCPServerEntry", "search")
	var names []string
	for name := range read(c, "one-virtual", &corev1.ConfigMap{}).Data {
		names = append(names, name)
	}
	want := []string{"mcpgroup.all.yaml", "mcpserverentry.docs.yaml", "mcpserverentry.search.yaml", "virtualmcpserver.one.yaml"}
	if diff := cmp.Diff(want, sortedStrings(names)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	st := read(c, "all", &v1alpha1.MCPGroup{}).Status
	if st.Phase != "Ready" || st.EntryCount != 1 || st.RemoteProxyCount != 1 {
		t.Errorf("group: %+v", st)
	}
	if phase := read(c, "search", &v1alpha1.MCPServerEntry{}).Status.Phase; phase != "Valid" {
		t.Errorf("entry: phase %s", phase)
	}
	if got := c.touched(entry); len(got) != 3 {
		t.Errorf("a change of a member is about %v", got)
	}
}
