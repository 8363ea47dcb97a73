package internet

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Net is hosts that answer over https by their names, through a proxy and by no other way.
type Net struct {
	Env []string // of a process that is to reach them

	transport *http.Transport

	mu    sync.Mutex
	hosts map[string]http.Handler
}

// New starts one without hosts. It ends with the test.
func New(t testing.TB) *Net {
	t.Helper()
	i := &Net{hosts: map[string]http.Handler{}}
	ca := testkit.NewAuthority(t, "the internet")
	file := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(file, []byte(ca.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	var certificates sync.Map // by name
	sites := httptest.NewUnstartedServer(http.HandlerFunc(i.answer))
	sites.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Site(t, "sites.example.com")},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if known, ok := certificates.Load(hello.ServerName); ok {
				return known.(*tls.Certificate), nil
			}
			made := ca.Site(t, hello.ServerName)
			known, _ := certificates.LoadOrStore(hello.ServerName, &made)
			return known.(*tls.Certificate), nil
		},
	}
	sites.StartTLS()
	ctx, stop := context.WithCancel(context.Background())
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.tunnel(ctx, &tunnels, w, r, sites.Listener.Addr().String())
	}))
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	i.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "https" {
			return at, nil
		}
		return nil, nil
	}}
	i.Env = []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + file}
	t.Cleanup(func() {
		i.transport.CloseIdleConnections()
		stop()
		proxy.CloseClientConnections()
		proxy.Close()
		tunnels.Wait()
		sites.CloseClientConnections()
		sites.Close()
	})
	return i
}

// Client is one of who is there, too.
func (i *Net) Client() *http.Client { return &http.Client{Transport: i.transport} }

// Browser is a person's.
func (i *Net) Browser(t testing.TB) *testkit.Browser {
	t.Helper()
	return testkit.NewBrowserOver(t, i.transport)
}

// Host has a host answered, from now on.
func (i *Net) Host(name string, h http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hosts[name] = h
}

func (i *Net) host(name string) http.Handler {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hosts[name]
}

func (i *Net) answer(w http.ResponseWriter, r *http.Request) {
	h := i.host(r.Host)
	if h == nil {
		h = http.NotFoundHandler()
	}
	h.ServeHTTP(w, r)
}

// tunnel connects to the sites, for hosts that there are (RFC 9110 §9.3.6).
func (i *Net) tunnel(ctx context.Context, tunnels *sync.WaitGroup, w http.ResponseWriter, r *http.Request, sites string) {
	name, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || port != "443" || i.host(name) == nil {
		http.Error(w, "there is no host "+r.Host, http.StatusBadGateway)
		return
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", sites)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		to.Close()
		return
	}
	tunnels.Go(func() {
		defer to.Close()
		defer from.Close()
		defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
		if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		var both sync.WaitGroup
		for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
			both.Go(func() {
				_, _ = io.Copy(way[1], way[0])
				_ = way[1].SetReadDeadline(time.Now()) // who has been sent all has no more to say, either
			})
		}
		both.Wait()
	})
}
