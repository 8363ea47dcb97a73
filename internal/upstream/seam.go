package upstream

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file has what the pipeline and what is behind it tell each other.

// Target is all that a step of the pipeline knows of what is behind an endpoint: one
// server (internal/target), several as one (internal/virtual), or a target around a
// target that adds tools of its own.
type Target interface {
	// Key names what is behind the target. A session is good for that alone.
	Key() string
	// Passthrough are the canonical names of client headers that may pass.
	Passthrough() []string
	// WantsToken reports whether a call is shown what is made of the caller's token.
	WantsToken() bool
	// Members are the servers behind the target, as they are.
	Members() []MemberState

	// Resolve finds out where a message goes, and what that is called there. The call says
	// whose message it is.
	Resolve(ctx context.Context, c *Call, m *mcp.Envelope) Resolution
	// Prepare obtains what a call shows its server. Do does so itself where that has not
	// been done.
	Prepare(ctx context.Context, c *Call) error
	// Do sends a call and returns the head of its answer, which the caller ends. An error
	// is a *[backend.Failure], or a *[Denied] where nothing was sent.
	Do(ctx context.Context, c *Call) (*Answer, error)
	// List returns the raw items of all pages of a list. change makes of each page what may
	// be seen of it.
	List(ctx context.Context, c *Call, method string, change func(page []byte, owners Owners) ([]byte, error)) ([][]byte, error)
	// Close ends the session whose state the call presents.
	Close(ctx context.Context, c *Call) error
	// Knows reports whether a state is one that Do can present.
	Knows(state []byte) bool

	// Learn takes in what a list says of tools, by their own names.
	Learn(tools []mcp.Item)
	// Renames reports whether Publish has anything to do.
	Renames() bool
	// Publish makes a list say what clients call things: it unmarks in keep what they do not
	// see, and returns what changes in the rest.
	Publish(method string, l *mcp.List, keep []bool) []mcp.Edit
}

// Rights say what a caller may use.
type Rights interface {
	// May reports, of the items of a list that there are in all, which ones the caller may
	// use. What is in no group is nobody's, and not for anybody.
	May(method string, groups []Group, items int) []bool
}

// Shown are all tools as clients see them, before anybody has asked what a caller may
// use of them. It is never changed: while the tools stay, it is the same one.
type Shown struct {
	Items  [][]byte // raw, under the names that clients know
	Names  []string // those
	Groups []Group  // whose they are
}

// Resolution is where a message goes.
type Resolution struct {
	Member string     // which of several servers; "" for the only one, or the gateway itself
	Name   string     // its own name of what the message is about
	Hints  mcp.Hints  // of a tool, as far as they are known
	Edits  []mcp.Edit // that make the message say so; nil leaves its bytes alone
	// Unknown is what there is none of by the name in the message; "" where there is.
	Unknown string
	// Lists says that the gateway itself answers, with no more than a list of tools would
	// say: policies are asked whether the caller may have that.
	Lists bool
}

// Part is a call that a target makes in the course of another.
type Part struct {
	Name   string // for the audit event
	Body   []byte // the message, with the server's own name of what it is about
	Public string // what clients call that; "" where they do not see it
	To     Resolution
}

// Group are items of a list that are of one member, as that calls them.
type Group struct {
	Member string
	Items  []mcp.Item // their names are the member's own
	At     []int      // where each stands in the list
	Own    bool       // they are the gateway's own, for everybody; no policy is asked
}

// Owners says whose the items of a list are that clients are given.
type Owners func(l *mcp.List) []Group

// MemberState is a server as it is, for whoever asks which there are.
type MemberState struct {
	Name   string
	Status string    // ready, degraded, unavailable, unauthenticated or unknown
	Why    string    // it is not ready; "" where it is, or nothing is known
	Last   time.Time // of the last exchange; zero for none
	// Exchange is the exchange of callers' tokens for those of the server; nil where there
	// is none.
	Exchange *credential.ExchangeState
	// Drift is what becomes of tools that are not as they were locked; "" where there is no
	// lock. Changed are those tools, by the server's own names.
	Drift   Drift
	Changed []ToolChange
}

// ToolChange says how a tool differs from what it was.
type ToolChange struct{ Tool, Change string }
