package pipeline

import "github.com/sallyport-dev/sallyport/internal/mcp"

// Client is what the steps see of whoever sent an exchange, by whatever transport:
// six verbs, and no step asks which transport it is.
type Client interface {
	// Receive looks at the head of the exchange: no message is read for who comes in the
	// wrong way, or may not come in. It sets Caller, where the connection has outlived the
	// token that opened it, and the session step is to judge what may still come by it.
	Receive(x *Exchange) *mcp.Error
	// Read reads the message, if there is one, within the limits of size and time. It sets
	// Body and Held.
	Read(x *Exchange) *mcp.Error
	// Complete sets Revision, once the message has been read: what the transport says
	// beside a message has to agree with it.
	Complete(x *Exchange) *mcp.Error
	// FindSession sets Session, if the exchange is of one: this caller's, and at this
	// target.
	FindSession(x *Exchange) *mcp.Error
	// Forward has the target answer (see [Exchange.Prepare] and [Exchange.Do]), and
	// brings the answer to the client, its own or the gateway's alike.
	Forward(x *Exchange) *mcp.Error
	// Refuse tells the client that the exchange has failed. Denied says more of a
	// credential that it should have shown, Told of what else its answer has to say.
	Refuse(x *Exchange, err *mcp.Error)
}
