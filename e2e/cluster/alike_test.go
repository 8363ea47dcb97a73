//go:build cluster

package cluster_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/internet"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// form is how a kind says what all can: the DOOR that clients come in by, the credential that the server behind it is
// SHOWN, whether redirects are followed when it has MOVED, and what its PODS are told of where they are.
type form struct {
	documents      string
	kind, instance string // of what has an endpoint, and of its pods
	inside         bool   // the server is the cluster's own, not a remote one
}

var forms = map[string]form{
	"proxy": {kind: "MCPRemoteProxy", instance: "NAME-proxy", documents: `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: NAME}
spec: {remoteUrl: "https://docs.example.com/mcp", DOOR SHOWN MOVED PODS}
`},
	"server": {kind: "MCPServer", instance: "NAME-gateway", inside: true, documents: `
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: NAME}
spec: {image: "example.com/server:1", transport: streamable-http, mcpPort: 3000, DOOR SHOWN PODS}
`},
	"virtual": {kind: "VirtualMCPServer", instance: "NAME-virtual", documents: `
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: NAME}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: NAME-member}
spec: {groupRef: {name: NAME}, transport: streamable-http, remoteUrl: "https://docs.example.com/mcp", SHOWN MOVED}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: NAME}
spec: {groupRef: {name: NAME}, DOOR PODS}
`},
	"shared": {kind: "MCPRemoteProxy", instance: "NAME-shared", documents: `
apiVersion: sallyport.dev/v1alpha1
kind: MCPGateway
metadata: {name: NAME}
spec: {PODS}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: NAME}
spec: {gatewayRef: {name: NAME}, remoteUrl: "https://docs.example.com/mcp", DOOR SHOWN MOVED}
`},
}

// people sign in at two providers, one after the other.
const people = `
---
apiVersion: v1
kind: Secret
metadata: {name: NAME}
stringData: {okta: secret-of-okta, google: secret-of-google}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: NAME}
spec:
  type: embeddedAuthServer
  embeddedAuthServer:
    issuer: https://mcp.example.com
    INJECTION
    upstreamProviders:
    - {name: okta, type: oidc, preset: okta, oidcConfig: {issuerUrl: "https://example.okta.com", clientId: 0oa1example, clientSecretRef: {name: NAME, key: okta}}}
    - {name: google, type: oidc, preset: google, oidcConfig: {clientId: example.apps.googleusercontent.com, clientSecretRef: {name: NAME, key: google}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: NAME-of-google}
spec: {type: upstreamInject, upstreamInject: {providerName: google}}
`

// ability is what every kind can.
type ability struct {
	documents, door, shown string
	signIn                 bool
	want                   string // the provider whose token the server is shown; "" for no credential
	moved                  bool   // a remote server redirects to another host
}

var abilities = map[string]ability{
	"anonymous": {moved: true},
	"two providers": {
		documents: strings.ReplaceAll(people, "INJECTION", "disableUpstreamTokenInjection: false"), signIn: true, want: "google",
		door: "authServerRef: {name: NAME},", shown: "externalAuthConfigRef: {name: NAME-of-google},",
	},
	"no token": {documents: strings.ReplaceAll(people, "INJECTION", "disableUpstreamTokenInjection: true"), signIn: true, door: "authServerRef: {name: NAME},"},
}

// What a gateway on a machine can it can in a cluster, for every kind: a client of the SDK comes in through pods that the
// operator has made, with the manifests, files and variables that it gave them. A person signs in at two providers, and
// the server is shown the token of the one that is named, or none; an endpoint is open that names no door; a redirect of a
// remote server is followed to where the manifest says. Providers in another order are no reason for other pods.
//
// REQ, D-3, D-4, D-5, D-7
func TestKindsAlike(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	keep(t, namespace)
	t.Run("kinds", func(t *testing.T) { // which all end before the operator
		for kind, f := range forms {
			for name, a := range abilities {
				t.Run(kind+", "+name, func(t *testing.T) {
					t.Parallel()
					f.serves(t, node, namespace, kind+"-"+strings.ReplaceAll(name, " ", "-"), a)
				})
			}
		}
	})
}

