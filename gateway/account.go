package gateway

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
)

// Accounts say where the gateway's own accounts at remote servers are kept, and
// whether a person can be asked to sign in.
type Accounts struct {
	Vault   oauthclient.Vault    // nil keeps them in memory
	Browser *oauthclient.Browser // nil where there is nobody
}

// maxRenewals is how often one exchange may get another credential. A backend that
// refuses every one of them is not to send a person round in circles.
const maxRenewals = 3

// ask sends a request to the backend. Where the backend refuses the credential, and
// there can be another one, that is obtained and the request sent again: it was
// refused before it was processed. The challenge itself goes no further (RS9).
func (e *Endpoint) ask(ctx context.Context, x *Exchange, req *backend.Request) (*backend.Response, error) {
	source, ok := e.outgoing.credential.(credential.Challenger)
	if !ok {
		return e.backend.Do(ctx, req)
	}
	_, req.Challenges = source.(*credential.Account) // it can get more scopes
	want := &credential.Request{Caller: x.caller, Token: x.token}
	for renewals := 0; ; renewals++ {
		resp, err := e.backend.Do(ctx, req)
		refused, ok := errors.AsType[*backend.Failure](err)
		if !ok || refused.Challenge == nil || renewals == maxRenewals {
			return resp, err
		}
		if cause := source.Challenged(ctx, want, req.Private, *refused.Challenge); cause != nil {
			return nil, e.noAccount(ctx, x, cause)
		}
		private := maps.Clone(req.Private)
		if private == nil {
			private = http.Header{}
		}
		if cause := e.outgoing.apply(ctx, want, private, req); cause != nil {
			return nil, e.noAccount(ctx, x, cause)
		}
	}
}

// noAccount is what a client is told when there is no other credential to show.
func (e *Endpoint) noAccount(ctx context.Context, x *Exchange, cause error) *backend.Failure {
	if ctx.Err() != nil {
		gone := mcp.Errorf(statusClientClosed, mcp.CodeInternal, "%s: the request was cancelled", e.name)
		return &backend.Failure{Public: gone, Reason: backend.ReasonCanceled, Cause: cause}
	}
	return &backend.Failure{Public: e.withoutCredential(x, cause), Reason: backend.ReasonCredential, Cause: cause}
}
