package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// ClientAuth is how a client authenticates at a token endpoint.
type ClientAuth struct {
	ID     string
	Secret secret.Value // empty for a public client
	// Method is client_secret_basic or client_secret_post; "" means Basic where
	// there is a secret, and the client's id in the body where there is none.
	Method string
	// Assert makes a client assertion for the token endpoint (RFC 7523 §2.2); nil
	// for other methods.
	Assert func(audience string) (secret.Value, error)
}

// The methods of client authentication (RFC 7591 §2).
const (
	AuthNone          = "none"
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Endpoint is a token endpoint, and a client of it.
type Endpoint struct {
	URL    string
	Auth   ClientAuth
	Client *http.Client // decides which addresses may be dialled, and follows no redirect
	// Rewrite turns a JSON answer into one as RFC 6749 §5.1 has it, for servers with
	// one of their own; nil for all others.
	Rewrite func(body []byte) ([]byte, error)
}

// Tokens is the answer of a token endpoint (RFC 6749 §5.1).
type Tokens struct {
	Access  secret.Value
	Refresh secret.Value // empty when there is none
	ID      secret.Value // the OpenID token; empty when there is none
	Type    string       // "Bearer", as a rule
	Issued  string       // issued_token_type of RFC 8693 §2.2.1
	Expires time.Time    // zero when the server did not say
	// Lifeless means that the server gave the token a life of nothing, or less, and no way
	// to renew it. Many of those are good all the same.
	Lifeless bool
	Scopes   []string // nil when they are those that were asked for
	// Raw is the whole answer, secrets included, for servers with an answer of their
	// own. It is not for logs.
	Raw json.RawMessage
}

const maxAnswer = 256 << 10

// Request asks for tokens. The form says which grant and with what; client
// authentication is added here. The error is an *Error when the server refused, and
// names nothing that was sent.
func (e *Endpoint) Request(ctx context.Context, form url.Values) (*Tokens, error) {
	body, err := e.post(ctx, form)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a token: %w", place(e.URL), err)
	}
	if e.Rewrite != nil {
		if body, err = e.Rewrite(body); err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", place(e.URL), err)
		}
	}
	return parseTokens(body, time.Now())
}

// Reached asks whether the endpoint is there: without a client and for nobody, so that
// no attempts are counted against anybody. A refusal says that it is there; a server
// error that is none of OAuth's says that something else answers in its place.
func (e *Endpoint) Reached(ctx context.Context) error {
	bare := Endpoint{URL: e.URL, Client: e.Client}
	a, err := bare.send(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}})
	if err != nil {
		return fmt.Errorf("reach %s: %w", place(e.URL), err)
	}
	refused := ParseError(a.Status, jsonAnswer(a.Header, a.Body))
	if a.Status >= http.StatusInternalServerError && (refused == nil || refused.Code == "") {
		return fmt.Errorf("reach %s: it answers %d", place(e.URL), a.Status)
	}
	return nil
}

func (e *Endpoint) post(ctx context.Context, form url.Values) ([]byte, error) {
	a, err := e.send(ctx, maps.Clone(form))
	if err != nil {
		return nil, err
	}
	body := jsonAnswer(a.Header, a.Body)
	if refused := ParseError(a.Status, body); refused != nil {
		refused.RetryAfter = RetryAfter(a.Header, time.Now())
		return nil, refused
	}
	if a.IsPage() {
		return nil, netguard.ErrPage
	}
	return body, nil
}

// send posts a form with client authentication.
func (e *Endpoint) send(ctx context.Context, form url.Values) (*netguard.Answer, error) {
	id, basic, err := e.Auth.add(e.URL, form)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("invalid URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json") // GitHub answers a form without it
	if basic {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(e.Auth.Secret.Reveal())) // RFC 6749 §2.3.1
	}
	return netguard.Send(e.Client, req, maxAnswer)
}

// add puts client authentication into the form, or says that it goes into a header.
func (a *ClientAuth) add(audience string, form url.Values) (id string, basic bool, err error) {
	switch {
	case a.Assert != nil:
		assertion, err := a.Assert(audience)
		if err != nil {
			return "", false, fmt.Errorf("sign the client assertion: %w", err)
		}
		form.Set("client_id", a.ID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion.Reveal())
	case a.Method == AuthPost && !a.Secret.Empty():
		form.Set("client_id", a.ID)
		form.Set("client_secret", a.Secret.Reveal())
	case !a.Secret.Empty():
		return a.ID, true, nil
	case a.ID != "":
		form.Set("client_id", a.ID)
	}
	return "", false, nil
}

func parseTokens(body []byte, now time.Time) (*Tokens, error) {
	var a struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Type    string `json:"token_type"`
		Issued  string `json:"issued_token_type"`
		Expires Number `json:"expires_in"`
		Scope   Words  `json:"scope"`
	}
	a.Expires = Number(math.NaN())
	if err := Lenient(body, &a); err != nil {
		return nil, errors.New("the token endpoint's answer is no JSON as RFC 6749 has it")
	}
	if a.Access == "" {
		return nil, errors.New("the token endpoint's answer has no access_token")
	}
	t := &Tokens{
		Access: secret.New(a.Access), Refresh: secret.New(a.Refresh), ID: secret.New(a.ID),
		Type: a.Type, Issued: a.Issued, Scopes: a.Scope, Raw: body,
	}
	const most = 100 * 365 * 24 * 3600
	switch life := float64(a.Expires); {
	case life > 0:
		t.Expires = now.Add(time.Duration(min(life, most) * float64(time.Second)))
	case !math.IsNaN(life) && a.Refresh == "":
		t.Lifeless = true
	case !math.IsNaN(life):
		t.Expires = now
	}
	return t, nil
}

// place is an address without what may be secret in it.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the endpoint"
	}
	return netguard.Place(u)
}
