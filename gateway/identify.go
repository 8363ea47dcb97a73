package gateway

import (
	"net/http"
	"net/netip"

	"github.com/coder/websocket"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// identify is the outer door. An endpoint without incoming authentication serves
// anonymous callers (REQ A-1); what a client claims about itself is not believed.
//
// Each message of a WebSocket is identified anew by what the handshake showed, as a
// token can be revoked; one that has expired is for the session step to judge.
func (e *Endpoint) identify(x *Exchange) *mcp.Error {
	if x.socket != nil && x.socket.lapsed() {
		x.caller, x.token = x.socket.who, x.socket.token
		return nil
	}
	// Of two credentials, a proxy before the gateway may have checked the other one.
	if len(x.r.Header["Authorization"]) > 1 {
		return e.deny(x, &authn.Denied{Status: http.StatusBadRequest, Code: authn.CodeInvalidRequest, Reason: "there is more than one Authorization header"})
	}
	caller, denied := e.door.Resolve(x.r.Context(), &authn.Request{Header: x.r.Header, Peer: peer(x.r), TLS: x.r.TLS})
	if denied != nil {
		return e.deny(x, denied)
	}
	x.caller = caller
	if e.outgoing.credential != nil {
		x.token = authn.Presented(caller, x.r.Header)
	}
	return nil
}

// deny turns a refusal into what the client may know of it. The reason is for log
// and audit.
func (e *Endpoint) deny(x *Exchange, d *authn.Denied) *mcp.Error {
	x.note(d.Reason)
	if e.protection != nil && !x.detached && (d.Status == http.StatusUnauthorized || d.Status == http.StatusForbidden) {
		x.w.Header()["Www-Authenticate"] = []string{e.challenge(x.r, d.Code, d.Scopes)}
	}
	text := "authentication is required"
	switch {
	case d.Status == http.StatusServiceUnavailable:
		text = "the token cannot be checked now; try again soon"
	case d.Code == authn.CodeInsufficientScope:
		text = "the token lacks a scope that is required here"
	case d.Code == authn.CodeInvalidToken:
		text = "the token is invalid"
	case d.Code == authn.CodeInvalidRequest:
		text = "the credential cannot be understood"
	}
	x.stranger = x.surface == surfaceSocket
	if x.socket != nil && d.Status != http.StatusServiceUnavailable {
		x.socket.hangUp(&closing{websocket.StatusPolicyViolation, text})
	}
	return mcp.Errorf(d.Status, mcp.CodeInvalidRequest, "%s", text)
}

// peer is the address that the request came from; the zero Addr if it has none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}
