package upstream

import (
	"context"
	"errors"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// Config is all of an [Upstream]. No two of Headers, Passthrough and Credential set
// the same header.
type Config struct {
	Name    string // of the resource, as people are told
	Key     string // of the address: equal for equal ones. A session is good for that alone.
	Backend backend.Backend
	Address Address

	Headers     http.Header       // the manifest's own and fixed credentials; never changed
	Passthrough []string          // canonical names of client headers that pass
	Credential  credential.Source // nil when there is none, or it is a fixed one

	Tools *ToolView // nil where tools are as the server has them
	Lock  *Lock     // that its tools are held to; nil for none
	Hints bool      // whether the annotations of tools are remembered, for policies

	Revision mcp.Revision // that the server speaks; "" finds out
	Ring     *seal.Ring   // seals the ids of events; nil leaves them the server's own
	Health   *Health      // shared by all with the same Key
	Metrics  *telemetry.Server
	Message  mcp.Limits
	List     listing.Limits
}

// Upstream is one server. It is safe for use by many goroutines.
type Upstream struct {
	Config
	hints  toolHints
	lister *listing.Client
	speaks revision
}

// New makes an upstream. Nothing is dialled.
func New(cfg Config) *Upstream {
	if cfg.Health == nil {
		cfg.Health = &Health{}
	}
	u := &Upstream{Config: cfg, hints: toolHints{known: map[string]mcp.Hints{}}, lister: listing.New(cfg.Name, cfg.List)}
	u.speaks.found(cfg.Revision)
	return u
}

// Prepare obtains what the call shows the server. Do does so itself where that has
// not been done; whoever answers its client in another way than the one the answer
// comes by wants to know at once that there is no credential.
func (u *Upstream) Prepare(ctx context.Context, c *Call) error {
	if c.prepared {
		return nil
	}
	c.prepared = true
	var err error
	if cause := u.show(ctx, c); cause != nil {
		c.own, err = u.withoutCredential(ctx, c, cause)
	}
	if u.Credential != nil && c.Span != nil {
		c.Span.Event("credential", "sallyport.credential.result", map[bool]string{true: "success", false: "failed"}[err == nil && c.own == nil])
	}
	if err == nil && c.own == nil {
		err = u.admit(ctx, c)
	}
	return err
}

var jsonType = []string{"application/json"}

// Do sends a call and returns the head of its answer, which the caller ends. When ctx
// ends the call is cancelled at the server. An error is a *[backend.Failure], or
// a *[Denied] where nothing was sent.
func (u *Upstream) Do(ctx context.Context, c *Call) (*Answer, error) {
	if err := u.Prepare(ctx, c); err != nil {
		return nil, err
	}
	a := &c.answer
	a.call = c
	if c.own != nil {
		a.Response = *c.own
		return a, nil
	}
	if c.Body != nil {
		c.Header["Content-Type"] = jsonType
	}
	c.req.Method, c.req.Header, c.req.Session, c.req.Caller = c.Method, c.Header, c.Session, c.Sharer
	c.req.Body, c.req.Message, c.req.Sent = c.Body, c.Message, c.Sent
	c.req.Repeatable = c.isRequest() && c.Message.Method == "tools/call" && u.HintsOf(c.Target).Repeatable()
	u.resume(c)
	u.begin(c)
	resp, err := u.send(ctx, c, &c.req)
	if err != nil {
		u.failed(err)
		c.end(reasonOf(err))
		return nil, err
	}
	u.sealIDs(c, resp)
	a.Response = *resp
	if u.Lock != nil && a.Stream {
		a.Body = &watched{ReadCloser: a.Body, lock: u.Lock}
	}
	if a.Own == "" {
		u.reached(healthReady, nil)
		c.answeredBy(a)
	}
	return a, nil
}

// List returns the raw items of all pages of a list, asked for as the caller of c.
// change makes of each page what may be seen of it. The errors are those of Do.
func (u *Upstream) List(ctx context.Context, c *Call, method string, change func(page []byte) ([]byte, error)) ([][]byte, error) {
	if err := u.Prepare(ctx, c); err != nil {
		return nil, err
	}
	done := func() {}
	if u.Lock != nil && method == "tools/list" {
		change, done = u.Lock.listed(u.Sharing(c.Caller, c.Token, c.Captured), !u.PerCaller() && len(c.Captured) == 0, change)
	}
	items, err := u.lister.All(ctx, listing.Query{
		Method: method, Change: change, Speaks: u.speaks.known(), Found: u.speaks.found,
		Do: func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
			req.Private, req.Signing, req.Caller = c.req.Private, c.req.Signing, c.Sharer
			return u.send(ctx, c, req)
		},
	})
	if err != nil {
		u.failed(err)
		return nil, err
	}
	u.reached(healthReady, nil)
	done()
	return items, nil
}

// reasonOf is the label of a failed call.
func reasonOf(err error) string {
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		return string(f.Reason)
	}
	return string(backend.ReasonCredential) // what is denied on the way is so for want of one
}
