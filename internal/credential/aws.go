package credential

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/sigv4"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Signer is a Source whose credential is made of the very request that carries it.
type Signer interface {
	Source
	// Signer gives what signs the requests of an exchange. Its errors are those of
	// Apply, which makes the same attempt and sets nothing.
	Signer(ctx context.Context, req *Request) (Sign, error)
}

// Sign makes the headers that sign one HTTP request. host is the Host header's value,
// uri path and query as they are sent.
type Sign func(method, host, uri string, body []byte) http.Header

// AWS signs requests with keys of an AWS role, which the caller's token is good for
// (AssumeRoleWithWebIdentity).
type AWS struct {
	Subject

	sts   *STS
	roles Roles
	scope sigv4.Scope
	seen  func(string)
	keys  *memory[sigv4.Keys]
}

// AWSConfig describes an AWS.
type AWSConfig struct {
	Subject
	STS     *STS
	Roles   Roles
	Region  string
	Service string
	Seen    func(result string) // may be nil
}

// NewAWS prepares the source; nothing is asked yet.
func NewAWS(cfg AWSConfig) *AWS {
	if cfg.Seen == nil {
		cfg.Seen = func(string) {}
	}
	return &AWS{
		Subject: cfg.Subject, sts: cfg.STS, roles: cfg.Roles, scope: sigv4.Scope{Region: cfg.Region, Service: cfg.Service},
		seen: cfg.Seen, keys: newMemory[sigv4.Keys](),
	}
}

// Headers are those of a signature.
func (a *AWS) Headers() []string {
	return []string{"Authorization", sigv4.HeaderDate, sigv4.HeaderSession}
}

// Apply sees to it that there are keys for the caller.
func (a *AWS) Apply(ctx context.Context, req *Request, _ http.Header) error {
	_, err := a.assume(ctx, req)
	return err
}

// Signer implements [Signer].
func (a *AWS) Signer(ctx context.Context, req *Request) (Sign, error) {
	keys, err := a.assume(ctx, req)
	if err != nil {
		return nil, err
	}
	return func(method, host, uri string, body []byte) http.Header {
		return sigv4.Sign(keys, a.scope, &sigv4.Request{Method: method, Host: host, URI: uri, Body: body}, time.Now())
	}, nil
}

// Challenged implements [Challenger]: the keys may have been revoked before their
// time.
func (a *AWS) Challenged(ctx context.Context, req *Request, _ http.Header, _ oauth.AuthChallenge) error {
	key, _, err := a.key(ctx, req)
	if err != nil {
		return err
	}
	return a.keys.refused(key, func(sigv4.Keys) bool { return true })
}

var (
	_ Challenger = (*AWS)(nil)
	_ Signer     = (*AWS)(nil)
)

// assume gives the keys of the caller's role.
func (a *AWS) assume(ctx context.Context, req *Request) (sigv4.Keys, error) {
	key, want, err := a.key(ctx, req)
	if err != nil {
		return sigv4.Keys{}, err
	}
	return a.keys.get(ctx, key, func(err error) { a.seen(resultOf(err)) }, func(ctx context.Context) (sigv4.Keys, time.Time, error) {
		return a.sts.assume(ctx, want)
	})
}

// key names the keys of a caller: the same token in another role has others.
func (a *AWS) key(ctx context.Context, req *Request) (token.Hash, assumption, error) {
	subject, err := a.token(ctx, req)
	if err != nil {
		return token.Hash{}, assumption{}, err
	}
	role, ok := a.roles.of(req.Caller)
	if !ok {
		return token.Hash{}, assumption{}, &Failure{
			Kind: Forbidden, Public: "no role at the backend is meant for this caller",
			Cause: errors.New("no roleMapping of awsSts matches the caller, and there is no fallbackRoleArn"),
		}
	}
	want := assumption{subject: subject, role: role, session: a.roles.session(req.Caller)}
	return token.HashOf(want.role + "\x00" + want.session + "\x00" + subject.Reveal()), want, nil
}

// Roles choose a role by what is known of a caller.
type Roles struct {
	Claim    string // whose values Mappings match
	Mappings []RoleMapping
	Fallback string // ARN; "" for none
	// SessionClaim is the claim that names the session in AWS's logs; "" for sub.
	SessionClaim string
}

// RoleMapping gives callers with a value of the claim a role.
type RoleMapping struct {
	Value    string
	Role     string // ARN
	Priority *int   // lower ones come first; nil ones last
}

// of is the role of a caller: that of the first mapping that matches, by priority and
// then as they are listed.
func (r *Roles) of(c *identity.Caller) (arn string, ok bool) {
	has := claimValues(c, r.Claim)
	ordered := slices.Clone(r.Mappings)
	slices.SortStableFunc(ordered, func(a, b RoleMapping) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, m := range ordered {
		if slices.Contains(has, m.Value) {
			return m.Role, true
		}
	}
	return r.Fallback, r.Fallback != ""
}

func (m *RoleMapping) rank() int {
	if m.Priority == nil {
		return math.MaxInt
	}
	return *m.Priority
}

// claimValues are the values of a claim. Groups and roles are those that the outer
// door found, wherever the token has them.
func claimValues(c *identity.Caller, claim string) []string {
	switch claim {
	case "groups":
		return c.Groups
	case "roles":
		return c.Roles
	case "sub":
		return []string{c.Subject}
	}
	return token.Claims(c.Claims).Texts(claim)
}

// session is how a caller is called in AWS's logs: [\w+=,.@-]{2,64}. It decides
// nothing.
func (r *Roles) session(c *identity.Caller) string {
	name := c.Subject
	if values := claimValues(c, cmp.Or(r.SessionClaim, "sub")); len(values) > 0 && values[0] != "" {
		name = values[0]
	}
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_+=,.@-", r) {
			return r
		}
		return '-'
	}, name)
	if len(name) < 2 {
		name += "--"
	}
	return name[:min(len(name), 64)]
}
