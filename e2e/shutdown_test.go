package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// After SIGTERM the gateway is not ready, and serves those whom balancers still send: on new connections and on kept
// ones, which close with their answer. Only then it takes nothing new.
//
// FINDING R3, REQ G-14, REQ B-13
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", saying(t, "a").URL), "--shutdown-delay", "3s")
	start := time.Now()
	g.Signal(t, syscall.SIGTERM)
	testkit.Eventually(t, "it is not ready", func() bool {
		return request{method: "GET", url: g.Admin + "/readyz"}.do(t).Status == 503
	})
	got := request{method: "GET", url: g.Admin + "/readyz?verbose"}.do(t)
	if got.Status != 503 || !strings.Contains(got.Body, "[-] shutdown: the gateway is about to end") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for range 3 {
		resp := call(g.MCP(), "tool", "").open(t.Context(), t)
		if resp.StatusCode != 200 || !resp.Close {
			t.Errorf("a call while the gateway leaves: %d, its connection closes: %t", resp.StatusCode, resp.Close)
		}
	}
	receive(t, g.Ended(), "the process ends")
	if took := time.Since(start); g.ExitCode() != 0 || took < 3*time.Second {
		t.Errorf("exit code %d after %v", g.ExitCode(), took)
	}
}

// What is cut off at the end of the drain is told so, with the id of its request.
//
// FINDING R3
func TestCutOffIsSaid(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 2)
	backend := testkit.Record(t, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	g := serve(t, remote("docs", backend.URL), "--drain-timeout", "300ms")
	answers := make(chan reply, 2)
	for _, r := range []request{legacy(g.MCP(), "tools/call", `"name":"tool"`), call(g.MCP(), "tool", "")} {
		go func() { answers <- r.do(t) }()
		receive(t, begun, "the call begins")
	}
	g.Signal(t, syscall.SIGTERM)
	for range 2 {
		got := <-answers
		if got.Status != 503 || !strings.Contains(got.Body, "shutting down") || strings.Contains(got.Body, `"id":null`) {
			t.Errorf("%d %v %s", got.Status, got.Err, got.Body)
		}
	}
	receive(t, g.Ended(), "the process ends")
}

// The gateway is not ready before it can tell who calls; balancers may ask as they do, with any host or none.
//
// FINDING R9, FINDING R10, REQ G-14
func TestReadyWithKeys(t *testing.T) {
	t.Parallel()
	issuer := testkit.NewIssuer(t)
	issuer.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	docs := object("MCPOIDCConfig", "idp", "type: inline", fmt.Sprintf("inline: {issuer: %q, jwksUrl: %q, jwksAllowPrivateIP: true}", issuer.URL, issuer.URL+"/jwks")) +
		remote("docs", saying(t, "a").URL, ofIDP("a"))
	admin := testkit.FreeAddress(t)
	testkit.Binary(t) // before there is a limit
	started := make(chan *testkit.Gateway)
	go func() { started <- serve(t, docs, "--admin-listen", admin) }() // it waits until it is ready
	asks := func(path, host string) (int, string) {
		conn, err := net.Dial("tcp", admin)
		if err != nil {
			return 0, ""
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n%s\r\n", path, host)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(body)
	}
	testkit.Eventually(t, "it lives, and knows why it is not ready", func() bool {
		status, why := asks("/readyz?verbose", "Host: "+admin+"\r\n")
		return status == 503 && strings.Contains(why, "[+] configuration: 1 endpoints\n[-] keys of "+issuer.URL+": not fetched: ")
	})
	for _, host := range []string{"", "Host: balancer.example\r\n"} {
		if status, _ := asks("/healthz", host); status != 200 {
			t.Errorf("/healthz with %q: %d", host, status)
		}
		if status, _ := asks("/readyz", host); status != 503 {
			t.Errorf("/readyz with %q: %d", host, status)
		}
		if status, _ := asks("/readyz?verbose", host); status != 403 {
			t.Errorf("/readyz?verbose with %q: %d", host, status)
		}
	}
	issuer.Answer(nil)
	<-started
	if status, why := asks("/readyz?verbose", "Host: "+admin+"\r\n"); status != 200 || !strings.Contains(why, "[+] keys of "+issuer.URL+": fetched\n[+] audit: there is room for events\n[+] ready: yes\n") {
		t.Errorf("%d %s", status, why)
	}
}

// Without an admin token a web page that has made a name lead to the admin listener is refused, wherever that listens.
//
// FINDING S5
func TestAdminHosts(t *testing.T) {
	t.Parallel()
	docs := manifests(t, remote("docs", saying(t, "a").URL))
	flags := []string{"--public-url", "https://gw.example.com/mcp-gateway", "--allowed-hosts", "prometheus-target"}
	g := testkit.Start(t, append([]string{"serve", "-f", docs}, flags...)...)
	for host, want := range map[string]int{
		"evil.example": 403, "evil.example:9090": 403, "": 400,
		"127.0.0.1": 200, "10.1.2.3:9090": 200, "[::1]:9090": 200, "localhost:9090": 200, "gw.example.com": 200, "prometheus-target:9090": 200,
	} {
		conn := dial(t, g.Admin)
		fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nConnection: close\r\n")
		if host != "" {
			fmt.Fprintf(conn, "Host: %s\r\n", host)
		}
		fmt.Fprint(conn, "\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil || resp.StatusCode != want {
			t.Errorf("Host %q: %v, %v, want %d", host, resp, err, want)
		}
	}
}
