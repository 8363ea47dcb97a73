package clients_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// publisher is a host on which clients publish documents.
type publisher struct {
	*httptest.Server
	hits atomic.Int32
	mu   sync.Mutex
	h    http.HandlerFunc
}

func publish(t *testing.T, h http.HandlerFunc) *publisher {
	t.Helper()
	p := &publisher{h: h}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		p.mu.Lock()
		h := p.h
		p.mu.Unlock()
		h(w, r)
	}))
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) serve(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.h = h
}

func (p *publisher) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return pool
}

// registry admits the publisher's documents.
func (p *publisher) registry(change func(*clients.Config)) *clients.Registry {
	return registry(func(c *clients.Config) {
		c.Documents = clients.Documents{Enabled: true, AllowPrivate: true, Roots: p.roots()}
		if change != nil {
			change(c)
		}
	})
}

// describing serves a document, with the publisher's own address where it says ID.
func describing(p **publisher, path string, fields map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		doc := merged(map[string]any{
			"client_id": (*p).URL + path, "client_name": "Published", "redirect_uris": []string{"https://app.example.com/cb", "http://127.0.0.1/cb"},
		}, fields)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	var p *publisher
	p = publish(t, describing(&p, "/client.json", map[string]any{"grant_types": []string{"authorization_code", "refresh_token"}, "scope": "a"}))
	r := p.registry(func(c *clients.Config) { c.Baseline = []string{"offline_access"} })
	c, err := r.Find(t.Context(), p.URL+"/client.json", "")
	if err != nil {
		t.Fatal(err)
	}
	if "https://"+c.Host != p.URL || c.Name != "Published" || !c.Public() || !c.May("refresh_token") || c.ApplicationType != "native" || c.Known {
		t.Errorf("the client is %+v", c)
	}
	if strings.Join(c.Scopes, " ") != "a offline_access" {
		t.Errorf("its scopes are %q", c.Scopes)
	}
	if uri, err := c.Redirect("http://127.0.0.1:54321/cb"); err != nil || uri != "http://127.0.0.1:54321/cb" {
		t.Errorf("a loopback redirect: %q, %v", uri, err)
	}
	if _, err := r.Find(t.Context(), p.URL+"/client.json", ""); err != nil || p.hits.Load() != 1 {
		t.Errorf("asked twice: %v, %d fetches", err, p.hits.Load())
	}
}

func TestDocumentsThatAreWrong(t *testing.T) {
	t.Parallel()
	jwks := json.RawMessage(signer(t).JWKS())
	for name, c := range map[string]struct {
		fields map[string]any
		says   string
	}{
		"another id":           {map[string]any{"client_id": "https://good.example.com/client.json"}, "not the address"},
		"no id":                {map[string]any{"client_id": nil}, "not the address"},
		"id is a list":         {map[string]any{"client_id": []string{"x"}}, "not the address"},
		"no name":              {map[string]any{"client_name": nil}, "client_name is missing"},
		"name of nothing":      {map[string]any{"client_name": "\u200b\u202e"}, "client_name is missing"},
		"no redirects":         {map[string]any{"redirect_uris": nil}, "redirect_uris is missing"},
		"a redirect that runs": {map[string]any{"redirect_uris": []string{"javascript://x/%0aalert(1)"}}, "not for redirects"},
		"a shared secret":      {map[string]any{"token_endpoint_auth_method": "client_secret_post"}, "must be one of none, private_key_jwt"},
		"its secret":           {map[string]any{"client_secret": "x"}, "everybody can read it"},
		"keys without method":  {map[string]any{"token_endpoint_auth_method": "private_key_jwt"}, "needs jwks"},
		"a private key":        {map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "AA"}}}}, "private or symmetric"},
		"two key sets":         {map[string]any{"jwks": jwks, "jwks_uri": "https://a.example/"}, "exclude each other"},
		"a software statement": {map[string]any{"software_statement": "x"}, "software statements"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *publisher
			p = publish(t, describing(&p, "/c", c.fields))
			_, err := p.registry(nil).Find(t.Context(), p.URL+"/c", "")
			refused := refusal(t, err)
			if refused == nil || refused.Code != "invalid_client" || refused.Status != 400 || !strings.Contains(refused.Description, c.says) {
				t.Errorf("%v, want it to say %q", err, c.says)
			}
		})
	}
}

