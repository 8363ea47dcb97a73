package clients

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// proof is what a request shows of its client: of one kind, never more.
type proof struct {
	id        string
	secrets   []string // what may be meant by the one secret that was sent
	assertion string
	from      string // who sent the request
}

// Authenticate finds the client that a request to the token, revocation or
// introspection endpoint is from, and checks its proof. The form is that of the
// body. A public client proves nothing; see Client.Public. The error is an
// *oauth.Error; with 401, say WWW-Authenticate: Basic to who used it
// (RFC 6749 §5.2).
func (r *Registry) Authenticate(ctx context.Context, req *http.Request, form url.Values) (*Client, error) {
	p, refused := readProof(req, form)
	if refused != nil {
		return nil, refused
	}
	if p.id == "" && p.assertion != "" {
		// client_id may be left out beside an assertion (RFC 7521 §4.2). Whether what
		// it says is true is seen later.
		_, p.id = token.Peek(p.assertion)
	}
	if p.id == "" {
		return nil, unknown()
	}
	p.from = r.address(req)
	c, err := r.Find(ctx, p.id, p.from)
	if err != nil {
		return nil, err
	}
	if !c.Static || c.Public() { // there is nothing to guess
		return c, r.prove(ctx, c, p)
	}
	return c, r.proveSlowly(ctx, c, p, store.Digest(p.id, p.from))
}

// proveSlowly slows down who guesses a secret that a person may have chosen. From
// another place the client goes on, and from where it has proved itself lately it does
// so through many more guesses of others, who may be behind the same proxy. Who proves
// itself takes nothing, however many of its requests are under way.
func (r *Registry) proveSlowly(ctx context.Context, c *Client, p *proof, guess string) error {
	now, key := time.Now(), keep.HashOf(guess)
	limit := r.guesses
	if _, known := r.known.Get(key, now); known {
		limit = r.misses
	}
	if !spare(ctx, limit, guess) {
		return &oauth.Error{Code: codeTryLater, Description: "too many failed attempts for this client; try again in a minute", Status: http.StatusTooManyRequests}
	}
	err := r.prove(ctx, c, p)
	if err == nil {
		r.known.Put(key, struct{}{}, now.Add(knownFor))
		return nil
	}
	if refused, _ := errors.AsType[*oauth.Error](err); refused == nil || refused.Status != http.StatusServiceUnavailable {
		limit.Take(ctx, guess, now)
	}
	return err
}

// spare tells whether a limiter would admit one more, and takes nothing.
func spare(ctx context.Context, l *ratelimit.Limiter, key string) bool {
	_, ok := l.Take(ctx, key, time.Now())
	if ok {
		l.Give(ctx, key)
	}
	return ok
}

func (r *Registry) prove(ctx context.Context, c *Client, p *proof) error {
	switch c.AuthMethod {
	case oauth.AuthNone:
		if p.secrets == nil && p.assertion == "" {
			return nil
		}
	case oauth.AuthPrivateKeyJWT:
		if p.assertion != "" {
			return r.proveByKey(ctx, c, p)
		}
	default: // by secret; clients mix up Basic and body, and neither is the safer one
		if p.secrets != nil && c.hasSecret(p.secrets) {
			return nil
		}
	}
	return unknown()
}

// hasSecret compares hashes, all of them, whatever the first ones said.
func (c *Client) hasSecret(shown []string) bool {
	found := 0
	for _, s := range shown {
		sum := sha256.Sum256([]byte(s))
		for i := range c.secrets {
			found |= subtle.ConstantTimeCompare(sum[:], c.secrets[i][:])
		}
	}
	return found == 1
}

// readProof takes the one proof out of a request. Two of them are refused
// (RFC 6749 §2.3), and so is a parameter that stands twice (§3.2): two readers
// could choose differently.
func readProof(req *http.Request, form url.Values) (*proof, *oauth.Error) {
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		if len(form[name]) > 1 {
			return nil, refuse(oauth.CodeInvalidRequest, name+" stands more than once")
		}
		if req.URL.RawQuery != "" && name != "client_id" && req.URL.Query().Has(name) {
			return nil, refuse(oauth.CodeInvalidRequest, name+" does not belong into the URL, where logs keep it")
		}
	}
	p := &proof{id: form.Get("client_id")}
	ways := 0
	if headers := req.Header.Values("Authorization"); len(headers) > 0 {
		ways++
		if refused := p.basic(headers); refused != nil {
			return nil, refused
		}
	}
	if secret := form.Get("client_secret"); secret != "" {
		ways++
		p.secrets = []string{secret}
	}
	if p.assertion = form.Get("client_assertion"); p.assertion != "" {
		ways++
		if form.Get("client_assertion_type") != assertionType {
			return nil, refuse(oauth.CodeInvalidRequest, "client_assertion_type must be "+assertionType)
		}
	}
	if ways > 1 {
		return nil, refuse(oauth.CodeInvalidRequest, "the client authenticates in more than one way; use one")
	}
	return p, nil
}

// basic reads HTTP Basic authentication. Id and secret are form-encoded in it
// (RFC 6749 §2.3.1), but many clients do not, so that the secret as it stands may
// be meant as well.
func (p *proof) basic(headers []string) *oauth.Error {
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	id, secret, ok := strings.Cut(string(raw), ":")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Basic") || err != nil || !ok {
		return &oauth.Error{Code: oauth.CodeInvalidClient, Description: "the Authorization header must be one of HTTP Basic", Status: http.StatusUnauthorized}
	}
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	if p.id != "" && p.id != id {
		return refuse(oauth.CodeInvalidRequest, "client_id is not the one in the Authorization header")
	}
	p.id = id
	if secret == "" { // a public client whose library always writes the header
		return nil
	}
	p.secrets = []string{secret}
	if plain, err := url.QueryUnescape(secret); err == nil && plain != secret {
		p.secrets = append(p.secrets, plain)
	}
	return nil
}
