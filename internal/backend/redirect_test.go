package backend_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// steps counts followed redirects by status.
type steps struct {
	mu sync.Mutex
	by map[int]int
}

func (s *steps) Redirected(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = make(map[int]int)
	}
	s.by[status]++
}

func (s *steps) Dropped(string) {}

func (s *steps) into(cfg *backend.HTTPConfig) { cfg.Metrics = s }

func TestRedirectKeepsMethodAndBody(t *testing.T) { // REQ A-4
	t.Parallel()
	for _, status := range []int{301, 302, 307, 308} {
		for _, req := range []*backend.Request{call(), notification(), listen(), endSession()} {
			t.Run(fmt.Sprint(req.Method, status), func(t *testing.T) {
				t.Parallel()
				target := func(w http.ResponseWriter, r *http.Request) {
					switch r.Method {
					case http.MethodGet:
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, "data: {}\n\n")
					default:
						answerJSON(w, r)
					}
				}
				var count steps
				r := record(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/mcp" {
						redirectTo("/moved/mcp?q=2", status)(w, r)
						return
					}
					target(w, r)
				})
				b := open(t, r.URL+"/mcp?q=1", count.into)
				req.Private = http.Header{"X-Api-Key": {"k"}}
				req.Session = backend.Session{ID: "s1", Origin: r.URL}
				resp, _ := ask(t, b, req)
				if resp.Stream != (req.Method == http.MethodGet) {
					t.Errorf("Stream = %v", resp.Stream)
				}
				got := r.requests()
				if len(got) != 2 {
					t.Fatalf("backend got %d requests, want 2", len(got))
				}
				second := got[1]
				if second.Method != req.Method || second.Body != string(req.Body) || second.URI != "/moved/mcp?q=2" {
					t.Errorf("redirected request = %s %s %q", second.Method, second.URI, second.Body)
				}
				if second.Header.Get("X-Api-Key") != "k" || second.Header.Get("Mcp-Session-Id") != "s1" {
					t.Errorf("same origin, but credentials are gone: %v", second.Header)
				}
				diff(t, "redirects counted", map[int]int{status: 1}, count.by)
			})
		}
	}
}

func TestRedirectRefusedStatus(t *testing.T) { // REQ A-4
	t.Parallel()
	for _, status := range []int{300, 303, 304, 305, 306, 310, 399} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			r := record(t, redirectTo("/other", status))
			refused(t, open(t, r.URL), strconv.Itoa(status))
			if n := len(r.requests()); n != 1 {
				t.Errorf("backend got %d requests, want 1", n)
			}
		})
	}
}

// refused expects a redirect not to be followed, with a message that says this.
func refused(t *testing.T, b *backend.HTTP, says string) *backend.Failure {
	t.Helper()
	f := failure(t, b, call())
	if f.Public.Status != http.StatusBadGateway || f.Reason != backend.ReasonRedirect {
		t.Errorf("failure = %s %d, want redirect 502", f.Reason, f.Public.Status)
	}
	if !strings.Contains(f.Public.Message, says) || !strings.Contains(f.Public.Message, "docs: ") {
		t.Errorf("message %q does not say %q", f.Public.Message, says)
	}
	return f
}

func TestRedirectBadLocation(t *testing.T) { // REQ A-5
	t.Parallel()
	for name, location := range map[string][]string{
		"none":        nil,
		"empty":       {""},
		"two":         {"/a", "/b"},
		"userinfo":    {"http://user:canary@127.0.0.1/mcp"},
		"user":        {"//canary@127.0.0.1/mcp"},
		"ftp":         {"ftp://127.0.0.1/canary"},
		"file":        {"file:///etc/canary"},
		"javascript":  {"javascript:canary"},
		"unparsable":  {"http://127.0.0.1:port/canary"},
		"bad escape":  {"/%zzcanary"},
		"no host":     {"http:///canary"},
		"opaque":      {"http:canary"},
		"odd host":    {"http://127.0.0.1,canary/"},
		"unicode":     {"http://ｅvil.example/canary"},
		"port zero":   {"http://127.0.0.1:0/canary"},
		"big port":    {"http://127.0.0.1:65536/canary"},
		"ipv6's zone": {"http://[fe80::1%25canary]/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = location
				w.WriteHeader(307)
			})
			f := refused(t, open(t, r.URL), "remoteUrl")
			if strings.Contains(f.Error(), "canary") {
				t.Errorf("error quotes the location: %v", f)
			}
			if n := len(r.requests()); n != 1 {
				t.Errorf("backend got %d requests, want 1", n)
			}
		})
	}
}

