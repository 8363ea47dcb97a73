package duplex

import (
	"context"
	"errors"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// link is one live duplex connection to a server: messages go in by send, and come
// out at the receiver it was opened with.
type link interface {
	// send hands over one message and returns once the connection has taken it.
	// It never waits beyond ctx. Its error is errUnsent when the server certainly
	// has nothing of the message, a *Failure when it refused the message, and
	// anything else when the message may or may not have arrived: then either ctx
	// has ended, or the receiver hears that the link has.
	send(ctx context.Context, out outbound) error

	// close ends the connection, gently first, and returns when nothing is left of
	// it and the receiver has heard of the end. It must not be called from a
	// receiver's method.
	close()
}

// outbound is one message on its way to the server.
type outbound struct {
	body    []byte
	public  http.Header // stdio has no use for headers
	private http.Header
}

func outboundOf(r *backend.Request) outbound {
	return outbound{body: r.Body, public: r.Header, private: r.Private}
}

// receiver takes what comes out of a link. One goroutine calls it, in the order of
// the wire.
type receiver interface {
	// received takes one message, which is the receiver's to keep. It reports
	// whether that was a JSON-RPC message at all.
	received(raw []byte) bool
	// skipped says that a message was longer than limit bytes and was thrown away.
	// Key is the idKey of the request it answered, "" when that is not known.
	skipped(limit int, key string)
	// ended is the last call: the link is gone, and why is what whoever still
	// waits for an answer is told.
	ended(why *backend.Failure)
}

// opener makes links. Each link belongs to one session, or to all sessionless
// clients together.
type opener interface {
	// open makes a link. First is the request that wanted it. Ctx is for the
	// opening alone.
	open(ctx context.Context, first outbound, to receiver) (link, *backend.Failure)
	// modern reports whether the transport can carry revision 2026-07-28 at all.
	modern() bool
}

// What links say went wrong, beside what their transports do.
var (
	errNoAnswer = errors.New("no answer within the time limit")
	errBodyDone = errors.New("read on closed body")
	errClosed   = errors.New("backend closed")
	// errNeverSpoke is a command that ended without a word but those on its stderr.
	errNeverSpoke = errors.New("the command ended before it said anything")
)

// errUnsent is a message that the server has seen nothing of.
var errUnsent = errors.New("message was not sent")
