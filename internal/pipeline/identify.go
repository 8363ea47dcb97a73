package pipeline

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// identify is the outer door. An endpoint without incoming authentication serves
// anonymous callers (REQ A-1); what a client claims about itself is not believed.
//
// Each message of a WebSocket is identified anew by what the handshake showed, as a
// token can be revoked; one that has expired is for the session step to judge.
func (e *Endpoint) identify(x *Exchange) *mcp.Error {
	if x.Caller != nil {
		return nil
	}
	// Of two credentials, a proxy before the gateway may have checked the other one.
	if len(x.Request.Header["Authorization"]) > 1 {
		return x.deny(&authn.Denied{Status: http.StatusBadRequest, Code: authn.CodeInvalidRequest, Reason: "there is more than one Authorization header"})
	}
	from := peer(x.Request)
	caller, denied := e.Door.Resolve(x.Request.Context(), &authn.Request{Header: x.Request.Header, Peer: from, TLS: x.Request.TLS, Sender: e.Link.sender(x.Request, from)})
	if denied != nil {
		return x.deny(denied)
	}
	x.Caller = caller
	if e.Target.WantsToken() {
		x.Token = authn.Presented(caller, x.Request.Header)
	}
	return nil
}

// deny turns a refusal into what the client may know of it. The reason is for log
// and audit.
func (x *Exchange) deny(d *authn.Denied) *mcp.Error {
	x.Note(d.Reason)
	x.Denied = d
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

// PeerAddress is the address the request came from, without the port.
func PeerAddress(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return h
}
