package operator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

func gateway(name string) *v1alpha1.MCPGateway {
	return &v1alpha1.MCPGateway{ObjectMeta: objectMeta(name), Spec: v1alpha1.MCPGatewaySpec{ProxyPort: 8080}}
}

// at makes a proxy one of a gateway's.
func at(name string) func(*v1alpha1.MCPRemoteProxySpec) {
	return func(s *v1alpha1.MCPRemoteProxySpec) {
		s.GatewayRef = &v1alpha1.ObjectRef{Name: v1alpha1.ObjectName(name)}
	}
}

// quiet lets the changes that wait be made now.
func (c *cluster) quiet() { c.ahead += 3 * time.Second }

// answers has the pods of a gateway say which units they serve, of which revision, and what is wrong with others.
func (c *cluster) answers(gateway string, units ...status.Unit) {
	c.Helper()
	c.asker.Take(gatewayKey(namespace, gateway), pods.Answered(&status.Status{Units: units}))
}

// serves has the pods of a gateway serve what is in its files, as it is.
func (c *cluster) serves(gateway string, errors ...status.Unit) {
	c.Helper()
	k := gatewayKey(namespace, gateway)
	var units []status.Unit
	for guest, g := range c.sharing.Guests(k) {
		if !slices.ContainsFunc(errors, func(u status.Unit) bool { return u.Name == sharing.Unit(guest) }) {
			units = append(units, status.Unit{Name: sharing.Unit(guest), Config: status.Config{Hash: g.Revision}})
		}
	}
	c.answers(gateway, append(units, errors...)...)
}

func (c *cluster) gatewayCondition(name, kind string) (short, message string) {
	c.Helper()
	g := read(c, name, &v1alpha1.MCPGateway{})
	cond := meta.FindStatusCondition(g.Status.Conditions, kind)
	if cond == nil {
		return "", ""
	}
	return string(cond.Status) + " " + cond.Reason, cond.Message
}

// there tells whether an object is.
func there(c *cluster, name string, o client.Object) bool {
	return c.direct.Get(c.Context(), types.NamespacedName{Namespace: namespace, Name: name}, o) == nil
}

