//go:build cluster && load

package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

const twoReplicas = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec: {remoteUrl: REMOTE, allowPrivateEndpoint: true, replicas: 2}
`

// Two replicas are replaced, one after the other and again, while sessions of 2025-11-25 call and listen: 10000 calls, or
// as many as SALLYPORT_TEST_ROLLOUT says (100000 once a night). No call is lost, whether its connection is kept or new,
// and whether it takes no time or longer than a pod is told to leave; each session goes on and hears what it is told.
// Those that take long have connections of their own: the head of such an answer can be with the client before its pod is
// told to end, and so cannot say that the connection closes with it.
//
// REQ G-14, REQ B-13, REQ B-18, FINDING R3
func TestRollOutUnderLoad(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := slowBackend(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	keep(t, namespace)
	plane.Apply(t, namespace, strings.ReplaceAll(twoReplicas, "REMOTE", backend.URL))
	proxy, _ := await(t, resource("MCPRemoteProxy", namespace, "docs"), "Ready", "True PodsReady")
	deployment := kube.RefOf(owned(t, "apps/v1", "Deployment", namespace, proxy))
	awaitRollOut(t, deployment)
	at := balance(t, func() []string { return node.Addresses("app.kubernetes.io/instance", deployment.Name, "mcp") })
	rollOutUnderLoad(t, "http://"+at+"/servers/docs/mcp", deployment, nil)
}

// slowBackend has a tool that takes its time, and one that knows sessions.
func slowBackend(t *testing.T) *testkit.Backend {
	t.Helper()
	backend := testkit.StartBackend(t, testkit.Sessions)
	for name, tool := range map[string]mcp.ToolHandler{"slow": slow, "session": session} {
		backend.Server.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, tool)
	}
	return backend
}

// dialing makes a connection; nil for as everybody does.
type dialing func(ctx context.Context, network, address string) (net.Conn, error)

// rollOutUnderLoad replaces the pods behind an endpoint, whose backend is [slowBackend], while it is called.
func rollOutUnderLoad(t *testing.T, url string, deployment kube.Ref, dial dialing) {
	t.Helper()
	calls := int64(number(t, "SALLYPORT_TEST_ROLLOUT", 10_000))
	var callers []*caller
	ctx, stop := context.WithCancel(t.Context())
	var listening, calling sync.WaitGroup
	done, over := &atomic.Int64{}, make(chan struct{})
	for i := range 16 {
		c := &caller{t: t, name: fmt.Sprintf("s%d", i), url: url, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: i%4 < 2}}}
		t.Cleanup(c.http.CloseIdleConnections)
		c.initialize()
		callers = append(callers, c)
		listening.Go(func() { c.listen(ctx) })
		tool := "echo"
		if i%4 == 1 {
			tool = "slow"
		}
		calling.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				if !c.call(tool, fmt.Sprintf("%s-%d", c.name, n)) {
					return
				}
				done.Add(1)
			}
		})
	}
	start, rollOuts := time.Now(), 0
	for ; !t.Failed() && (rollOuts == 0 || done.Load() < calls); rollOuts++ {
		rollOut(t, deployment, rollOuts)
	}
	close(over)
	calling.Wait()
	t.Logf("%d calls and %d roll-outs in %v", done.Load(), rollOuts, time.Since(start).Round(time.Second))

	streams := 0
	for _, c := range callers {
		if t.Failed() {
			break
		}
		if now := c.atBackend(); now != c.first {
			t.Errorf("the session %s was %s at the backend, and is %s", c.name, c.first, now)
		}
		// The stream may be between two replicas still: it is told again until it hears.
		testkit.Eventually(t, "the session "+c.name+" hears what it is told", func() bool {
			c.post("tools/call", `{"name":"touch"}`)
			return c.heard.Load() > 0 || t.Failed()
		})
		streams += int(c.streams.Load())
	}
	t.Logf("%d sessions have opened %d listening streams", len(callers), streams)
	if want := 2 * len(callers); !t.Failed() && streams < want { // each replica that had one was replaced
		t.Errorf("%d listening streams were opened, want at least %d: was none ended by the roll-out?", streams, want)
	}
	stop()
	listening.Wait()
}

// slow takes longer than a pod that leaves takes new calls, so that it runs into the drain.
func slow(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	select {
	case <-time.After(7 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(req.Params.Arguments)}}}, nil
}

// session tells which session of the backend's a call is in.
func session(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "session " + req.Session.ID()}}}, nil
}

var ofBackend = regexp.MustCompile(`session [\w-]+`)

// atBackend is the caller's session as the backend knows it.
func (c *caller) atBackend() string {
	c.t.Helper()
	_, body := c.post("tools/call", `{"name":"session"}`)
	id := ofBackend.FindString(body)
	if id == "" {
		c.t.Errorf("%s has no session at the backend: %s", c.name, body)
	}
	return id
}

// rollOut replaces all pods, and waits until those that were there are gone.
func rollOut(t *testing.T, deployment kube.Ref, number int) {
	t.Helper()
	before := slices.DeleteFunc(plane.List(t, kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: deployment.Namespace}), func(o kube.Object) bool {
		return o.GetLabels()["app.kubernetes.io/instance"] != deployment.Name
	})
	if _, err := plane.Patch(t, deployment, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"kubectl.kubernetes.io/restartedAt": strconv.Itoa(number)},
	}}}}); err != nil {
		t.Fatal(err)
	}
	awaitRollOut(t, deployment)
	for _, old := range before {
		plane.Eventually(t, "an old pod is gone", kube.RefOf(&old), func(o *kube.Object) bool { return o == nil })
	}
}

// awaitRollOut waits until both pods are of the newest template, and ready.
func awaitRollOut(t *testing.T, deployment kube.Ref) {
	t.Helper()
	plane.Eventually(t, "two pods are ready", deployment, func(o *kube.Object) bool {
		of := func(field string) int64 {
			n, _, _ := unstructured.NestedInt64(o.Object, "status", field)
			return n
		}
		return of("observedGeneration") == o.GetGeneration() && of("updatedReplicas") == 2 && of("availableReplicas") == 2 && of("replicas") == 2
	})
}

// balance is a Service for a test: it leads each connection to a ready pod, by turns, and hears with a delay which there are.
func balance(t *testing.T, ready func() []string) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		ln.Close()
		all.Wait()
	})
	var pods atomic.Pointer[[]string]
	refresh := func() {
		now := ready()
		pods.Store(&now)
	}
	refresh()
	all.Go(func() {
		tick := time.NewTicker(time.Second) // far longer than a cluster takes, and less than preStop
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				refresh()
			case <-ctx.Done():
				return
			}
		}
	})
	all.Go(func() {
		for turn := 0; ; turn++ {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			list := *pods.Load()
			if len(list) == 0 {
				t.Error("no pod is ready")
				from.Close()
				continue
			}
			all.Go(func() { join(ctx, t, from, list[turn%len(list)]) })
		}
	})
	return ln.Addr().String()
}

// join carries bytes both ways until both ends have ended, or ctx has.
func join(ctx context.Context, t *testing.T, from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("a pod that was ready takes no connection: %v", err)
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			_ = way[1].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

// caller is a client with one session.
type caller struct {
	t                  *testing.T
	name, url, session string
	first              string // session at the backend
	http               *http.Client
	heard, streams     atomic.Int64 // events and streams
}

func (c *caller) initialize() {
	c.t.Helper()
	resp, _ := c.post("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`)
	if resp == nil || resp.Header.Get("Mcp-Session-Id") == "" {
		c.t.Fatalf("%s has no session", c.name)
	}
	c.session = resp.Header.Get("Mcp-Session-Id")
	if resp, _ := c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`); resp == nil {
		c.t.FailNow()
	}
	if resp, _ := c.post("resources/subscribe", `{"uri":"`+testkit.WatchedResource+`"}`); resp == nil {
		c.t.FailNow()
	}
	c.first = c.atBackend()
}

// call calls a tool, which must answer with what it is told.
func (c *caller) call(tool, text string) bool {
	_, body := c.post("tools/call", fmt.Sprintf(`{"name":%q,"arguments":{"text":%q}}`, tool, text))
	if !strings.Contains(body, text) {
		c.t.Errorf("the call %s of %s is lost: %s", text, tool, body)
		return false
	}
	return true
}

func (c *caller) post(method, params string) (resp *http.Response, body string) {
	return c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params))
}

// send sends a message, once. The response is nil where there is none, or one that is no success.
func (c *caller) send(message string) (resp *http.Response, body string) {
	resp, err := c.http.Do(c.request(context.Background(), http.MethodPost, message))
	if err != nil {
		c.t.Errorf("%s: %s: %v", c.name, message, err)
		return nil, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		c.t.Errorf("%s: %s: %s, %s, %v", c.name, message, resp.Status, text, err)
		return nil, string(text)
	}
	return resp, string(text)
}

func (c *caller) request(ctx context.Context, method, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		panic(err) // the test's own mistake
	}
	req.GetBody = nil // it is not sent a second time behind the test's back
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	return req
}

// listen listens, and opens another stream when one ends, as clients do. The backend may not have seen the end of the one
// before: then it comes again, as SDKs do, which wait for a second anyhow.
func (c *caller) listen(ctx context.Context) {
	for early := 0; ctx.Err() == nil; {
		resp, err := c.http.Do(c.request(ctx, http.MethodGet, ""))
		if err != nil {
			if ctx.Err() == nil {
				c.t.Errorf("%s cannot listen: %v", c.name, err)
			}
			return
		}
		if resp.StatusCode == http.StatusConflict && early < 20 {
			resp.Body.Close()
			early++
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		early = 0
		if resp.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(resp.Body)
			c.t.Errorf("%s cannot listen: %s %s", c.name, resp.Status, text)
		} else {
			c.streams.Add(1)
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if strings.Contains(lines.Text(), "notifications/resources/updated") {
					c.heard.Add(1)
				}
			}
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return
		}
	}
}
