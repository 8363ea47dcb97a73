package credential

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
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

	sts             *STS
	roles           Roles
	signer          *v4.Signer
	region, service string
	seen            func(string)
	keys            *memory[awsKeys]
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
		Subject: cfg.Subject, sts: cfg.STS, roles: cfg.Roles, signer: v4.NewSigner(), region: cfg.Region, service: cfg.Service,
		seen: cfg.Seen, keys: newMemory[awsKeys](),
	}
}

// Headers are those of a signature.
func (a *AWS) Headers() []string {
	return []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"}
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
	return func(method, host, uri string, body []byte) http.Header { return a.sign(keys, method, host, uri, body) }, nil
}

// sign signs the host, the date and the session, with the hash of the body, and no
// header that somebody on the way may change. What cannot be signed gets nothing.
func (a *AWS) sign(keys awsKeys, method, host, uri string, body []byte) http.Header {
	to, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil
	}
	to.Host = host
	r := &http.Request{Method: method, Host: host, URL: to, Header: http.Header{}}
	sum := sha256.Sum256(body)
	as := aws.Credentials{AccessKeyID: keys.id, SecretAccessKey: keys.secret.Reveal(), SessionToken: keys.token.Reveal()}
	if a.signer.SignHTTP(context.Background(), as, r, hex.EncodeToString(sum[:]), a.service, a.region, time.Now()) != nil {
		return nil
	}
	return r.Header
}

// awsKeys are those of a session in a role.
type awsKeys struct {
	id            string
	secret, token secret.Value
}

// Challenged implements [Challenger]: the keys may have been revoked before their
// time.
func (a *AWS) Challenged(ctx context.Context, req *Request, _ http.Header, _ oauth.AuthChallenge) error {
	subject, err := a.token(ctx, req)
	if err != nil {
		return err
	}
	want, err := a.wanted(req, subject.value)
	if err != nil {
		return err
	}
	err = a.keys.refused(want.key(), func(awsKeys) bool { return true })
	if err != nil && a.Upstream != nil {
		_, err = a.renewed(ctx, req, subject, err)
	}
	return err
}

var (
	_ Challenger = (*AWS)(nil)
	_ Signer     = (*AWS)(nil)
)

// assume gives the keys of the caller's role.
func (a *AWS) assume(ctx context.Context, req *Request) (awsKeys, error) {
	return renewing(ctx, &a.Subject, req, func(ctx context.Context, subject secret.Value) (awsKeys, error) {
		want, err := a.wanted(req, subject)
		if err != nil {
			return awsKeys{}, err
		}
		return a.keys.get(ctx, want.key(), req.Caller, func(err error) { a.seen(resultOf(err)) }, func(ctx context.Context) (awsKeys, time.Time, error) {
			return a.sts.assume(ctx, want)
		})
	})
}

// wanted is the role that a caller gets for a token.
func (a *AWS) wanted(req *Request, subject secret.Value) (assumption, error) {
	role, ok := a.roles.of(req.Caller)
	if !ok {
		return assumption{}, &Failure{
			Kind: Forbidden, Public: "no role at the backend is meant for this caller",
			Cause: errors.New("no roleMapping of awsSts matches the caller, and there is no fallbackRoleArn"),
		}
	}
	return assumption{subject: subject, role: role, session: a.roles.session(req.Caller)}, nil
}

// key names the keys of an assumption: the same token in another role has others.
func (want *assumption) key() keep.Hash {
	return keep.HashOf(want.role + "\x00" + want.session + "\x00" + want.subject.Reveal())
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
