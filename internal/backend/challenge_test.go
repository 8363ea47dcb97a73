package backend_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// TestChallenge proves which challenges reach who gave the credential: those of the
// configured origin, and a 403 only where it can be acted on.
//
// REQ B-19
func TestChallenge(t *testing.T) {
	t.Parallel()
	const more = `Bearer error="insufficient_scope", scope="write"`
	for name, c := range map[string]struct {
		status    int
		challenge string
		ignored   bool // nobody can act on challenges
		moved     bool // another origin answers
		scope     string
		ok        bool // there is a challenge
	}{
		"401":                      {status: 401, challenge: `Bearer scope="read"`, scope: "read", ok: true},
		"401 without a word":       {status: 401, ok: true},
		"401 of another scheme":    {status: 401, challenge: `Basic realm="x"`, ok: true},
		"401 nobody acts on":       {status: 401, challenge: `Bearer scope="read"`, ignored: true, scope: "read", ok: true},
		"403 for more scopes":      {status: 403, challenge: more, scope: "write", ok: true},
		"407":                      {status: 407, challenge: more},
		"401 of another origin":    {status: 401, challenge: `Bearer scope="read"`, moved: true},
		"403 for more, of another": {status: 403, challenge: more, moved: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.challenge != "" {
					w.Header().Set("WWW-Authenticate", c.challenge)
				}
				w.WriteHeader(c.status)
			}))
			t.Cleanup(s.Close)
			address := s.URL
			if c.moved {
				from := httptest.NewServer(http.RedirectHandler(s.URL, http.StatusTemporaryRedirect))
				t.Cleanup(from.Close)
				address = from.URL
			}
			req := call()
			req.Challenges = !c.ignored
			f := failure(t, open(t, address), req)
			if f.Reason != backend.ReasonCredential || f.Public.Status != http.StatusBadGateway || (f.Challenge != nil) != c.ok {
				t.Fatalf("%+v", f)
			}
			if c.ok && f.Challenge.Params["scope"] != c.scope {
				t.Errorf("challenge %+v, want scope %q", f.Challenge, c.scope)
			}
		})
	}
	// Without somebody to act on it, and without that error, a 403 is the backend's own word.
	for _, ignored := range []bool{true, false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if ignored {
				w.Header().Set("WWW-Authenticate", more)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}`))
		}))
		t.Cleanup(s.Close)
		req := call()
		req.Challenges = !ignored
		resp, _ := ask(t, open(t, s.URL), req)
		if resp.Status != http.StatusForbidden || resp.Header.Get("Www-Authenticate") != "" {
			t.Errorf("status %d, %v", resp.Status, resp.Header)
		}
	}
}
