//go:build cluster

package cluster_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

const image = "example.com/sallyport:1"

// keeper is an operator that keeps one namespace.
type keeper struct {
	cmd   *exec.Cmd
	admin string
	log   *testkit.Output
	ended chan error
}

// keep starts an operator, and waits until it knows what there is. It ends with the test.
func keep(t *testing.T, namespace string, args ...string) *keeper {
	t.Helper()
	port := freePort(t)
	k := &keeper{admin: "http://127.0.0.1:" + port, log: &testkit.Output{}, ended: make(chan error, 1)}
	k.cmd = exec.Command(testkit.Binary(t), append([]string{
		"operator", "--kubeconfig", plane.Kubeconfig, "--namespace", namespace, "--image", image,
		"--admin-listen", "127.0.0.1:" + port, "--resync", "2s", "--status-interval", "1s",
	}, args...)...)
	k.cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1") // of no use for pods
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { k.ended <- k.cmd.Wait() }()
	t.Cleanup(func() {
		k.stop(t)
		if t.Failed() {
			t.Logf("the operator wrote:\n%s", k.log)
		}
	})
	testkit.Eventually(t, "the operator is ready", func() bool {
		status, _ := fetch(t, k.admin+"/readyz")
		return status == http.StatusOK
	})
	return k
}

// stop ends the operator with SIGTERM.
func (k *keeper) stop(t *testing.T) {
	t.Helper()
	if k.cmd == nil {
		return
	}
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	if err := testkit.Receive(t, "the operator's end", k.ended); err != nil {
		t.Errorf("the operator: %v", err)
	}
	k.cmd = nil
}

var reconciles = regexp.MustCompile(`(?m)^controller_runtime_reconcile_total\{controller="sallyport",result="(?:success|requeue_after|requeue)"\} (\d+)`)

// looks is how often the operator has looked at resources.
func (k *keeper) looks(t *testing.T) (n int) {
	t.Helper()
	_, text := fetch(t, k.admin+"/metrics")
	for _, m := range reconciles.FindAllStringSubmatch(text, -1) {
		one, _ := strconv.Atoi(m[1])
		n += one
	}
	return n
}

// looked waits until the operator has looked at resources so many more times.
func (k *keeper) looked(t *testing.T, times int) {
	t.Helper()
	until := k.looks(t) + times
	testkit.Eventually(t, "further looks", func() bool { return k.looks(t) >= until })
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// resource is one of ours.
func resource(kind, namespace, name string) kube.Ref {
	return kube.Ref{APIVersion: "sallyport.dev/v1alpha1", Kind: kind, Namespace: namespace, Name: name}
}

// condition is a condition of an object as STATUS REASON, and its message.
func condition(o *kube.Object, kind string) (short, message string) {
	if o == nil {
		return "", ""
	}
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		c := c.(map[string]any)
		if c["type"] == kind {
			return fmt.Sprint(c["status"], " ", c["reason"]), fmt.Sprint(c["message"])
		}
	}
	return "", ""
}

// await waits until a condition of a resource is as wanted.
func await(t *testing.T, r kube.Ref, kind, want string) (o *kube.Object, message string) {
	t.Helper()
	var short string
	defer func() {
		if t.Failed() {
			t.Logf("%s %s: %s is %s: %s", r.Kind, r.Name, kind, short, message)
		}
	}()
	o = plane.Eventually(t, fmt.Sprintf("%s of %s %s is %s", kind, r.Kind, r.Name, want), r, func(o *kube.Object) bool {
		short, message = condition(o, kind)
		return short == want
	})
	return o, message
}

// owned is the one object of a kind that a resource owns.
func owned(t *testing.T, apiVersion, kind, namespace string, by *kube.Object) *kube.Object {
	t.Helper()
	var found []kube.Object
	for _, o := range plane.List(t, kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace}) {
		for _, ref := range o.GetOwnerReferences() {
			if ref.UID == by.GetUID() && ref.Controller != nil && *ref.Controller && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion {
				found = append(found, o)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s %s owns %d objects of kind %s", by.GetKind(), by.GetName(), len(found), kind)
	}
	return &found[0]
}

// writes are the requests of the operator that ask for a change in a namespace, its lease and events apart.
func writes(t *testing.T, namespace string, since kube.Mark) (all []string) {
	t.Helper()
	for _, r := range plane.Since(t, since) {
		if r.Writes() && r.ObjectRef.Namespace == namespace && strings.HasPrefix(r.UserAgent, "sallyport-operator") && r.ObjectRef.Resource != "events" && r.ObjectRef.Resource != "leases" {
			all = append(all, r.String())
		}
	}
	return all
}

const docs = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: REMOTE
  allowPrivateEndpoint: true
  externalAuthConfigRef: {name: key}
  resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: "0.1"}}
  networkPolicy: {enabled: true}
  podTemplateSpec: {spec: {containers: [{name: sallyport, env: [{name: GOGC, value: "50"}]}]}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: key}
