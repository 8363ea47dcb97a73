package backend

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Raw is an answer that nobody has judged, for transports that carry MCP over HTTP in
// another way than Streamable HTTP does. Its header and body are the backend's own
// words: nothing of them may reach a client.
type Raw struct {
	*http.Response
	by    *HTTP
	from  *target
	shown http.Header // private headers
}

// Raw sends a request, and follows redirects as [HTTP.Do] does.
func (b *HTTP) Raw(ctx context.Context, req *Request) (*Raw, *Failure) {
	r, f := b.follow(ctx, req)
	if f != nil {
		return nil, f
	}
	return &r, nil
}

// IsEventStream reports whether the body is one, by its type.
func (r *Raw) IsEventStream() bool { return isEventStream(r.Header) }

// Discard closes a body that says nothing, so that its connection can be used again
// where that is little work.
func (r *Raw) Discard() {
	if r.IsEventStream() {
		closeBody(r.Body) // it may never end
	} else {
		discard(r.Body)
	}
}

// Refused is the failure of a status that refuses the gateway's credential; nil for
// another status.
func (r *Raw) Refused() *Failure {
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return r.by.challenged(refusedCredential(r.by.name, r.Response), r.from)
	}
	return nil
}

// Endpoint is the backend at the address that an answer names, which takes what the
// answer's own backend cannot. What is sent there carries people's data, so it is at
// the answer's origin, or where redirects may lead. Trusted says that it is of the
// configured origin: private headers go nowhere else.
func (r *Raw) Endpoint(location string) (b *HTTP, trusted bool, f *Failure) {
	of := r.by
	bad := func(cause, text string) *Failure {
		return Fail(of.name, http.StatusBadGateway, ReasonBadAnswer, errors.New("read endpoint: "+cause), text)
	}
	to, err := r.from.parseTarget(location)
	if err != nil {
		return nil, false, bad(err.Error(), "the backend names an endpoint that is not a plain http or https URL; check that remoteUrl leads to the event stream of an HTTP+SSE server")
	}
	to = of.samePlace(to, r.from)
	others := of.redirects.AllowedHosts[:len(of.redirects.AllowedHosts)-1] // without the backend's own
	switch {
	case to.origin == r.from.origin:
	case r.from.scheme == "https" && to.scheme == "http" && !of.redirects.AllowDowngrade:
		return nil, false, bad("from https to http", "the backend names an endpoint without https, which is not used; redirects.allowDowngrade admits it")
	case !slices.ContainsFunc(others, func(host string) bool { return strings.EqualFold(host, to.host) }):
		return nil, false, bad("it is at "+to.origin+", the stream at "+r.from.origin,
			"the backend names an endpoint at another origin than its event stream; the gateway's log names it, and redirects.allowedHosts admits its host")
	}
	to.shown = to.origin + "/[endpoint of the event stream]" // path and query are as good as a session id
	return &HTTP{
		name: of.name, target: to, redirects: of.redirects, limits: of.limits,
		log: of.log, metrics: of.metrics, agent: of.agent, plain: of.plain, secure: of.secure,
	}, of.own(to), nil
}

// Origin is the scheme, host and port that the backend is configured with.
func (b *HTTP) Origin() string { return b.target.origin }