// endless writes spaces until nobody reads them.
func endless(w http.ResponseWriter) {
	for {
		if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
			return
		}
	}
}

// What a host can answer to hurt this server or to be somebody else.
func TestDocumentHosts(t *testing.T) {
	t.Parallel()
	good := `{"client_id":"ID","client_name":"x","redirect_uris":["https://a.example/"]}`
	send := func(media, text string) func(string) http.HandlerFunc {
		return func(id string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", media)
				_, _ = io.WriteString(w, strings.ReplaceAll(text, "ID", id))
			}
		}
	}
	for name, c := range map[string]struct {
		answer func(id string) http.HandlerFunc
		status int
		says   string // "" when it is good
	}{
		"good":              {send("application/json; charset=utf-8", good), 0, ""},
		"another JSON":      {send("application/client+json", good), 0, ""},
		"an uploaded file":  {send("text/plain", good), 400, "not served as application/json"},
		"a page":            {send("text/html", good), 400, "not served as application/json"},
		"no type":           {send("", good), 400, "not served as application/json"},
		"no JSON":           {send("application/json", "hello"), 400, "no JSON object"},
		"a name twice":      {send("application/json", strings.Replace(good, "{", `{"client_id":"https://a.example/x",`, 1)), 400, "no JSON object"},
		"an id in capitals": {send("application/json", strings.Replace(good, "client_id", "Client_ID", 1)), 400, "not the address"},
		"more than JSON":    {send("application/json", good+good), 400, "no JSON object"},
		"huge": {func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				endless(w)
			}
		}, 400, "more than 16384 bytes"},
		"not there": {func(string) http.HandlerFunc { return http.NotFound }, 400, "answered 404"},
		"no content": {func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }
		}, 400, "answered 204"},
		"down": {func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }
		}, 503, "answered 502"},
		"cut off": {func(string) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, 503, "cannot be reached"},
		"redirect to itself": {func(id string) http.HandlerFunc { return http.RedirectHandler(id+"2", http.StatusFound).ServeHTTP }, 400, "redirects are not followed"},
		"redirect inside": {func(string) http.HandlerFunc {
			return http.RedirectHandler("http://169.254.169.254/latest", http.StatusTemporaryRedirect).ServeHTTP
		}, 400, "redirects are not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, nil)
			id := p.URL + "/client.json"
			p.serve(c.answer(id))
			_, err := p.registry(nil).Find(t.Context(), id, "")
			refused := refusal(t, err)
			if (refused == nil) != (c.says == "") {
				t.Fatalf("%v, want it to say %q", err, c.says)
			}
			if refused != nil && (refused.Status != c.status || !strings.Contains(refused.Description, c.says)) {
				t.Errorf("%v with status %d, want %d and %q", err, refused.Status, c.status, c.says)
			}
			if p.hits.Load() != 1 {
				t.Errorf("%d requests", p.hits.Load())
			}
		})
	}
}

