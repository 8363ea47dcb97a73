package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// FINDING S2; REQ G-2, REQ B-24: of who may not in nothing is read but the head.
func TestNoBodyOfStrangers(t *testing.T) {
	t.Parallel()
	i, b := testkit.NewIssuer(t), newBackend(t, "b")
	oidc := fmt.Sprintf("oidcConfig: {type: inline, inline: {issuer: %q, audience: a, jwksAllowPrivateIP: true}}", i.URL)
	g := newRig(t, proxy("docs", b.URL, oidc), nil)
	for _, path := range []string{"/mcp", "/servers/docs/messages?session=x"} {
		conn := dialPipe(t, g)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Www-Authenticate") == "" {
			t.Errorf("%s: %s %v", path, resp.Status, resp.Header)
		}
	}
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
}

// drip sends all but the last byte of a message, and that when it is told to.
type drip struct {
	rest io.Reader
	end  <-chan struct{}
}

func (d *drip) Read(p []byte) (int, error) {
	n, err := d.rest.Read(p)
	if err == io.EOF {
		<-d.end
		return copy(p, " "), io.EOF
	}
	return n, err
}

// FINDING S2, FINDING R2; REQ G-2: messages that do not come to their end take no more
// than a share of what there is for everybody, and are nobody else's problem.
func TestMessagesThatDoNotEnd(t *testing.T) {
	b := newBackend(t, "b") // outside the bubble: its clock is the world's
	const size = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, proxy("docs", b.URL), nil)
		end, ended := make(chan struct{}), make(chan int)
		from := func(addr string, r *http.Request) *http.Request {
			r.RemoteAddr = addr
			return r
		}
		for range 2 {
			r := from("192.0.2.1:1", post("/mcp", ""))
			r.Body, r.ContentLength = io.NopCloser(&drip{strings.NewReader(toolCall + strings.Repeat(" ", size-len(toolCall)-1)), end}), size
			go func() { ended <- g.send(r).Code }()
		}
		synctest.Wait()
		large := toolCall + strings.Repeat(" ", 100_000)
		begun := time.Now()
		if w := g.send(from("192.0.2.1:2", post("/mcp", large))); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || time.Since(begun) > 10*time.Second {
			t.Errorf("one more from there: %d after %v: %s", w.Code, time.Since(begun), w.Body)
		}
		if got := reasons(g.events.take()); len(got) != 1 || got[0] != "receive" {
			t.Errorf("audited as %v", got)
		}
		for addr, message := range map[string]string{"192.0.2.1:3": toolCall, "192.0.2.2:1": large} {
			if w := g.send(from(addr, post("/mcp", message))); w.Code != http.StatusOK {
				t.Errorf("%d bytes from %s: %d %s", len(message), addr, w.Code, w.Body)
			}
		}
		close(end)
		for range 2 {
			if code := <-ended; code != http.StatusOK {
				t.Errorf("when it came to its end: %d", code)
			}
		}
		if w := g.send(from("192.0.2.1:2", post("/mcp", large))); w.Code != http.StatusOK {
			t.Errorf("afterwards: %d %s", w.Code, w.Body)
		}
	})
}

// FINDING N28: a message is taken as it is, and what says that it is something else is refused.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), nil)
	for coding, want := range map[string]int{"gzip": 415, "identity, gzip": 415, "": 200, "identity": 200, "Identity": 200} {
		r := post("/mcp", toolCall)
		r.Header["Content-Encoding"] = []string{coding}
		if w := g.send(r); w.Code != want {
			t.Errorf("%q: %d, want %d: %s", coding, w.Code, want, w.Body)
		}
	}
}

// FINDING S5: where nobody is asked for a credential, a page does not get in by a name that
// it has made lead to a private address, such as that of a container with a published port.
func TestReboundNames(t *testing.T) {
	t.Parallel()
	i, b := testkit.NewIssuer(t), newBackend(t, "b")
	const resource = "oidcConfig: {type: inline, inline: {issuer: %q, audience: a, jwksAllowPrivateIP: true}}"
	g := newRig(t, proxy("open", b.URL)+proxy("closed", b.URL, fmt.Sprintf(resource, i.URL))+
		proxy("fronted", b.URL, "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, trustedProxies: [192.0.2.1]}"), func(o *gateway.Options) {
		o.PublicURL, o.AllowedHosts = "https://gw.example.com/mcp", []string{"mcp.corp.example"}
	})
	at := func(local, host, path, page string) int {
		r := post(path, toolCall)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(local), Port: 80}))
		if r.Host = host; page != "" {
			r.Header.Set("Origin", page)
		}
		return g.send(r).Code
	}
	for host, want := range map[string]int{
		"evil.example": 403, "EVIL.example:8080": 403, "10.0.0.5.evil.example": 403, "localhost.evil.example": 403,
		"10.0.0.5:8080": 200, "[fd00::5]:8080": 200, "localhost": 200, "docs.localhost:8080": 200, "gw.example.com": 200, "mcp.corp.example": 200,
		"gateway:8080": 200, "docs.team.svc": 200, "docs.team.svc.cluster.local": 200, "host.docker.internal": 200, "printer.local": 200,
	} {
		for _, local := range []string{"10.0.0.5", "172.17.0.2", "169.254.1.1", "100.64.0.1", "fd00::5", "::ffff:192.168.1.1"} {
			if got := at(local, host, "/servers/open/mcp", "http://"+host); got != want {
				t.Errorf("%s on %s: %d, want %d", host, local, got, want)
			}
		}
	}
	for name, got := range map[string]int{
		"on a public address":       at("203.0.113.9", "evil.example", "/servers/open/mcp", ""),
		"behind its proxy":          at("10.0.0.5", "evil.example", "/servers/fronted/mcp", ""),
		"on loopback, a name of it": at("127.0.0.1", "docs.localhost", "/servers/open/mcp", ""),
	} {
		if got != 200 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := at("10.0.0.5", "any.example", "/servers/closed/mcp", ""); got != 401 {
		t.Errorf("where a token is asked for: %d", got)
	}
}