// Two resources share a gateway: there is one Deployment with the files of both, they say who serves them, and nothing is
// written again.
//
// REQ B-13, REQ B-14
func TestSharedGateway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, gateway("all"), proxy("docs", at("all"), shows("key")), proxy("search", at("all")), apiKey(), secretOf("CANARY"))
	c.mustLook("MCPRemoteProxy", "docs")
	c.mustLook("MCPRemoteProxy", "search")
	if got, message := c.condition("docs", conditionGateway); got != "False NotYetServed" || !strings.Contains(message, "MCPGateway all does not serve it yet") {
		t.Errorf("%s: %s", got, message)
	}
	c.mustLook("MCPGateway", "all")
	d := read(c, "all-shared", &appsv1.Deployment{})
	files := read(c, "all-shared-0", &corev1.ConfigMap{}).Data
	if len(files) != 2 || !strings.Contains(files["mcpremoteproxy.docs.yaml"], "MCPExternalAuthConfig") || strings.Contains(fmt.Sprint(files), "CANARY") || strings.Contains(fmt.Sprint(files), "gatewayRef") {
		t.Errorf("files: %v", files)
	}
	container := d.Spec.Template.Spec.Containers[0]
	if !slices.Contains(container.Args, "--each-file") {
		t.Errorf("args: %v", container.Args)
	}
	for _, name := range []string{"docs-proxy", "search-proxy"} {
		if there(c, name, &appsv1.Deployment{}) || there(c, name, &corev1.Service{}) {
			t.Errorf("%s has a Deployment or Service of its own", name)
		}
	}
	c.ready("all-shared")
	c.serves("all", status.Unit{Name: "mcpremoteproxy.search", Config: status.Config{Error: "it cannot be"}})
	c.mustLook("MCPRemoteProxy", "docs")
	c.mustLook("MCPRemoteProxy", "search")
	c.mustLook("MCPGateway", "all")
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	if got, message := c.condition("docs", conditionGateway); got != "True Served" || p.Status.URL != "http://all-shared.team.svc:8080/servers/docs/mcp" || p.Status.Phase != "Ready" || p.Status.Gateway != "all" {
		t.Errorf("%s: %s; status %+v", got, message, p.Status)
	}
	if got, message := c.condition("search", conditionReady); got != "False ConfigurationRefused" || !strings.Contains(message, "it cannot be") {
		t.Errorf("what pods refuse: %s: %s", got, message)
	}
	if got, message := c.gatewayCondition("all", conditionServers); got != "False SomeFail" || !strings.Contains(message, "MCPRemoteProxy search") {
		t.Errorf("the gateway: %s: %s", got, message)
	}
	c.serves("all")
	c.mustLook("MCPRemoteProxy", "search")
	c.mustLook("MCPGateway", "all")
	st := read(c, "all", &v1alpha1.MCPGateway{}).Status
	if st.ServerCount != 2 || st.ServingCount != 2 || len(st.Serving) != 2 || st.FailingCount != 0 || st.URL != "http://all-shared.team.svc:8080" || st.Phase != "Ready" {
		t.Errorf("status: %+v", st)
	}
	before := c.writes.Load()
	for range 3 {
		c.mustLook("MCPRemoteProxy", "docs")
		c.mustLook("MCPGateway", "all")
	}
	if n := c.writes.Load() - before; n != 0 {
		t.Errorf("%d writes though nothing changed", n)
	}
	// A new operator has asked nobody yet, and says nothing else because of that.
	c.sharing, c.asker = sharing.Sharing{Now: c.sharing.Now}, pods.NewAsker(c.direct, time.Minute, func(key) {})
	for _, who := range []key{gatewayKey(namespace, "all"), resource.Of(proxy("docs")), resource.Of(proxy("search")), gatewayKey(namespace, "all")} {
		c.mustLook(who.Kind, who.Name)
	}
	c.serves("all")
	c.mustLook("MCPGateway", "all")
	if n := c.writes.Load() - before; n != 0 {
		t.Errorf("a new operator writes %d times though nothing changed", n)
	}
}

// What breaks keeps what the pods have of it, also for a new operator; the others follow changes.
func TestSharedGatewayKeepsWhatIsBroken(t *testing.T) {
	t.Parallel()
	c := newCluster(t, gateway("all"), proxy("docs", at("all"), shows("key")), proxy("search", at("all")), apiKey(), secretOf("value"))
	look := func() {
		c.mustLook("MCPRemoteProxy", "docs")
		c.mustLook("MCPRemoteProxy", "search")
		c.quiet()
		c.mustLook("MCPGateway", "all")
	}
	look()
	files := func() map[string]string { return read(c, "all-shared-0", &corev1.ConfigMap{}).Data }
	before := files()
	if err := c.store().Delete(t.Context(), secretOf("value")); err != nil {
		t.Fatal(err)
	}
	search := read(c, "search", &v1alpha1.MCPRemoteProxy{})
	search.Spec.Description = "changed"
	if err := c.store().Update(t.Context(), search); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"the same operator", "a new operator"} {
		if when == "a new operator" {
			c.sharing = sharing.Sharing{Now: c.sharing.Now}
		}
		look()
		now := files()
		if now["mcpremoteproxy.docs.yaml"] != before["mcpremoteproxy.docs.yaml"] || !strings.Contains(now["mcpremoteproxy.search.yaml"], "changed") {
			t.Errorf("%s: files: %v", when, now)
		}
		if got, message := c.gatewayCondition("all", conditionServers); got != "False SomeFail" || !strings.Contains(message, "MCPRemoteProxy docs") {
			t.Errorf("%s: the gateway: %s: %s", when, got, message)
		}
		if d := read(c, "all-shared", &appsv1.Deployment{}); !strings.Contains(fmt.Sprint(d.Spec.Template.Spec.Volumes), "api") {
			t.Errorf("%s: the Secret of what is broken is mounted no more", when)
		}
	}
}