func (f form) serves(t *testing.T, node *kube.Node, namespace, name string, a ability) {
	i, backend := internet.New(t), recorded(t)
	if f.inside {
		node.Reach("http://"+name+"-mcp."+namespace+".svc:3000", backend.URL)
	}
	site := passingOn(t, backend.Server.Listener.Addr().String, false)
	i.Host("docs.example.com", site)
	if a.moved && !f.inside {
		i.Host("docs.example.com", http.RedirectHandler("https://moved.example.com/mcp", http.StatusTemporaryRedirect))
		i.Host("moved.example.com", site)
	}
	providers := map[string]*internet.Provider{}
	for p, id := range map[string]string{"okta": "0oa1example", "google": "example.apps.googleusercontent.com"} {
		providers[p] = internet.Play(t, i, p, internet.Client{ID: id, Secret: "secret-of-" + p, Redirect: "https://mcp.example.com/oauth/callback"})
	}
	f.apply(t, namespace, name, a, i)
	instance := strings.ReplaceAll(f.instance, "NAME", name)
	pods := func() []string { return node.Addresses("app.kubernetes.io/instance", instance, "mcp") }
	testkit.Eventually(t, "a pod is ready", func() bool { return len(pods()) > 0 })
	if !f.inside { // whose pods serve another address than the operator has written
		await(t, resource(f.kind, namespace, name), "Ready", "True PodsReady")
	}
	i.Host("mcp.example.com", passingOn(t, func() string { return append(pods(), "127.0.0.1:1")[0] }, true))

	session, err := connect(t, "https://mcp.example.com/servers/"+name+"/mcp", i)
	if err != nil {
		t.Fatalf("%v; okta says %q, google %q", err, providers["okta"].Complaints(), providers["google"].Complaints())
	}
	defer session.Close()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(tools.Tools, func(tool *mcp.Tool) bool { return strings.HasSuffix(tool.Name, "echo") }) // a member's name may stand before it
	if at < 0 {
		t.Fatalf("there is no echo among %d tools", len(tools.Tools))
	}
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tools.Tools[at].Name, Arguments: map[string]any{"text": name}})
	if err != nil || got.Content[0].(*mcp.TextContent).Text != name {
		t.Errorf("a call: %v, %v", got, err)
	}
	for _, credential := range shownByCalls(t, backend) {
		token, _ := strings.CutPrefix(credential, "Bearer ")
		if a.want == "" && credential != "" || a.want != "" && !providers[a.want].Gave(token) {
			t.Errorf("the server is shown %q, want the token of %q", credential, a.want)
		}
	}
	for name, p := range providers {
		if gave := p.GaveAny(); gave != a.signIn || len(p.Complaints()) > 0 {
			t.Errorf("a person has signed in at %s: %t; it complains: %q", name, gave, p.Complaints())
		}
	}
	if a.signIn {
		reordered(t, namespace, name, instance)
	}
}

// apply applies a kind's documents for an ability.
func (f form) apply(t *testing.T, namespace, name string, a ability, i *internet.Net) {
	t.Helper()
	env := "{name: SALLYPORT_ALLOWED_HOSTS, value: mcp.example.com}" // a pod's address is one of loopback here
	for _, v := range i.Env {
		name, value, _ := strings.Cut(v, "=")
		env += `, {name: ` + name + `, value: "` + value + `"}`
	}
	plane.Apply(t, namespace, strings.NewReplacer("NAME", name).Replace(strings.NewReplacer(
		"DOOR", a.door, "SHOWN", a.shown, "MOVED", map[bool]string{true: "redirects: {allowedHosts: [moved.example.com]},"}[a.moved],
		"PODS", "resourceOverrides: {proxyDeployment: {env: ["+env+"]}}",
	).Replace(f.documents+a.documents)))
}

// reordered names the providers in another order, and waits until the pods' manifests have it.
func reordered(t *testing.T, namespace, name, instance string) {
	t.Helper()
	deployment, config := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: instance}, resource("MCPExternalAuthConfig", namespace, name)
	before, err := plane.Get(t, deployment)
	if err != nil {
		t.Fatal(err)
	}
	o, err := plane.Get(t, config)
	if err != nil {
		t.Fatal(err)
	}
	list, _, _ := unstructured.NestedSlice(o.Object, "spec", "embeddedAuthServer", "upstreamProviders")
	slices.Reverse(list)
	if _, err := plane.Patch(t, config, map[string]any{"spec": map[string]any{"embeddedAuthServer": map[string]any{"upstreamProviders": list}}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the pods' manifests have the other order", func() bool {
		for _, o := range plane.List(t, kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace}) {
			text, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			google, okta := strings.Index(string(text), "name: google"), strings.Index(string(text), "name: okta")
			if strings.HasPrefix(o.GetName(), instance) && google > 0 && google < okta {
				return true
			}
		}
		return false
	})
	if now, err := plane.Get(t, deployment); err != nil || now.GetGeneration() != before.GetGeneration() {
		t.Errorf("the Deployment has changed: generation %d, then %d (%v)", before.GetGeneration(), now.GetGeneration(), err)
	}
}

// recorded is an MCP server of the SDK that keeps what reached it.
func recorded(t *testing.T) *testkit.Recorder {
	t.Helper()
	server := testkit.StartBackend(t, testkit.Dual)
	site := passingOn(t, func() string { return strings.TrimSuffix(strings.TrimPrefix(server.URL, "http://"), "/mcp") }, false)
	return testkit.Record(t, site.ServeHTTP)
}

// shownByCalls are the credentials that calls came with: the gateway asks by itself, too, how a server is, with none.
func shownByCalls(t *testing.T, backend *testkit.Recorder) (credentials []string) {
	t.Helper()
	for _, r := range backend.Requests() {
		if strings.Contains(string(r.Body), `"tools/call"`) {
			credentials = append(credentials, r.Header.Get("Authorization"))
		}
	}
	if len(credentials) == 0 {
		t.Error("no call reached the server")
	}
	return credentials
}
