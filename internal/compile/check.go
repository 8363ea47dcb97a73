package compile

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Check plans a validated set, and says what is wrong with it beyond its schema: what
// the plan says, warnings among it, and what shows when parts are made for nobody.
// Nothing is dialled and no process is started.
func Check(set *manifest.Set) (*plan.Plan, manifest.Problems) {
	p, parts, problems := forNobody(set, Accounts{})
	parts.Release()
	return p, append(problems, p.Warnings...).Sort()
}

// forNobody makes parts of a set to see whether they can be made.
func forNobody(set *manifest.Set, accounts Accounts) (*plan.Plan, *Parts, manifest.Problems) {
	p := plan.Of(set, plan.Process{Checking: true})
	if len(p.Problems) > 0 || p.Unsaid {
		return p, &Parts{}, p.Problems
	}
	parts, problems := NewMaker(Options{
		Store: store.NewMemory(), Audit: audit.Discard{}, Metrics: telemetry.NewMetrics(""), Log: slog.New(slog.DiscardHandler),
		Accounts: accounts, Checking: true,
		Resource:  func(Name) func(string) (string, bool) { return nil },
		Address:   func(Name) func(*http.Request) string { return nil },
		Endpoints: func(Name) func() []authserver.Endpoint { return nil },
		Events:    func(Name) audit.Sink { return audit.Discard{} },
	}).Make(p)
	return p, parts, problems
}

// UnknownServerError is that of who asks for a server that is not there.
type UnknownServerError struct{ error }

// WithAccount lets do use the gateway's own account at a remote server of a validated
// set.
func WithAccount(set *manifest.Set, server string, at Accounts, do func(*oauthclient.Client) error) error {
	_, parts, problems := forNobody(set, at)
	defer parts.Release()
	if len(problems) > 0 {
		return problems
	}
	client := parts.Accounts[server]
	if client == nil {
		return UnknownServerError{fmt.Errorf("no server %q has oauth in these manifests", server)}
	}
	return do(client)
}

// Question is a call that nobody makes: would it be allowed?
type Question struct {
	Server    string
	Claims    token.Claims // of the caller; nil for the anonymous one
	Method    string       // tools/call, prompts/get, resources/read or a list method
	Name      string       // of the tool or prompt as clients know it, or the resource's URI
	Arguments []byte       // of the call, a raw JSON object; nil for none
	Hints     mcp.Hints    // the tool's annotations, which only its server knows
}

// Explain answers a question by the policies of a validated set, and says why. Nothing
// is made for it.
func Explain(set *manifest.Set, q Question) (policy.Explanation, error) {
	p := plan.Of(set, plan.Process{Checking: true})
	if len(p.Problems) > 0 {
		return policy.Explanation{}, p.Problems
	}
	e, err := endpointOf(p, q.Server)
	if err != nil {
		return policy.Explanation{}, err
	}
	if e.Policy.Unrestricted {
		return without(true, fmt.Sprintf("server %q has no policies: everybody who gets in may do everything", q.Server)), nil
	}
	caller, err := callerOf(&e.Door, q.Claims)
	if err != nil {
		return policy.Explanation{}, err
	}
	name := q.Name
	if e.Tools != nil && q.Method == "tools/call" {
		var ok bool
		if name, ok = upstream.NewToolView(e.Tools).OwnName(q.Name); !ok {
			return without(false, fmt.Sprintf("clients of %q see no tool %q: its MCPToolConfig hides or renames it", q.Server, q.Name)), nil
		}
	}
	var backend string
	if e.Virtual != nil {
		name, backend = e.Virtual.Own(e, name)
	} else {
		backend = e.Upstreams[0].Name
	}
	need := policy.NeedOf(&mcp.Envelope{Kind: mcp.KindRequest, Method: q.Method, Target: name})
	switch {
	case need.Denied:
		return without(false, need.Reason), nil
	case len(need.Asks) == 0:
		return without(true, q.Method+" needs no policy"), nil
	}
	ask, policies := need.Asks[0], e.Policy.Set
	return policies.Explain(policies.Principal(caller), &policy.Query{
		Action: ask.Action, Target: ask.Target, Server: e.Name, Backend: backend, Hints: q.Hints, Arguments: q.Arguments,
	}), nil
}

// without is an answer that no policy gave.
func without(allow bool, reason string) policy.Explanation {
	return policy.Explanation{Decision: policy.Decision{Allow: allow}, Reason: reason}
}

// endpointOf finds an endpoint by its name.
func endpointOf(p *plan.Plan, server string) (*plan.Endpoint, error) {
	var names []string
	for _, e := range p.Endpoints {
		if e.Name == server {
			return e, nil
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return nil, UnknownServerError{fmt.Errorf("there is no server %q; there are: %s", server, strings.Join(names, ", "))}
}

// CallerOf is who a token with these claims would belong to, if it were good; nil claims
// are those of the anonymous caller.
func (e *Endpoint) CallerOf(claims token.Claims) (*identity.Caller, error) {
	return callerOf(e.door, claims)
}

// callerOf is who a token with these claims belongs to, as the door reads it.
func callerOf(d *plan.Door, claims token.Claims) (*identity.Caller, error) {
	if claims == nil {
		return identity.Anonymous(), nil
	}
	for _, m := range d.Methods {
		switch {
		case m.Tokens != nil && len(d.Methods) > 1 && claims.Has("iss") && claims.Text("iss") != string(m.Tokens.Issuer.Issuer):
			// It is another issuer's.
		case m.Tokens != nil:
			caller, err := mapped(authn.Mapping{}, m.Tokens.Issuer.ClaimMappings).Explain(claims)
			if a := m.Tokens.Accounts; err == nil && a != nil {
				return authn.ServiceAccounts{Namespace: a.Namespace, Name: a.Name}.Admit(caller)
			}
			return caller, err
		case m.Assertion != nil:
			signer, _ := signerOf(m.Assertion)
			return mapped(signer.Mapping, m.Assertion.ClaimMappings).Explain(claims)
		}
	}
	return authn.Mapping{}.Explain(claims)
}
