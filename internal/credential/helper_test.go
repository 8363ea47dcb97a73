package credential_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// place is a token endpoint without a network, so that a test's clock can be the
// bubble's own.
type place struct {
	mu     sync.Mutex
	answer func(r asked) (status int, body string) // "" breaks the connection
	later  string                                  // Retry-After; "" for none
	asked  []asked
}

// asked is one request that reached a place.
type asked struct {
	form           url.Values
	user, password string // of Basic; "" for none
	ctx            func() error
	wait           func() // until the request is given up
	header         http.Header
	url            string
}

func (p *place) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	a := asked{form: form, ctx: r.Context().Err, wait: func() { <-r.Context().Done() }, header: r.Header, url: r.URL.String()}
	a.user, a.password, _ = r.BasicAuth()
	p.mu.Lock()
	p.asked = append(p.asked, a)
	answer := p.answer
	p.mu.Unlock()
	status, text := answer(a)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if p.later != "" {
		h.Set("Retry-After", p.later)
	}
	return &http.Response{
		StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), Request: r,
	}, nil
}

func (p *place) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *place) answers(status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(asked) (int, string) { return status, body }
}

// endpoint is the place as a client with a secret sees it.
func (p *place) endpoint(id, password string) oauth.Endpoint {
	return oauth.Endpoint{
		URL: "https://idp.example.com/token", Auth: oauth.ClientAuth{ID: id, Secret: secret.New(password)},
		Client: &http.Client{Transport: p},
	}
}

// of is a request of a caller with a token.
func of(token string) *credential.Request {
	return &credential.Request{Caller: &identity.Caller{Subject: "alice", Source: identity.SourceJWT, Issuer: "https://idp.example.com"}, Token: secret.New(token)}
}

// from is a request of somebody with a token of theirs.
func from(who string) *credential.Request {
	req := of("token-of-" + who)
	req.Caller.Subject = who
	return req
}

// apply gives the value of the one header that a source sets.
func apply(t *testing.T, s credential.Source, req *credential.Request) (string, error) {
	t.Helper()
	h := http.Header{}
	err := s.Apply(t.Context(), req, h)
	if err != nil {
		if len(h) > 0 {
			t.Errorf("a failed source has set %v", h)
		}
		return "", err
	}
	if len(h) != 1 || len(h[s.Headers()[0]]) != 1 {
		t.Fatalf("set %v, want one %v", h, s.Headers())
	}
	return h[s.Headers()[0]][0], nil
}

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