func TestRedirectLoop(t *testing.T) { // REQ A-4
	t.Parallel()
	for name, where := range map[string]map[string]string{
		"to itself": {"/mcp": "/mcp"},
		"in three":  {"/mcp": "/a", "/a": "/b", "/b": "/a"},
		"back":      {"/mcp": "/a?x=1", "/a": "/mcp"},
		"fragment":  {"/mcp": "/mcp#again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(w http.ResponseWriter, r *http.Request) { redirectTo(where[r.URL.Path], 307)(w, r) })
			refused(t, open(t, r.URL+"/mcp"), "in a loop")
			if n := len(r.requests()); n != len(where) {
				t.Errorf("backend got %d requests, want %d", n, len(where))
			}
		})
	}
}

func TestRedirectHops(t *testing.T) { // REQ A-4
	t.Parallel()
	chain := func(last int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			if n == last {
				answerJSON(w, r)
				return
			}
			redirectTo(fmt.Sprintf("/%d", n+1), 308)(w, r)
		}
	}
	ten := record(t, chain(10))
	var count steps
	if _, body := ask(t, open(t, ten.URL+"/0", count.into), call()); body != okAnswer {
		t.Errorf("after ten hops: %q", body)
	}
	diff(t, "redirects counted", map[int]int{308: 10}, count.by)

	eleven := record(t, chain(11))
	refused(t, open(t, eleven.URL+"/0"), "more than 10")
	if n := len(eleven.requests()); n != 11 {
		t.Errorf("backend got %d requests, want 11", n)
	}
}

// private is what must stay with the configured origin, each with its own canary.
func withPrivate(req *backend.Request, origin string) *backend.Request {
	req.Private = http.Header{
		"Authorization": {"Bearer canary-authorization"},
		"Cookie":        {"sid=canary-cookie"},
		"X-Api-Key":     {"canary-injected"},
		"X-Tenant":      {"canary-passthrough-1", "canary-passthrough-2"},
	}
	req.Session = backend.Session{ID: "canary-session", Origin: origin}
	return req
}

func holdsCanary(s seen) bool {
	return strings.Contains(strings.ToLower(fmt.Sprint(s)), "canary")
}

