package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	inner "github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/console/shape"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// Message is one that the console sends, on the way of a client's.
type Message struct {
	Body   []byte
	Header http.Header                 // the protocol's own
	Token  secret.Value                // that is shown; empty for none
	Sent   func(*inner.Sent)           // hears of what goes out for it
	Answer func(part []byte) (on bool) // takes the answer as it comes, and says whether to go on
}

// done is what came of a trial that was sent. What is in it has no secret any more.
type done struct {
	verdict string
	tone    tone
	client  request
	server  []request // in the order in which they went out
	more    int       // that are not shown
	status  int
	answer  string
	cut     bool // there is more of it
	took    time.Duration
}

// request is one as it may be shown.
type request struct {
	line, body string
	head       []string
}

// How much is shown of what was sent.
const (
	maxAnswer   = 32 << 10
	maxRequests = 10
)

// clientMeta is what the console says of itself.
func clientMeta() string {
	return `{"io.modelcontextprotocol/protocolVersion":"` + string(mcp.Rev20260728) + `","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"sallyport console","version":` + string(mcp.Quote(version.Version())) + `}}`
}

// serveSend sends what was looked at before, once.
func (c *Console) serveSend(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	d := c.drafts.find(r, r.PostFormValue("draft"))
	now := c.cfg.Now()
	defer now.Release()
	again := func(status int, why string) {
		v := c.lookAround(r, &now)
		v.tried = &tried{trial: trial{as: asNobody}, mistake: why}
		if d != nil {
			v.tried = &tried{trial: trial{server: d.server, as: asNobody, token: d.token}, mistake: why, tools: d.tools, draft: c.drafts.keep(d.next()), kept: !d.token.Empty()}
			if !d.token.Empty() {
				v.tried.as = asToken
			}
		}
		v.write(w, status)
	}
	if d == nil {
		again(http.StatusConflict, "Nothing was sent: this page is too old, or another browser's. Look again.")
		return
	}
	s := now.server(d.server)
	if s == nil || now.Endpoint(d.server).Fingerprint != d.fingerprint {
		again(http.StatusConflict, "Nothing was sent: the configuration of "+d.server+" has changed since you looked. Look again.")
		return
	}
	t, ask := c.drafts.take(d, r.PostFormValue("sure") == "yes")
	switch {
	case t == nil:
		again(http.StatusConflict, "Nothing was sent: this was sent already, and goes out once. Look again to send it anew.")
		return
	case ask:
		again(http.StatusBadRequest, "Nothing was sent: "+t.tool+" may change something. Look again, and say that it may.")
		return
	}
	x := &tried{trial: *t, tools: d.tools, draft: c.drafts.keep(d.next()), kept: !d.token.Empty()}
	e := now.Endpoint(d.server)
	x.done = x.deliver(r, s, &e, &now)
	v := c.lookAround(r, &now) // with what has become of it
	v.tried = x
	v.write(w, http.StatusOK)
}

// next is what one goes on from after something was sent, or was not.
func (d *draft) next() *draft {
	return &draft{owner: d.owner, server: d.server, token: d.token, shown: d.shown, tools: d.tools}
}

// reads reports whether a tool has said that it changes nothing.
func (d *draft) reads(name string) bool {
	x := tried{trial: trial{tool: name}, tools: d.tools}
	t := x.known()
	return t != nil && t.Reads
}

// deliver sends the call, as a client would that speaks the newest revision.
func (x *tried) deliver(r *http.Request, s *Server, e *Endpoint, now *Now) *done {
	m := x.message()
	if m == nil { // it was looked at, and came through
		return &done{verdict: x.mistake, tone: bad}
	}
	began, at := time.Now(), time.Now()
	o := &onlooker{}
	head := http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		mcp.HeaderProtocolVersion: {string(mcp.Rev20260728)}, mcp.HeaderMethod: {m.Method}, mcp.HeaderName: {mcp.EncodeHeaderValue(x.tool)},
	}
	arguments, _ := mcp.Member(m.Bytes(m.Params), "arguments")
	if t := x.known(); t != nil {
		convert.SetParamHeaders(head, t.Schema, arguments)
	}
	message := Message{Body: x.sent, Header: head, Sent: o.sent, Answer: o.take}
	if x.as == asToken {
		message.Token = x.token
	}
	status, answered := e.Send(r, &message)
	own := head.Clone()
	if !message.Token.Empty() {
		own["Authorization"] = []string{"Bearer " + message.Token.Reveal()}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	secrets := shape.Secrets(own)
	for i := range o.all {
		secrets = append(secrets, shape.Secrets(o.all[i].Header)...)
	}
	d := &done{
		client: shown(&inner.Sent{Method: http.MethodPost, URL: s.address(now), Header: own, Body: x.sent}, secrets, at),
		status: status, cut: o.cut, took: time.Since(began).Round(time.Millisecond), more: o.more,
	}
	for i := range o.all {
		d.server = append(d.server, shown(&o.all[i], secrets, at))
	}
	d.judge(o.answer.Bytes(), answered.Get("Content-Type"), secrets)
	return d
}

// onlooker notes what goes out and what comes back. Several may tell it at a time.
type onlooker struct {
	mu     sync.Mutex
	all    []inner.Sent
	more   int
	answer bytes.Buffer
	cut    bool
}

func (o *onlooker) sent(s *inner.Sent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.all) == maxRequests {
		o.more++
		return
	}
	o.all = append(o.all, inner.Sent{Method: s.Method, URL: s.URL, Header: s.Header.Clone(), Body: bytes.Clone(s.Body)})
}

func (o *onlooker) take(part []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxAnswer - o.answer.Len(); len(part) > room {
		part, o.cut = part[:room], true
	}
	o.answer.Write(part)
	return !o.cut
}

// judge says what the answer says, as far as it says it.
func (d *done) judge(raw []byte, kind string, secrets []string) {
	messages := [][]byte{raw}
	if kind == "text/event-stream" {
		messages = nil
		events := mcp.NewEventReader(bytes.NewReader(raw), maxAnswer)
		for ev, err := events.Next(); err == nil; ev, err = events.Next() {
			if len(ev.Data) > 0 {
				messages = append(messages, bytes.Clone(ev.Data))
			}
		}
	}
	var text []byte
	last := []byte(nil)
	for _, m := range messages {
		if len(text) > 0 {
			text = append(text, "\n\n"...)
		}
		text = append(text, indented(m)...)
		last = m
	}
	d.answer = shape.Hide(string(text), secrets)
	failed, isError := mcp.Path(last, "error"), string(mcp.Path(last, "result", "isError")) == "true"
	switch {
	case d.cut:
		d.verdict, d.tone = "It answered, with more than is shown here.", good
	case failed != nil:
		d.verdict, d.tone = "It was answered with an error: "+shape.Hide(mcp.PathText(failed, "message"), secrets)+".", bad
	case isError:
		d.verdict, d.tone = "The tool says that it failed.", warn
	case d.status == http.StatusOK && json.Valid(last):
		d.verdict, d.tone = "It answered.", good
	default:
		d.verdict, d.tone = "There was no answer that a client could read, with status "+strconv.Itoa(d.status)+".", bad
	}
}

// shown is a request without its secrets.
func shown(s *inner.Sent, secrets []string, at time.Time) request {
	out := request{line: s.Method + " " + s.URL, body: shape.Hide(indented(s.Body), secrets)}
	for name, values := range s.Header {
		for _, v := range values {
			out.head = append(out.head, shape.Header(name, v, at))
		}
	}
	slices.Sort(out.head)
	return out
}