spec: {type: headerInjection, headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}}
`

// A proxy's whole life: its Secret comes late, it is served by a pod, follows a rotated Secret and a changed manifest
// without other pods, tells of a backend that is away, is mended by the operator and not touched by it, and goes.
//
// REQ B-6, B-10, B-11, B-13, B-14, B-29
func TestOperator(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	plane.Apply(t, namespace, strings.ReplaceAll(docs, "REMOTE", backend.url))
	proxy, config := resource("MCPRemoteProxy", namespace, "docs"), resource("MCPExternalAuthConfig", namespace, "key")

	_, message := await(t, proxy, "AuthConfigured", "False SecretNotFound")
	if !strings.Contains(message, `Secret "api"`) || !strings.Contains(message, `"token"`) {
		t.Errorf("the message names no Secret or key: %s", message)
	}
	await(t, config, "Valid", "False SecretNotFound")
	if n := len(plane.List(t, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace})); n != 0 {
		t.Errorf("%d Deployments before the references are whole", n)
	}
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: CANARY-1}}`)
	await(t, proxy, "AuthConfigured", "True Configured")
	o, _ := await(t, proxy, "Ready", "True PodsReady")
	await(t, config, "Valid", "True Valid")
	await(t, proxy, "RemoteAvailable", "True Reachable")
	url, _, _ := unstructured.NestedString(o.Object, "status", "url")
	service := owned(t, "v1", "Service", namespace, o)
	if want := fmt.Sprintf("http://%s.%s.svc:8080/servers/docs/mcp", service.GetName(), namespace); url != want {
		t.Errorf("status.url is %s, want %s", url, want)
	}
	deployment := owned(t, "apps/v1", "Deployment", namespace, o)
	for _, kind := range []string{"v1 ServiceAccount", "v1 ConfigMap", "policy/v1 PodDisruptionBudget", "networking.k8s.io/v1 NetworkPolicy", "v1 Secret"} {
		version, kind, _ := strings.Cut(kind, " ")
		owned(t, version, kind, namespace, o)
	}
	key := func() string {
		addresses := node.Addresses("app.kubernetes.io/instance", deployment.GetName(), "mcp")
		if len(addresses) == 0 {
			return ""
		}
		list(t, "http://"+addresses[0]+"/servers/docs/mcp")
		return backend.lastKey()
	}
	if got := key(); got != "CANARY-1" {
		t.Errorf("the backend is shown %q", got)
	}
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: CANARY-2}}`)
	testkit.Eventually(t, "the pods have the new secret", func() bool { return key() == "CANARY-2" })

	quiet := func(what string, do func()) {
		t.Helper()
		mark := plane.Mark(t)
		do()
		if all := writes(t, namespace, mark); len(all) > 0 {
			t.Errorf("%s: written:\n%s", what, strings.Join(all, "\n"))
		}
	}
	quiet("resync", func() { operator.looked(t, 8) })
	operator.stop(t)
	quiet("a new operator", func() {
		operator = keep(t, namespace)
		operator.looked(t, 8)
	})

	change := func(spec map[string]any) {
		t.Helper()
		if _, err := plane.Patch(t, proxy, map[string]any{"spec": spec}); err != nil {
			t.Fatal(err)
		}
	}
	change(map[string]any{"headerForward": map[string]any{"addPlaintextHeaders": map[string]any{"X-Team": "a"}}})
	testkit.Eventually(t, "the pods serve the new manifest", func() bool { key(); return backend.lastTeam() == "a" })
	plane.Eventually(t, "Ready speaks of the new manifest", proxy, func(o *kube.Object) bool {
		short, _ := condition(o, "Ready")
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		return short == "True PodsReady" && n == o.GetGeneration()
	})
	if now, err := plane.Get(t, kube.RefOf(deployment)); err != nil || now.GetGeneration() != deployment.GetGeneration() {
		t.Errorf("the Deployment has changed: generation %d, then %d (%v)", deployment.GetGeneration(), now.GetGeneration(), err)
	}

	backend.close()
	o, _ = await(t, proxy, "RemoteAvailable", "False Unreachable")
	if reachable, found, _ := unstructured.NestedBool(o.Object, "status", "remoteReachable"); !found || reachable {
		t.Errorf("remoteReachable %t, %t", reachable, found)
	}
	if short, _ := condition(o, "Ready"); short != "True PodsReady" {
		t.Errorf("a backend that is away makes Ready %s", short)
	}

	mended(t, namespace, o)
	blocked(t, namespace, proxy, config)
	for _, o := range plane.List(t, kube.Ref{APIVersion: "events.k8s.io/v1", Kind: "Event", Namespace: namespace}) {
		if note, _, _ := unstructured.NestedString(o.Object, "note"); strings.Contains(note, "CANARY") {
			t.Errorf("an event has a secret: %s", note)
		}
	}
	if strings.Contains(operator.log.String(), "CANARY") {
		t.Error("the operator's log has a secret")
	}
}

// mended changes and deletes what a resource owns, and waits until it is as it was. What is others' stays.
func mended(t *testing.T, namespace string, by *kube.Object) {
	t.Helper()
	deployment, service := owned(t, "apps/v1", "Deployment", namespace, by), owned(t, "v1", "Service", namespace, by)
	policy := owned(t, "networking.k8s.io/v1", "NetworkPolicy", namespace, by)
	files := owned(t, "v1", "ConfigMap", namespace, by)
	patch := func(o *kube.Object, value string) {
		t.Helper()
		if _, err := plane.Patch(t, kube.RefOf(o), kube.Documents(t, value)[0].Object); err != nil {
			t.Fatal(err)
		}
	}
	patch(deployment, `{spec: {replicas: 2, template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}}, strategy: {rollingUpdate: {maxSurge: 3}}}, metadata: {labels: {theirs: stays}}}`)
	patch(service, `{spec: {selector: {more: x}}}`)
	patch(policy, `{spec: {podSelector: {matchLabels: {more: x}}, egress: [{}]}}`)
	patch(files, `{data: {stranger.yaml: "a: b"}}`)
	for _, kind := range []string{"v1 ServiceAccount", "policy/v1 PodDisruptionBudget"} {
		version, kind, _ := strings.Cut(kind, " ")
		if err := plane.Delete(t, kube.RefOf(owned(t, version, kind, namespace, by))); err != nil {
			t.Fatal(err)
		}
	}
	has := func(o *kube.Object, path ...string) bool {
		_, found, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
		return found
	}
	plane.Eventually(t, "the Service is mended", kube.RefOf(service), func(o *kube.Object) bool { return !has(o, "spec", "selector", "more") })
	plane.Eventually(t, "the NetworkPolicy is mended", kube.RefOf(policy), func(o *kube.Object) bool {
		rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "egress")
		return !has(o, "spec", "podSelector", "matchLabels", "more") && len(rules) > 1
	})
	plane.Eventually(t, "the stranger's manifest is gone", kube.RefOf(files), func(o *kube.Object) bool { return !has(o, "data", "stranger.yaml") })
	plane.Eventually(t, "the Deployment is mended, and what is others' stays", kube.RefOf(deployment), func(o *kube.Object) bool {
		surge, _, _ := unstructured.NestedInt64(o.Object, "spec", "strategy", "rollingUpdate", "maxSurge")
		replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		return surge == 1 && replicas == 2 && o.GetLabels()["theirs"] == "stays" &&
			has(o, "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
	})
	for _, kind := range []string{"v1 ServiceAccount", "policy/v1 PodDisruptionBudget"} {
		version, kind, _ := strings.Cut(kind, " ")
		r := kube.RefOf(deployment)
		r.APIVersion, r.Kind = version, kind
		plane.Eventually(t, kind+" is back", r, func(o *kube.Object) bool { return o != nil && o.GetDeletionTimestamp() == nil })
	}
}

// blocked deletes a configuration that is in use, and then its user.
func blocked(t *testing.T, namespace string, user, config kube.Ref) {
	t.Helper()
	before, err := plane.Get(t, user)
	if err != nil {
		t.Fatal(err)
	}
	files := owned(t, "v1", "ConfigMap", namespace, before)
	if err := plane.Delete(t, config); err != nil {
		t.Fatal(err)
	}
	_, message := await(t, config, "DeletionBlocked", "True InUse")
	if !strings.Contains(message, "MCPRemoteProxy docs") {
		t.Errorf("the message names no user: %s", message)
	}
	if now, err := plane.Get(t, kube.RefOf(files)); err != nil || now.GetResourceVersion() != files.GetResourceVersion() {
		t.Errorf("what is served has changed (%v)", err)
	}
	if err := plane.Delete(t, user); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the configuration is gone", config, func(o *kube.Object) bool { return o == nil })
	for _, kind := range []string{"apps/v1 Deployment", "v1 Service", "v1 ConfigMap", "v1 Secret"} {
		version, kind, _ := strings.Cut(kind, " ")
		r := kube.Ref{APIVersion: version, Kind: kind, Namespace: namespace, Name: files.GetName()}
		plane.Eventually(t, "the "+kind+" is gone", r, func(o *kube.Object) bool { return o == nil })
	}
}

// keyed is a backend that knows what it was shown last by a call.
type keyed struct {
	url      string
	recorder *testkit.Recorder
}

func newBackend(t *testing.T) *keyed {
	t.Helper()
	r := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[]}}`)
	})
	return &keyed{r.URL, r}
}

func (b *keyed) last(header string) string {
	all := b.recorder.Requests()
	slices.Reverse(all)
	for _, r := range all {
		if r.Header.Get("Mcp-Method") == "tools/list" {
			return r.Header.Get(header)
		}
	}
	return ""
}

func (b *keyed) lastKey() string  { return b.last("X-Api-Key") }
func (b *keyed) lastTeam() string { return b.last("X-Team") }

func (b *keyed) close() {
	b.recorder.Server.CloseClientConnections()
	b.recorder.Server.Close()
}

// freePort is a port of loopback that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := strings.Cut(ln.Addr().String(), ":")
	return port
}