func TestRedirectToOtherOrigin(t *testing.T) { // REQ A-5
	t.Parallel()
	stream := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			return
		}
		answerJSON(w, r)
	}
	plain, other, secure := record, record, recordTLS
	for name, c := range map[string]struct {
		first, second func(*testing.T, http.HandlerFunc) *recorder
		rename        func(*testing.T, string) string
		change        func(*backend.HTTPConfig)
	}{
		"other port":         {first: plain, second: other},
		"other port, https":  {first: secure, second: secure},
		"http to https":      {first: plain, second: secure},
		"https to http":      {first: secure, second: plain, change: func(c *backend.HTTPConfig) { c.Redirects.AllowDowngrade = true }},
		"allowed other host": {first: plain, second: other, rename: onLocalhost, change: func(c *backend.HTTPConfig) { c.Redirects.AllowedHosts = []string{"LOCALHOST"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := c.second(t, stream)
			where := target.URL
			if c.rename != nil {
				where = c.rename(t, where)
			}
			first := c.first(t, redirectTo(where+"/next?secret=query-canary", 307))
			var log logs
			change := c.change
			if change == nil {
				change = func(*backend.HTTPConfig) {}
			}
			b := open(t, first.URL+"/mcp?key=query-canary", trust(first, target), change, log.into)
			for _, req := range []*backend.Request{call(), notification(), listen(), endSession()} {
				ask(t, b, withPrivate(req, first.URL))
			}
			for i, s := range first.requests() {
				if s.Header.Get("X-Tenant") == "" || s.Header.Get("Mcp-Session-Id") != "canary-session" {
					t.Errorf("request %d at the configured origin lacks its credentials: %v", i, s.Header)
				}
			}
			got := target.requests()
			if len(got) != 4 {
				t.Fatalf("target got %d requests, want 4", len(got))
			}
			for _, s := range got {
				uri := s.URI
				s.URI = "" // the redirect's own
				if holdsCanary(s) {
					t.Errorf("target got a credential: %+v", s)
				}
				if uri != "/next?secret=query-canary" {
					t.Errorf("target got URI %s", uri)
				}
			}
			if strings.Contains(log.String(), "canary") {
				t.Errorf("the log holds a credential or a query:\n%s", log.String())
			}
		})
	}
}

func TestRedirectRefusedOrigin(t *testing.T) { // REQ A-5
	t.Parallel()
	plain := record(t, answerJSON)
	for name, c := range map[string]struct {
		from func(*testing.T, http.HandlerFunc) *recorder
		to   string
		says string
	}{
		"other host":         {record, onLocalhost(t, plain.URL), "redirects.allowedHosts"},
		"other host, scheme": {recordTLS, onLocalhost(t, plain.URL), "redirects.allowedHosts"},
		"downgrade":          {recordTLS, plain.URL, "redirects.allowDowngrade"},
		"name with a dot":    {record, strings.Replace(plain.URL, "127.0.0.1", "127.0.0.1.", 1), "redirects.allowedHosts"},
		"looks alike":        {record, strings.Replace(plain.URL, "127.0.0.1", "127.0.0.1.evil.example", 1), "redirects.allowedHosts"},
		"number":             {record, strings.Replace(plain.URL, "127.0.0.1", "2130706433", 1), "redirects.allowedHosts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := c.from(t, redirectTo(c.to, 308))
			f := refused(t, open(t, first.URL, trust(first)), c.says)
			for _, internal := range []string{"127.0.0.1", "localhost", "evil.example", "http://"} {
				if strings.Contains(f.Public.Message, internal) {
					t.Errorf("message %q names %s", f.Public.Message, internal)
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := len(plain.requests()); n != 0 {
			t.Errorf("the target got %d requests, want none", n)
		}
	})
}

func TestRedirectAddressGuard(t *testing.T) { // REQ A-5
	t.Parallel()
	for name, to := range map[string]string{
		"metadata":          "http://169.254.169.254/latest/meta-data",
		"metadata, ipv6":    "http://[fd00:ec2::254]/",
		"metadata, mapped":  "http://[::ffff:169.254.169.254]/",
		"public plain http": "http://192.88.99.1/",
		"unspecified":       "http://0.0.0.0/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, redirectTo(to, 307))
			b := open(t, r.URL, func(c *backend.HTTPConfig) {
				c.Redirects.AllowedHosts = []string{"169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "192.88.99.1", "0.0.0.0"}
			})
			f := failure(t, b, call())
			if f.Reason != backend.ReasonRefusedAddress || f.Public.Status != http.StatusBadGateway {
				t.Errorf("failure = %v (%s)", f, f.Reason)
			}
			if strings.Contains(f.Public.Message, "169.254") {
				t.Errorf("message %q names the address", f.Public.Message)
			}
		})
	}
}

// A private address is refused at the first hop and at every other one alike: the
// guard sits where connections are made.
func TestPrivateAddressNeedsSetting(t *testing.T) { // REQ A-5
	t.Parallel()
	plain, secure := record(t, answerJSON), recordTLS(t, answerJSON)
	for _, r := range []*recorder{plain, secure} {
		b := open(t, r.URL, trust(r), func(c *backend.HTTPConfig) { c.AllowPrivate = false })
		f := failure(t, b, call())
		if f.Reason != backend.ReasonRefusedAddress || !strings.Contains(f.Public.Message, "allowPrivateEndpoint") {
			t.Errorf("failure = %v (%s)", f, f.Reason)
		}
		if n := len(r.requests()); n != 0 {
			t.Errorf("backend got %d requests", n)
		}
	}
}

// TestRedirectBack: who gets an exchange in between chooses the URL it comes back
// to, so credentials do not come back with it.
func TestRedirectBack(t *testing.T) { // REQ A-5
	t.Parallel()
	var home *recorder
	away := record(t, func(w http.ResponseWriter, r *http.Request) { redirectTo(home.URL+"/chosen", 307)(w, r) })
	home = record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			redirectTo(away.URL, 307)(w, r)
			return
		}
		answerJSON(w, r)
	})
	ask(t, open(t, home.URL+"/mcp"), withPrivate(call(), home.URL))
	got := home.requests()
	if len(got) != 2 || got[1].URI != "/chosen" {
		t.Fatalf("home got %+v", got)
	}
	if holdsCanary(got[1]) {
		t.Errorf("credentials came back: %v", got[1].Header)
	}
}

