//go:build cluster && load && node

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// onMachine are the resources of TestNode: a remote server by a gateway of two pods, servers in containers that are spoken to by
// HTTP and over stdio, both in a group that one more gateway serves, and one of a gateway that resources share.
const onMachine = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: REMOTE
  allowPrivateEndpoint: true
  replicas: 2
  headerForward: {addHeadersFromSecret: [{headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: first}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: tools}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: web}
spec: {image: "localhost/server:test", transport: streamable-http, mcpPort: 3000, args: ["-listen=:3000"], groupRef: {name: tools}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: local}
spec: {image: "localhost/server:test", transport: stdio, command: [/server, -stdio], groupRef: {name: tools}}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: all}
spec: {groupRef: {name: tools}, incomingAuth: {type: anonymous}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPGateway
metadata: {name: many}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: guest}
spec: {remoteUrl: REMOTE, allowPrivateEndpoint: true, gatewayRef: {name: many}}
`

// On a real node the operator, as the chart installs it, runs what the resources say, in containers without any right; clients
// reach it by Services, and it the servers by theirs. A secret that changes reaches the pods; a roll-out loses no call.
//
// REQ B-1, REQ B-10, REQ B-18, REQ G-11, REQ G-14
func TestNode(t *testing.T) {
	images := os.Getenv("SALLYPORT_TEST_IMAGES")
	program := func(name string) string { return filepath.Join(images, name) }
	plane.StartMachine(t,
		kube.WriteImage(t, "localhost/pause:test", program("pause")),
		kube.WriteImage(t, "localhost/server:test", program("server")),
		kube.WriteImage(t, "localhost/sallyport:test", program("sallyportd"), program("sallyport")))
	if out, err := kube.Helm(t, "install", "sallyport", chart, "--kubeconfig", plane.Kubeconfig, "--namespace", "sallyport", "--create-namespace",
		"--set", "image.registry=localhost,image.tag=test,image.pullPolicy=Never,statusInterval=5s,crds.install=false"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer tellPods(t)
	namespace := plane.Namespace(t)
	remote, key := reachable(t, slowBackend(t).URL)
	plane.Apply(t, namespace, strings.ReplaceAll(onMachine, "REMOTE", remote))

	for _, of := range [][2]string{{"MCPRemoteProxy", "docs"}, {"MCPServer", "web"}, {"MCPServer", "local"}, {"VirtualMCPServer", "all"}, {"MCPRemoteProxy", "guest"}} {
		o, _ := await(t, resource(of[0], namespace, of[1]), "Ready", "True PodsReady")
		address, _, _ := unstructured.NestedString(o.Object, "status", "url")
		var want []string
		switch of[1] {
		case "docs", "guest":
			want = []string{"echo", "session"}
		case "all":
			want = []string{"local_search", "web_search"}
		default:
			want = []string{"search", "headers"}
		}
		finds(t, atService(t, address), want)
	}
	hardened(t, namespace)

	docs, _ := await(t, resource("MCPRemoteProxy", namespace, "docs"), "RemoteAvailable", "True Reachable")
	address, _, _ := unstructured.NestedString(docs.Object, "status", "url")
	deployment := kube.RefOf(owned(t, "apps/v1", "Deployment", namespace, docs))
	awaitRollOut(t, deployment)
	if _, err := plane.Patch(t, kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "api"}, map[string]any{"stringData": map[string]any{"token": "second"}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the pods show the new secret", func() bool {
		_, err := toolsAt(t.Context(), atService(t, address))
		return err == nil && key() == "second"
	})

	var again atomic.Int64
	rollOutUnderLoad(t, atService(t, address), deployment, func(ctx context.Context, network, address string) (net.Conn, error) {
		for range 3 { // the rules of a Service follow its pods by and by, and those of connections stay a while
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil || !errors.Is(err, syscall.EHOSTUNREACH) {
				return conn, err
			}
			again.Add(1)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	t.Logf("%d connections were made only when they were tried again: the Service led to a pod that was gone", again.Load())
}

// reachable leads pods to a server that listens on loopback, and answers to no other name. It returns the address for them,
// and which key was shown there last.
func reachable(t *testing.T, address string) (url string, key func() string) {
	t.Helper()
	to, err := neturl.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", plane.Address()+":0")
	if err != nil {
		t.Fatal(err)
	}
	var last atomic.Value
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		if key := r.In.Header.Get("X-Api-Key"); key != "" { // guest shows none
			last.Store(key)
		}
		r.SetURL(&neturl.URL{Scheme: to.Scheme, Host: to.Host})
	}})
	_ = server.Listener.Close()
	server.Listener = ln
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL + to.Path, func() string { key, _ := last.Load().(string); return key }
}

// atService is an address with that of the Service in place of its name, which this machine does not know.
func atService(t *testing.T, address string) string {
	t.Helper()
	u, err := neturl.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(u.Hostname(), ".")
	service, err := plane.Get(t, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: parts[1], Name: parts[0]})
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP")
	u.Host = ip + ":" + u.Port()
	return u.String()
}

// finds waits until a real client finds tools at an address: the node learns of a ready pod a moment after the operator.
func finds(t *testing.T, url string, want []string) {
	t.Helper()
	var tools []string
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("%s has the tools %v: %v", url, tools, err)
		}
	}()
	testkit.Eventually(t, fmt.Sprintf("%s has the tools %v", url, want), func() bool {
		tools, err = toolsAt(t.Context(), url)
		return !slices.ContainsFunc(want, func(name string) bool { return !slices.Contains(tools, name) })
	})
}

func toolsAt(ctx context.Context, url string) (names []string, err error) {
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url}, nil)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

// hardened looks at the processes of all containers in a namespace as the kernel knows them.
func hardened(t *testing.T, namespace string) {
	t.Helper()
	looked := 0
	status, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range status {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		field := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			field[name] = strings.Join(strings.Fields(value), " ")
		}
		if field["Name"] != "sallyportd" {
			continue
		}
		looked++
		want := map[string]string{"Uid": "65532 65532 65532 65532", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}
		got := map[string]string{}
		for name := range want {
			got[name] = field[name]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a process of the gateway (-want +got):\n%s", diff)
		}
		resident, _ := strconv.Atoi(strings.TrimSuffix(field["VmRSS"], " kB"))
		t.Logf("a gateway's process has %d MB resident", resident>>10)
	}
	if looked < 6 { // two of docs, one before each server, one of the virtual server, one that is shared
		t.Errorf("%d processes of gateways run, want at least 6", looked)
	}
}

// tellPods says how the pods are, when the test has failed.
func tellPods(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, o := range plane.List(t, kube.Ref{APIVersion: "v1", Kind: "Pod"}) {
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		containers, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
		t.Logf("pod %s/%s: %v\n%v", o.GetNamespace(), o.GetName(), conditions, containers)
	}
	logs, _ := filepath.Glob(filepath.Join(os.TempDir(), "sallyport-kube-*/machine/logs/*/*/*.log"))
	for _, file := range logs {
		text, _ := os.ReadFile(file)
		t.Logf("%s:\n%s", file, text[max(0, len(text)-2000):])
	}
}
