package gateway

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// Endpoint serves one resource at its paths. It is immutable once compiled.
type Endpoint struct {
	name        string // the resource's name: /servers/NAME/…
	kind        string
	fingerprint string // of every setting; a stream that only listens ends when it changes
	settings    []any  // while it is compiled: what the fingerprint is made of

	backend    backend.Backend
	backendKey string // of the backend's address; a session is good for that backend alone
	door       *authn.Resolver
	mapping    authn.Mapping // how claims of a token become a caller
	accounts   *accounts     // which service accounts are callers; nil for other issuers
	protection *protection   // nil where nobody needs a token
	authServer *embedded     // that people sign in with; nil for none
	resources  []string      // that tokens of authServer may be for
	queryToken bool          // a WebSocket's token may come in its query
	// doorWarning is what operators should know of the door; "" when there is nothing.
	doorWarning string
	rates       []rate      // that calls of tools are held to
	policy      *policy.Set // nil where everybody may do everything
	hints       *toolHints
	tools       *toolView // nil where tools are as the backend has them
	lists       *mcp.Lists
	lister      *listing.Client
	health      *health
	outgoing    outgoing
	link        link
	sessions    sealer

	server  *Server
	audit   audit.Sink
	metrics *telemetry.Server
	tracing tracing
	log     *slog.Logger

	steps []step
}

// step is one stop on a request's way. An error ends the way; it is written to
// the client by refuse and recorded by finish.
type step struct {
	name string
	run  func(*Exchange) *mcp.Error
}

// path is the request path, in order, the same for every kind of resource and
// every surface. To add a step, add a line. The order is part of the product's
// promise (REQ B-24) and each step has its place for a reason.
func (e *Endpoint) path() []step {
	return []step{
		{"receive", e.receive},     // first: Host, Origin, type and size, before a byte of body is kept
		{"identify", e.identify},   // the outer door; before parse: no parser for strangers
		{"parse", e.parse},         // read once, strictly; every later step sees this reading and no other
		{"limit", e.limit},         // before anything that calls out
		{"session", e.openSession}, // is it this caller's session, and at this backend?
		{"resolve", e.resolve},     // public name → the backend's, so that policy judges what will run
		{"filter", e.filter},       // arguments; cannot change what is called
		{"authorize", e.authorize}, // on what will really run
		{"forward", e.forward},     // the inner door last: credentials are obtained only for what was allowed
	}
}

// serve carries one exchange along the path. finish runs always, also on panic.
func (e *Endpoint) serve(x *Exchange) {
	x.start, x.id = time.Now(), rand.Text()
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			e.panicked(x, p)
		}
		if !x.detached {
			e.finish(x)
		}
		if p == http.ErrAbortHandler {
			panic(p) // net/http breaks the connection, so that a cut answer never looks whole
		}
	}()
	for i := range e.steps {
		if err := e.steps[i].run(x); err != nil {
			if x.reason == "" {
				x.reason = e.steps[i].name
			}
			e.refuse(x, err)
			return
		}
	}
}

// panicked makes a panic an error of this one exchange. It is called where the
// panic was recovered, so that the stack is still that of the panic.
func (e *Endpoint) panicked(x *Exchange, p any) {
	e.log.Error("panic while serving a request", "id", x.id, "panic", p, "stack", string(debug.Stack()))
	e.refuse(x, mcp.Errorf(http.StatusInternalServerError, mcp.CodeInternal, "internal error, see the gateway's log for %s", x.id))
	x.fail("panic", nil)
}
