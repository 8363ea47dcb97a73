package upstream

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// show gives a call everything that the server's own origin may see. Without a
// credential that it is to have, it gets nothing.
func (u *Upstream) show(ctx context.Context, c *Call) error {
	if len(c.Captured) == 0 && u.Credential == nil {
		c.req.Private = u.Headers
		return nil
	}
	private := make(http.Header, len(u.Headers)+len(c.Captured)+1)
	maps.Copy(private, u.Headers)
	maps.Copy(private, c.Captured)
	if u.Credential == nil {
		c.req.Private = private
		return nil
	}
	return u.apply(ctx, c, private)
}

// apply puts the credential into private, and private into the call.
func (u *Upstream) apply(ctx context.Context, c *Call, private http.Header) error {
	want := &credential.Request{Caller: c.Caller, Token: c.Token}
	if err := u.Credential.Apply(ctx, want, private); err != nil {
		return err
	}
	if s, ok := u.Credential.(credential.Signer); ok {
		sign, err := s.Signer(ctx, want)
		if err != nil {
			return err
		}
		c.req.Signing = &backend.Signing{Headers: s.Headers(), Sign: sign}
	}
	c.req.Private = private
	return nil
}

// maxRenewals is how often one call may get another credential. A server that
// refuses every one of them is not to send a person round in circles.
const maxRenewals = 3

// send sends a request of a call: its own, or one that a list takes. Where the server
// refuses the credential, and there can be another one, that is obtained and the
// request sent again: it was refused before it was processed. The challenge itself
// goes no further: it names somebody else's servers.
func (u *Upstream) send(ctx context.Context, c *Call, req *backend.Request) (*backend.Response, error) {
	source, ok := u.Credential.(credential.Challenger)
	if !ok {
		return u.Backend.Do(ctx, req)
	}
	_, req.Challenges = source.(*credential.Account) // it can get more scopes
	for renewals := 0; ; renewals++ {
		resp, err := u.Backend.Do(ctx, req)
		refused, ok := errors.AsType[*backend.Failure](err)
		if !ok || refused.Challenge == nil || renewals == maxRenewals {
			return resp, err
		}
		cause := source.Challenged(ctx, &credential.Request{Caller: c.Caller, Token: c.Token}, req.Private, *refused.Challenge)
		if cause == nil {
			private := make(http.Header, len(req.Private)+1)
			maps.Copy(private, req.Private)
			cause = u.apply(ctx, c, private)
		}
		if cause != nil {
			return u.withoutCredential(ctx, c, cause)
		}
		req.Private, req.Signing = c.req.Private, c.req.Signing
	}
}

// withoutCredential is the answer to a call for which there is no credential (REQ
// B-5): it does not go on with less, nor with the client's own.
func (u *Upstream) withoutCredential(ctx context.Context, c *Call, cause error) (*backend.Response, error) {
	if step, ok := errors.AsType[*credential.StepUp](cause); ok {
		return u.stepUp(ctx, c, step)
	}
	no := &backend.Failure{Reason: backend.ReasonCredential, Cause: cause}
	f, ok := errors.AsType[*credential.Failure](cause)
	switch {
	case ctx.Err() != nil:
		no.Reason = backend.ReasonCanceled
		no.Public = mcp.Errorf(statusClientClosed, mcp.CodeInternal, "%s: the request was cancelled", u.Name)
	case !ok:
		no.Public = mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the gateway has no credential for the backend", u.Name)
	case f.Kind == credential.Forbidden:
		return nil, &Denied{
			Reason: "credential: " + f.Cause.Error(),
			Public: mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "%s: %s", u.Name, f.Public),
		}
	default:
		status := http.StatusBadGateway
		if f.Kind == credential.Unavailable {
			status, no.RetryAfter = http.StatusServiceUnavailable, f.RetryAfter
		}
		no.Cause, no.Public = f.Cause, mcp.Errorf(status, mcp.CodeInternal, "%s: %s", u.Name, f.Public)
	}
	return nil, no
}

// statusClientClosed marks, in metrics and audit only, a client that went away
// before it got an answer.
const statusClientClosed = 499
