package mcp

// Kind is what a JSON-RPC message is.
type Kind uint8

// The kinds of message. The zero Kind is no message.
const (
	KindRequest      Kind = iota + 1 // has a method and an id, waits for an answer
	KindNotification                 // has a method and no id
	KindResponse                     // has a result or an error
)

// Span is a range of bytes of Envelope.Raw. The zero Span means absent.
type Span struct{ Start, End int }

// Present reports whether there is something.
func (s Span) Present() bool { return s.End > 0 }

// Envelope is one message, read once. Its slices point into Raw, which must not
// be changed while it is in use.
type Envelope struct {
	Raw    []byte
	Kind   Kind
	ID     []byte // raw JSON, a string or an integer; nil for a notification
	Method string // decoded; "" for a response
	Params Span   // raw params object

	// Target is what the method works on, decoded: the name of a tool or prompt,
	// a resource's URI, a task's id; "" where the method has none. TargetSpan is
	// its raw JSON string, and tells an empty target from an absent one.
	Target     string
	TargetSpan Span

	Meta Meta
}

// Meta is the part of params._meta that a gateway reads.
type Meta struct {
	Span            Span   // raw _meta object
	ProtocolVersion string // io.modelcontextprotocol/protocolVersion
	HasVersion      bool
	// HasClientCapabilities says that io.modelcontextprotocol/clientCapabilities
	// is there and is an object.
	HasClientCapabilities bool
	ProgressToken         Span // raw value

	// W3C Trace Context (MCP 2026-07-28, reserved keys of _meta), raw values.
	TraceParent Span
	TraceState  Span
}

// Bytes returns the bytes of a span, nil for an absent one.
func (e *Envelope) Bytes(s Span) []byte {
	if !s.Present() {
		return nil
	}
	return e.Raw[s.Start:s.End:s.End]
}

// Limits bound what Parse reads. A field that is zero has its default.
type Limits struct {
	// MaxDepth is how many objects and arrays may be open at once; the message
	// itself is the first. At most 10000, where the JSON reader gives up.
	MaxDepth int
	// MaxNumberLen is the length of the longest number, in bytes.
	MaxNumberLen int
	// MaxObjectMembers is how many members one object may have, and MaxMembers how
	// many all objects together: a reader that refuses a key that is there twice has
	// to remember them.
	MaxObjectMembers, MaxMembers int
}

// DefaultLimits are the limits for a gateway at the edge: 128 deep, numbers of
// 512 bytes, 10,000 members an object and 100,000 a message.
func DefaultLimits() Limits {
	return Limits{MaxDepth: 128, MaxNumberLen: 512, MaxObjectMembers: 10_000, MaxMembers: 100_000}
}

// answerLimits bound a backend's message where it is read strictly. A list may hold
// thousands of tools.
func answerLimits() Limits {
	return Limits{MaxDepth: 512, MaxNumberLen: 64 << 10, MaxObjectMembers: 10_000, MaxMembers: 1_000_000}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.MaxDepth <= 0 {
		l.MaxDepth = d.MaxDepth
	}
	if l.MaxNumberLen <= 0 {
		l.MaxNumberLen = d.MaxNumberLen
	}
	if l.MaxObjectMembers <= 0 {
		l.MaxObjectMembers = d.MaxObjectMembers
	}
	if l.MaxMembers <= 0 {
		l.MaxMembers = d.MaxMembers
	}
	return l
}