func TestDocumentAddresses(t *testing.T) {
	t.Parallel()
	p := publish(t, http.NotFound)
	_, port, _ := net.SplitHostPort(p.Listener.Addr().String())
	public := p.registry(func(c *clients.Config) { c.Documents.AllowPrivate = false })
	for id, says := range map[string]string{
		"https://127.0.0.1:" + port + "/c":               "loopback or private",
		"https://localhost:" + port + "/c":               "loopback or private",
		"https://[::1]:" + port + "/c":                   "loopback or private",
		"https://[::ffff:127.0.0.1]:" + port + "/c":      "loopback or private",
		"https://10.0.0.1/c":                             "loopback or private",
		"https://169.254.169.254/latest/meta-data":       "never a backend",
		"https://[fd00:ec2::254]/latest":                 "never a backend",
		"https://100.100.100.200/latest":                 "never a backend",
		"https://0.0.0.0:" + port + "/c":                 "address of one host",
		"http://127.0.0.1:" + port + "/c":                "is not https",
		"http://a.example/c":                             "is not https",
		"https://a.example":                              "has no path",
		"https://a.example/":                             "has no path",
		"https://a.example/?c":                           "has no path",
		"https://a.example/c#x":                          "fragment",
		"https://u@a.example/c":                          "user name",
		"https://u:p@127.0.0.1:" + port + "/c":           "user name",
		"https://a.example/a/../c":                       ". or ..",
		"https://a.example/%2e%2E/c":                     ". or ..",
		"https://a.example/./c":                          ". or ..",
		"https://a.example\\@127.0.0.1/c":                "no URI may have",
		"https://a.example/ c":                           "no URI may have",
		"file:///etc/passwd":                             "is not https",
		"gopher://127.0.0.1:" + port + "/c":              "is not https",
		"https://a.example/" + strings.Repeat("x", 2048): "more than 2048",
		"HTTPS://a.example/c":                            "lower case",
	} {
		_, err := public.Find(t.Context(), id, "")
		if refused := refusal(t, err); refused == nil || refused.Status != 400 || !strings.Contains(refused.Description, says) {
			t.Errorf("%s: %v, want a refusal that says %q", id, err, says)
		}
	}
	if n := p.hits.Load(); n != 0 {
		t.Errorf("%d requests came", n)
	}
	private := p.registry(nil)
	for id, says := range map[string]string{
		"https://169.254.169.254/latest/meta-data": "never a backend",
		"http://a.example/c":                       "is not https",
		"http://10.0.0.1/c":                        "is not https",
		"https://127.0.0.1:" + port + "/c":         "answered 404",
	} {
		_, err := private.Find(t.Context(), id, "")
		if refused := refusal(t, err); refused == nil || !strings.Contains(refused.Description, says) {
			t.Errorf("with private addresses, %s: %v, want a refusal that says %q", id, err, says)
		}
	}
	off := registry(nil)
	if _, err := off.Find(t.Context(), p.URL+"/c", ""); refusal(t, err) == nil || refusal(t, err).Status != 401 {
		t.Errorf("with documents off: %v", err)
	}
}