// TestRedirectSession: a session id goes to the origin that issued it, wherever the
// configured URL points.
func TestRedirectSession(t *testing.T) { // REQ A-5
	t.Parallel()
	target := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", "issued-by-target")
		answerJSON(w, r)
	})
	first := record(t, redirectTo(target.URL+"/mcp", 307))
	b := open(t, first.URL)
	resp, _ := ask(t, b, call())
	want := backend.Session{ID: "issued-by-target", Origin: target.URL}
	if resp.Session != want {
		t.Fatalf("Session = %+v, want %+v", resp.Session, want)
	}
	if _, ok := resp.Header["Mcp-Session-Id"]; ok {
		t.Error("the backend's session id is among the headers for clients")
	}
	req := call()
	req.Session = resp.Session
	ask(t, b, req)
	for i, s := range first.requests() {
		if id := s.Header.Get("Mcp-Session-Id"); id != "" {
			t.Errorf("request %d to the configured origin carries session id %q of another", i, id)
		}
	}
	if got := target.requests(); got[1].Header.Get("Mcp-Session-Id") != "issued-by-target" {
		t.Errorf("the issuer did not get its session id: %v", got[1].Header)
	}
}

func TestRedirectLog(t *testing.T) { // REQ A-4
	t.Parallel()
	r := record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			redirectTo("/elsewhere?token=query-canary", 307)(w, r)
			return
		}
		answerJSON(w, r)
	})
	var log logs
	ask(t, open(t, r.URL+"/mcp?key=query-canary", log.into), call())
	warnings := slices.DeleteFunc(strings.Split(log.String(), "\n"), func(l string) bool { return !strings.Contains(l, "WARN") })
	if len(warnings) != 1 {
		t.Fatalf("%d warnings, want 1:\n%s", len(warnings), log.String())
	}
	for _, part := range []string{"from=" + r.URL + "/mcp ", "to=" + r.URL + "/elsewhere ", "status=307"} {
		if !strings.Contains(warnings[0]+" ", part) {
			t.Errorf("warning %q lacks %q", warnings[0], part)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log holds a query:\n%s", log.String())
	}
}

// TestRedirectBodies: what a redirect has for a body neither holds the exchange up
// nor ends the connection without need.
func TestRedirectBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]http.HandlerFunc{
		"small": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "moved") },
		"large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/mcp" {
					answerJSON(w, r)
					return
				}
				redirectTo("/next", 307)(w, r)
				body(w, r)
			})
			within(t, "the exchange", func() { ask(t, open(t, r.URL+"/mcp"), call()) })
		})
	}
}
