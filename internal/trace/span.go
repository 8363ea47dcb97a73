package trace

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Kind is which side of a call a span describes.
type Kind int

// The kinds, as OTLP numbers them.
const (
	Server Kind = 2
	Client Kind = 3
)

// A Span is one operation. It is not safe for concurrent use, and nil is a span
// that nobody looks at.
type Span struct {
	tracer *Tracer
	ctx    Context
	parent [8]byte
	kind   Kind
	name   string
	start  time.Time

	attributes, events, links []byte // JSON, each item followed by a comma
	failed                    bool
	message                   string
}

// usualAttributes is how many bytes most spans need for their attributes.
const usualAttributes = 1 << 10

// Context is the span's own place, which is its children's parent. That of a nil
// Span is not valid.
func (s *Span) Context() Context {
	if s == nil {
		return Context{}
	}
	return s.ctx
}

// Child begins a span below this one.
func (s *Span) Child(kind Kind, name string, start time.Time) *Span {
	if s == nil {
		return nil
	}
	c := &Span{tracer: s.tracer, ctx: s.ctx, parent: s.ctx.Span, kind: kind, name: name, start: start, attributes: make([]byte, 0, usualAttributes)}
	c.ctx.Span = newSpan()
	return c
}

// Text sets an attribute, unless the value is empty. A key is set once.
func (s *Span) Text(key, value string) {
	if s != nil && value != "" {
		s.attributes = appendText(s.attributes, key, value)
	}
}

// Int sets an attribute, unless the value is zero.
func (s *Span) Int(key string, value int) {
	if s != nil && value != 0 {
		s.attributes = append(s.attributes, `{"key":"`...)
		s.attributes = append(s.attributes, key...)
		s.attributes = append(s.attributes, `","value":{"intValue":"`...)
		s.attributes = strconv.AppendInt(s.attributes, int64(value), 10)
		s.attributes = append(s.attributes, `"}},`...)
	}
}

// Event notes something that happened at this moment; pairs are keys and values of
// its attributes.
func (s *Span) Event(name string, pairs ...string) {
	if s == nil {
		return
	}
	s.events = appendNanos(append(s.events, `{"timeUnixNano":"`...), time.Now())
	s.events = append(append(append(s.events, `","name":"`...), name...), `","attributes":[`...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			s.events = appendText(s.events, pairs[i], pairs[i+1])
		}
	}
	s.events = append(trimComma(s.events), "]},"...)
}

// Link points at another place that the operation has to do with.
func (s *Span) Link(to Context) {
	if s == nil || !to.Valid() {
		return
	}
	s.links = hex.AppendEncode(append(s.links, `{"traceId":"`...), to.Trace[:])
	s.links = hex.AppendEncode(append(s.links, `","spanId":"`...), to.Span[:])
	s.links = append(s.links, `"},`...)
}

// Fail marks the operation as failed. The type is one of few words; the message is
// for people, and may be empty.
func (s *Span) Fail(errorType, message string) {
	if s == nil || s.failed {
		return
	}
	s.failed, s.message = true, message
	s.Text("error.type", errorType)
}

// End sends the span on its way; nothing may be added after that.
func (s *Span) End() {
	if s != nil {
		s.tracer.queue.Put(s.append(make([]byte, 0, usualAttributes+len(s.attributes)+len(s.events)+len(s.links))))
	}
}

// append adds the span as the protocol's JSON has it: 64-bit integers as strings,
// ids in hexadecimal, enumerations as numbers.
func (s *Span) append(b []byte) []byte {
	// The first byte of the flags is W3C's; the next says that it is known whether
	// the parent is in another process, and whether it is.
	flags := `","flags":257`
	if s.kind == Server && s.parent != [8]byte{} {
		flags = `","flags":769`
	}
	b = hex.AppendEncode(append(b, `{"traceId":"`...), s.ctx.Trace[:])
	b = hex.AppendEncode(append(b, `","spanId":"`...), s.ctx.Span[:])
	if s.parent != [8]byte{} {
		b = hex.AppendEncode(append(b, `","parentSpanId":"`...), s.parent[:])
	}
	b = append(b, flags...)
	if s.ctx.State != "" {
		b = mcp.AppendQuote(append(b, `,"traceState":`...), s.ctx.State)
	}
	b = mcp.AppendQuote(append(b, `,"name":`...), cut(s.name))
	b = strconv.AppendInt(append(b, `,"kind":`...), int64(s.kind), 10)
	b = appendNanos(append(b, `,"startTimeUnixNano":"`...), s.start)
	b = appendNanos(append(b, `","endTimeUnixNano":"`...), s.start.Add(max(0, time.Since(s.start))))
	b = append(append(append(b, `","attributes":[`...), trimComma(s.attributes)...), ']')
	if len(s.events) > 0 {
		b = append(append(append(b, `,"events":[`...), trimComma(s.events)...), ']')
	}
	if len(s.links) > 0 {
		b = append(append(append(b, `,"links":[`...), trimComma(s.links)...), ']')
	}
	if s.failed {
		b = append(b, `,"status":{"code":2`...)
		if s.message != "" {
			b = mcp.AppendQuote(append(b, `,"message":`...), cut(s.message))
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendText adds an attribute and a comma.
func appendText(b []byte, key, value string) []byte {
	b = append(append(append(b, `{"key":"`...), key...), `","value":{"stringValue":`...)
	return append(mcp.AppendQuote(b, cut(value)), "}},"...)
}

func appendNanos(b []byte, t time.Time) []byte { return strconv.AppendInt(b, t.UnixNano(), 10) }

func trimComma(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == ',' {
		return b[:n-1]
	}
	return b
}

// cut bounds text from outside: a caller must not be able to fill the queue with
// one long name.
func cut(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