// Plain http on loopback is for development, and only with private addresses.
func TestDocumentOnLoopback(t *testing.T) {
	t.Parallel()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":"%s/c","client_name":"x","redirect_uris":["http://localhost/"]}`, s.URL)
	}))
	defer s.Close()
	r := registry(func(c *clients.Config) { c.Documents = clients.Documents{Enabled: true, AllowPrivate: true} })
	c, err := r.Find(t.Context(), s.URL+"/c", "")
	if err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDocumentDomains(t *testing.T) {
	t.Parallel()
	var p *publisher
	p = publish(t, describing(&p, "/c", nil))
	for want, lists := range map[string][]string{
		"":                 {"127.0.0.1", "*.example.com,127.0.0.1"},
		"are not admitted": {"example.com", "*.0.0.1x", "*", "*0.0.1"},
	} {
		for _, list := range lists {
			r := p.registry(func(c *clients.Config) { c.Documents.Hosts = strings.Split(list, ",") })
			if _, err := r.Find(t.Context(), p.URL+"/c", ""); (err == nil) != (want == "") {
				t.Errorf("%s: %v, want %q", list, err, want)
			}
		}
	}
	r := p.registry(func(c *clients.Config) {
		c.Documents.Hosts = []string{"*.example.com"}
		c.Documents.AllowPrivate = false
	})
	for host, admitted := range map[string]bool{"a.example.com": true, "a.b.example.com": true, "example.com": false, "aexample.com": false, "example.com.evil.net": false} {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		_, err := r.Find(ctx, "https://"+host+"/c", "")
		if got := !strings.Contains(fmt.Sprint(err), "not admitted"); got != admitted {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// DNS rebinding: what a name means is checked when it is dialled, each time.
func TestDocumentRebinding(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	resolver := testkit.Resolver(t, func() netip.Addr {
		asked.Add(1)
		return netip.MustParseAddr("127.0.0.1")
	})
	p := publish(t, http.NotFound)
	_, port, _ := net.SplitHostPort(p.Listener.Addr().String())
	r := p.registry(func(c *clients.Config) { c.Documents.AllowPrivate, c.Documents.Resolver = false, resolver })
	_, err := r.Find(t.Context(), "https://rebind.example.com:"+port+"/c", "")
	if refused := refusal(t, err); refused == nil || refused.Status != 400 || !strings.Contains(refused.Description, "loopback or private") {
		t.Errorf("a public name with a private address: %v", err)
	}
	if asked.Load() == 0 || p.hits.Load() != 0 {
		t.Errorf("%d questions to the name server, %d requests", asked.Load(), p.hits.Load())
	}
}

// Several that want one document share a fetch, and who leaves takes nothing from
// the others.
func TestDocumentSingleFlight(t *testing.T) {
	t.Parallel()
	gate, arrived := make(chan struct{}), make(chan struct{}, 1)
	var p *publisher
	p = publish(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-gate
		describing(&p, "/c", nil)(w, r)
	})
	r := p.registry(nil)
	first, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := r.Find(first, p.URL+"/c", ""); left <- err }()
	<-arrived
	var all sync.WaitGroup
	var found atomic.Int32
	for range 20 {
		all.Go(func() {
			if _, err := r.Find(context.Background(), p.URL+"/c", ""); err != nil {
				t.Error(err)
				return
			}
			found.Add(1)
		})
	}
	leave()
	if err := <-left; refusal(t, err) == nil || refusal(t, err).Status != 503 {
		t.Errorf("who left got %v", err)
	}
	close(gate)
	all.Wait()
	if found.Load() != 20 || p.hits.Load() != 1 {
		t.Errorf("%d found it, %d fetches", found.Load(), p.hits.Load())
	}
}

// A host is not asked without end, whatever addresses a stranger makes up; and what
// failed is not asked again at once.
func TestDocumentHostLimit(t *testing.T) {
	t.Parallel()
	p := publish(t, http.NotFound)
	r := p.registry(nil)
	began, fetched := time.Now(), 0
	for i := range 30 {
		_, err := r.Find(t.Context(), fmt.Sprintf("%s/%d", p.URL, i), "")
		refused := refusal(t, err)
		switch {
		case refused == nil || i < 10 && refused.Status != 400 || refused.Status != 400 && refused.Status != 503:
			t.Fatalf("document %d: %v", i, err)
		case refused.Status == 400:
			fetched++
		}
	}
	most := 10 + int(time.Since(began)/(6*time.Second)) // ten a minute
	if n := int(p.hits.Load()); n != fetched || n > most {
		t.Errorf("%d requests came for %d answers, want at most %d", n, fetched, most)
	}
}

// Whoever asks for documents that are not there pushes out none that is.
func TestDocumentsStayThroughAFlood(t *testing.T) {
	t.Parallel()
	var p *publisher
	p = publish(t, func(w http.ResponseWriter, r *http.Request) { describing(&p, "/c", nil)(w, r) })
	r := p.registry(nil)
	for i := range 1000 {
		if i%999 == 0 { // before all and after all
			if _, err := r.Find(t.Context(), p.URL+"/c", ""); err != nil {
				t.Fatalf("after %d others: %v", i, err)
			}
		}
		if _, err := r.Find(t.Context(), fmt.Sprintf("http://127.0.0.1:1/%d", i), ""); err == nil {
			t.Fatal("there is a document where nobody listens")
		}
	}
	if n := p.hits.Load(); n != 1 {
		t.Errorf("%d requests came, want 1", n)
	}
}
