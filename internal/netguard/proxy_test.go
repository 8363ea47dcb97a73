package netguard_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// proxy is an HTTP proxy that connects every name to one place.
type proxy struct {
	net.Listener
	to     string
	status int // in place of 200

	mu    sync.Mutex
	asked []string // address, and credentials
}

func newProxy(t *testing.T, to string, status int) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: ln, to: to, status: status}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return p
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if p.status != 0 {
		_ = (&http.Response{StatusCode: p.status, ProtoMajor: 1, ProtoMinor: 1}).Write(c)
		return
	}
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer far.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(far, c)
		_ = far.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, far)
}

func (p *proxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// FINDING F19
// A request leaves by the proxy, TLS goes to the other end, and the proxy alone is shown
// the password.
func TestProxy(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(s.Close)
	p := newProxy(t, s.Listener.Addr().String(), 0)
	proxies, err := netguard.ReadProxies(environment("https_proxy", "http://me:hush@"+p.Addr().String(), "NO_PROXY", "direct.invalid"))
	if err != nil {
		t.Fatal(err)
	}
	client := netguard.NewClient(netguard.Policy{Proxies: proxies}, netguard.Options{Roots: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://example.com/x") // the name in httptest's certificate
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "example.com" || len(p.requests()) != 1 || p.requests()[0] != "CONNECT example.com:443 Basic bWU6aHVzaA==" {
		t.Errorf("%q by %q", body, p.requests())
	}
	if resp, err := client.Get("https://direct.invalid/"); err == nil || len(p.requests()) != 1 {
		t.Errorf("NO_PROXY: %v by %q", resp, p.requests())
	}
}

// What a name tells is judged before the proxy hears of it, and a proxy that refuses is
// told of without its password.
func TestProxyRefusals(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "", http.StatusForbidden)
	at, err := netguard.ProxyAt("http://me:hush@" + p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for host, private := range map[string]bool{
		"10.0.0.1": true, "127.0.0.1": true, "[fd00::1]": true, "localhost": true, "x.localhost.": true,
		"169.254.169.254": false, "127.1": false, "2130706433": false, "a.0x7f": false, "metadata.google.internal": false,
		"[fd00:ec2::254]": false, "[::ffff:169.254.169.254]": false,
	} {
		for _, allow := range []bool{false, true} {
			before := len(p.requests())
			_, err := netguard.Policy{AllowPrivate: allow, Proxies: at}.Dialer(testkit.Patience).DialContext(t.Context(), "tcp", host+":443")
			_, refused := errors.AsType[*netguard.RefusedError](err)
			if refused != !(allow && private) || (len(p.requests()) > before) == refused {
				t.Errorf("%s, private %v: %v", host, allow, err)
			}
		}
	}
	_, err = netguard.Policy{Proxies: at, PlainOnlyPrivate: true}.PlainDialer(testkit.Patience).DialContext(t.Context(), "tcp", "example.com:80")
	if _, refused := errors.AsType[*netguard.RefusedError](err); !refused {
		t.Errorf("plain http by a name: %v", err)
	}
	_, err = netguard.Policy{Proxies: at}.Dialer(testkit.Patience).DialContext(t.Context(), "tcp", "example.com:443")
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), p.Addr().String()) {
		t.Errorf("%v", err)
	}
}

// A proxy that does not answer holds nobody for longer than a dial may take, or than
// the caller waits.
func TestProxyHangs(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at, err := netguard.ProxyAt("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	for _, wait := range []struct {
		ctx  context.Context
		dial time.Duration
	}{{t.Context(), 50 * time.Millisecond}, {ctx, time.Hour}} {
		if c, err := (netguard.Policy{Proxies: at}).Dialer(wait.dial).DialContext(wait.ctx, "tcp", "example.com:443"); err == nil {
			t.Errorf("connected to %v", c)
		}
	}
}

func TestReadProxies(t *testing.T) {
	t.Parallel()
	if p, err := netguard.ReadProxies(environment("NO_PROXY", "*")); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	for name, value := range map[string]string{
		"HTTPS_PROXY": "socks5://me:hush@proxy:1080", "HTTP_PROXY": "ftp://me:hush@proxy",
	} {
		_, err := netguard.ReadProxies(environment(name, value))
		if err == nil || !strings.Contains(err.Error(), strings.ToUpper(name)) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := netguard.ProxyAt("direct"); p != nil || err != nil {
		t.Errorf("direct: %v, %v", p, err)
	}
}