// The older of two of the same name is served, and the other says so; when the older goes, it is the other's turn.
func TestSharedGatewayNames(t *testing.T) {
	t.Parallel()
	older, newer := proxy("docs", at("all")), &v1alpha1.VirtualMCPServer{ObjectMeta: objectMeta("docs")}
	older.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	newer.CreationTimestamp = metav1.Now()
	newer.Spec.GroupRef.Name, newer.Spec.GatewayRef = "all", &v1alpha1.ObjectRef{Name: "all"}
	c := newCluster(t, gateway("all"), older, newer, &v1alpha1.MCPGroup{ObjectMeta: objectMeta("all")})
	entry := &v1alpha1.MCPServerEntry{ObjectMeta: objectMeta("entry")}
	entry.Spec.RemoteURL, entry.Spec.Transport, entry.Spec.GroupRef = "https://mcp.example.com/mcp", "streamable-http", &v1alpha1.ObjectRef{Name: "all"}
	if err := c.store().Create(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	look := func() {
		for range 2 { // it hears of it the second time
			_ = c.look("MCPRemoteProxy", "docs")
			_ = c.look("VirtualMCPServer", "docs")
			c.quiet()
			c.mustLook("MCPGateway", "all")
		}
	}
	look()
	ready := func() string {
		cond := meta.FindStatusCondition(read(c, "docs", &v1alpha1.VirtualMCPServer{}).Status.Conditions, conditionReady)
		return fmt.Sprint(cond.Reason, ": ", cond.Message)
	}
	if got := ready(); !strings.HasPrefix(got, "Conflict: ") || !strings.Contains(got, "MCPRemoteProxy docs has the endpoint /servers/docs already") {
		t.Errorf("the newer one: %s", got)
	}
	if files := read(c, "all-shared-0", &corev1.ConfigMap{}).Data; len(files) != 1 || files["mcpremoteproxy.docs.yaml"] == "" {
		t.Errorf("files: %v", files)
	}
	if err := c.store().Delete(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	look()
	if got := ready(); strings.HasPrefix(got, "Conflict") {
		t.Errorf("after the older one went: %s", got)
	}
	if files := read(c, "all-shared-0", &corev1.ConfigMap{}).Data; len(files) != 1 || files["virtualmcpserver.docs.yaml"] == "" {
		t.Errorf("files: %v", files)
	}
}

// A resource moves in and out: what serves it goes on until what is to serve it does, and the Service that it has had
// leads to who serves it.
func TestMovingInAndOut(t *testing.T) {
	t.Parallel()
	c := newCluster(t, gateway("all"), proxy("docs"))
	look := func() {
		t.Helper()
		c.mustLook("MCPRemoteProxy", "docs")
		c.quiet()
		c.mustLook("MCPGateway", "all")
		c.mustLook("MCPRemoteProxy", "docs")
	}
	look()
	c.ready("docs-proxy")
	look()
	move := func(to string) {
		t.Helper()
		p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
		p.Spec.GatewayRef = nil
		if to != "" {
			at(to)(&p.Spec)
		}
		if err := c.store().Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		look()
	}
	state := func() []string {
		p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
		ready, _ := c.condition("docs", conditionReady)
		return []string{p.Status.Gateway, p.Status.URL, ready, read(c, "docs-proxy", &corev1.Service{}).Spec.Selector[render.LabelInstance], fmt.Sprint(there(c, "docs-proxy", &appsv1.Deployment{}))}
	}
	own := []string{"", "http://docs-proxy.team.svc:8080/servers/docs/mcp", "True PodsReady", "docs-proxy", "true"}
	shared := []string{"all", "http://all-shared.team.svc:8080/servers/docs/mcp", "True PodsReady", "all-shared", "false"}
	expect := func(when string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, state()); diff != "" {
			t.Errorf("%s: gateway, URL, Ready, who the Service leads to, whether there is a Deployment (-want +got):\n%s", when, diff)
		}
	}
	expect("at first", own)
	move("all")
	expect("before the gateway serves it", own)
	c.ready("all-shared")
	c.answers("all")
	look()
	expect("before the gateway knows it", own)
	c.serves("all")
	look()
	expect("when the gateway serves it", shared)

	move("")
	out := slices.Clone(shared)
	out[4] = "true"
	expect("before its own pods serve it", out)
	if _, ok := read(c, "all-shared-0", &corev1.ConfigMap{}).Data["mcpremoteproxy.docs.yaml"]; !ok {
		t.Error("the gateway serves it no more, and nobody else does")
	}
	c.ready("docs-proxy")
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	g, err := c.gather(t.Context(), resource.Of(p), p)
	if err != nil {
		t.Fatal(err)
	}
	c.asker.Take(resource.Of(p), pods.Answered(&status.Status{Config: status.Config{Hash: g.set.Revision()}}))
	look()
	expect("when its own pods serve it", own)
	if _, ok := read(c, "all-shared-0", &corev1.ConfigMap{}).Data["mcpremoteproxy.docs.yaml"]; !ok {
		t.Error("who has just looked up the old address finds nothing there")
	}
	c.ahead += sharing.Linger
	look()
	if files := read(c, "all-shared-0", &corev1.ConfigMap{}).Data; len(files) != 0 {
		t.Errorf("it is left over in the gateway: %v", files)
	}
}

// A gateway that is used is there until it is not, and who names none that is there says so.
func TestDeletingASharedGateway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", at("all")))
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionReady); got != "False MCPGatewayNotFound" || !strings.Contains(message, `there is no MCPGateway "all"`) {
		t.Errorf("Ready: %s: %s", got, message)
	}
	if err := c.store().Create(t.Context(), gateway("all")); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	c.mustLook("MCPGateway", "all")
	if err := c.store().Delete(t.Context(), gateway("all")); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPGateway", "all")
	if got, message := c.gatewayCondition("all", conditionBlocked); got != "True InUse" || !strings.Contains(message, "MCPRemoteProxy docs") {
		t.Errorf("DeletionBlocked: %s: %s", got, message)
	}
	if err := c.store().Delete(t.Context(), proxy("docs")); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	c.mustLook("MCPGateway", "all")
	if there(c, "all", &v1alpha1.MCPGateway{}) {
		t.Error("the gateway is still there, and nobody uses it")
	}
}

