package target

import (
	"context"
	"encoding/binary"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Target is what an endpoint stands for. It is safe for use by many goroutines.
type Target struct{ upstream *upstream.Upstream }

// New makes a target of one upstream.
func New(u *upstream.Upstream) *Target { return &Target{upstream: u} }

// Renames reports whether clients call things what their server does not, so that lists
// have to be looked at.
func (t *Target) Renames() bool { return t.upstream.Tools != nil || t.upstream.Lock != nil }

// Publish makes a list say what clients call things: it unmarks in keep what they do not
// see, and returns what changes in the rest.
func (t *Target) Publish(method string, l *mcp.List, keep []bool) []mcp.Edit {
	if method != "tools/list" {
		return nil
	}
	if t.upstream.Lock != nil {
		t.upstream.Lock.Publish(l, keep)
	}
	if t.upstream.Tools == nil {
		return nil
	}
	return t.upstream.Tools.Publish(l, keep)
}

// Key names the address of what is behind the target: equal for equal ones. A
// session is good for that alone.
func (t *Target) Key() string { return t.upstream.Key }

// Passthrough are the canonical names of client headers that may pass.
func (t *Target) Passthrough() []string { return t.upstream.Passthrough }

// WantsToken reports whether a call is shown what is made of the caller's token.
func (t *Target) WantsToken() bool { return t.upstream.Credential != nil }

// Members is the one server there is, and what the last exchange with it was like.
func (t *Target) Members() []upstream.MemberState {
	return []upstream.MemberState{t.upstream.State(t.upstream.Tools)}
}

// Probe asks the server whether it is there. A program that the gateway runs is not
// started for that.
func (t *Target) Probe(ctx context.Context) error {
	if t.upstream.Address.Host == "" {
		return nil
	}
	return t.upstream.Probe(ctx, true)
}

// Resolve finds out what a message is about, as its server calls it.
func (t *Target) Resolve(_ context.Context, _ *upstream.Call, m *mcp.Envelope) upstream.Resolution {
	r := upstream.Resolution{Name: m.Target}
	if m.Method != "tools/call" {
		return r
	}
	if t.upstream.Tools != nil {
		own, ok := t.upstream.Tools.OwnName(m.Target)
		switch {
		case !ok:
			r.Unknown = "tool"
		case own != m.Target:
			r.Name, r.Edits = own, []mcp.Edit{{Span: m.TargetSpan, New: mcp.Quote(own)}}
		}
	}
	r.Hints = t.upstream.HintsOf(r.Name)
	return r
}

// Learn takes in what a list says of tools, by their own names.
func (t *Target) Learn(tools []mcp.Item) { t.upstream.Learn(tools) }

// Prepare obtains what a call shows its server, as [upstream.Upstream.Prepare] does.
func (t *Target) Prepare(ctx context.Context, c *upstream.Call) error {
	return t.upstream.Prepare(ctx, c)
}

// Do sends a call, as [upstream.Upstream.Do] does.
func (t *Target) Do(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	c.Session = session(c.State)
	a, err := t.upstream.Do(ctx, c)
	switch {
	case err != nil || a.Session.ID == "":
	case a.Session == c.Session:
		a.State = c.State
	default:
		a.State = state(a.Session)
	}
	return a, err
}

// List returns the raw items of a whole list, as [upstream.Upstream.List] does.
func (t *Target) List(ctx context.Context, c *upstream.Call, method string, change func(page []byte, owners upstream.Owners) ([]byte, error)) ([][]byte, error) {
	return t.upstream.List(ctx, c, method, func(page []byte) ([]byte, error) { return change(page, nil) })
}

// Close ends the session whose state the call presents. The call needs nothing but
// what says whose it is.
func (t *Target) Close(ctx context.Context, c *upstream.Call) error {
	if len(c.State) == 0 {
		return nil
	}
	c.Method = http.MethodDelete
	a, err := t.Do(ctx, c)
	if err == nil {
		a.End("")
	}
	return err
}

// stateVersion is the first byte of what is kept of a session.
const stateVersion = 1

// Knows reports whether a state is one that Do can present.
func (t *Target) Knows(state []byte) bool { return len(state) > 0 && state[0] == stateVersion }

// state is what has to be kept of a session at a server.
func state(s backend.Session) []byte {
	b := make([]byte, 0, 2+binary.MaxVarintLen32+len(s.ID)+len(s.Origin))
	b = binary.AppendUvarint(append(b, stateVersion), uint64(len(s.ID)))
	return append(append(b, s.ID...), s.Origin...)
}

// session is what state was made of; the zero Session for anything else.
func session(state []byte) backend.Session {
	if len(state) == 0 || state[0] != stateVersion {
		return backend.Session{}
	}
	n, w := binary.Uvarint(state[1:])
	rest := string(state[1+max(w, 0):])
	if w <= 0 || n > uint64(len(rest)) {
		return backend.Session{}
	}
	return backend.Session{ID: rest[:n], Origin: rest[n:]}
}