// A batch of new resources changes the pods once, a change of what pods have mounted already at once.
func TestSharedGatewayJoinsChanges(t *testing.T) {
	t.Parallel()
	c := newCluster(t, gateway("all"), apiKey(), secretOf("value"))
	c.mustLook("MCPGateway", "all")
	generation := func() string {
		return read(c, "all-shared", &appsv1.Deployment{}).Annotations[apply.Rendered]
	}
	first := generation()
	for i := range 5 {
		p := proxy(fmt.Sprintf("docs-%d", i), at("all"), shows("key"))
		if err := c.store().Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		c.mustLook("MCPRemoteProxy", p.Name)
		c.mustLook("MCPGateway", "all")
		if generation() != first {
			t.Fatal("the pods change with the first of a batch")
		}
	}
	c.quiet()
	c.mustLook("MCPGateway", "all")
	second := generation()
	if second == first || len(read(c, "all-shared-0", &corev1.ConfigMap{}).Data) != 5 {
		t.Error("the batch is not there when it is whole")
	}
	p := proxy("more", at("all"), shows("key")) // the Secret is mounted already
	if err := c.store().Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "more")
	c.mustLook("MCPGateway", "all")
	if generation() != second || len(read(c, "all-shared-0", &corev1.ConfigMap{}).Data) != 6 {
		t.Error("what needs no other pods waits, or makes others")
	}
}
