package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/console/tools"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// trial is a call of a tool that is looked at along its way. It is made only when the
// operator says so, of what was looked at (send.go).
type trial struct {
	server, tool, arguments string
	as                      string // one of the below
	claims                  string
	token                   secret.Value
}

// As whom a tool is tried.
const (
	asNobody = "nobody"
	asClaims = "claims"
	asToken  = "token"
)

// tried is how far a trial came.
type tried struct {
	trial
	mistake string // in the form; "" for none

	verdict string
	tone    tone
	door    string // what the outer door says
	caller  *identity.Caller
	name    string     // what becomes of the tool's name
	why     *explained // what policies say; nil where there are none

	sent, got []byte // the message as the client sends it, and as the server gets it; nil for nothing
	to        *backend

	draft string       // what the page goes on from; "" for nothing
	kept  bool         // there is a token in it
	tools []tools.Tool // of the server; nil where they were not asked for
	send  bool         // it can be sent
	done  *done        // what came of it, where it was
}

// known is the tool, where the server has listed it.
func (x *tried) known() *tools.Tool {
	for i := range x.tools {
		if x.tools[i].Name == x.tool {
			return &x.tools[i]
		}
	}
	return nil
}

const (
	maxTrial  = 64 << 10
	trialTime = 30 * time.Second
)

// serveTry shows what would become of a call, or which tools there are to try. A POST,
// since a token may be in it.
func (c *Console) serveTry(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTrial)
	if err := r.ParseForm(); err != nil {
		c.refuse(w, http.StatusRequestEntityTooLarge, "This is too long", "Nothing was looked at. Try with shorter claims and arguments.")
		return
	}
	typed := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	t := trial{
		server: typed("server"), tool: typed("tool"),
		as: typed("as"), claims: typed("claims"), token: secret.New(strings.TrimPrefix(typed("token"), "Bearer ")),
	}
	next := &draft{owner: ownerOf(r), server: t.server}
	if before := c.drafts.find(r, typed("draft")); before != nil {
		if t.token.Empty() {
			t.token, next.shown = before.token, before.shown
		}
		if before.server == t.server {
			next.tools = before.tools
		}
	}
	next.token = t.token
	now := c.cfg.Now()
	defer now.Release()
	ctx, cancel := context.WithTimeout(r.Context(), trialTime)
	defer cancel()
	v := c.lookAround(r, &now)
	var err error
	switch t.arguments, err = tools.Arguments(r.PostForm); {
	case err != nil:
		v.tried = &tried{trial: t, mistake: err.Error()}
	case typed("do") == "tools":
		v.tried = list(r.WithContext(ctx), &now, t, next)
	case typed("do") == "tool": // whose arguments are to be filled in
		v.tried = &tried{trial: t}
	default:
		v.tried = try(ctx, &now, t)
	}
	x := v.tried
	x.tools = next.tools
	if x.tone == good && x.got != nil && t.as != asClaims && !now.Leaving {
		next.ready, next.fingerprint, x.send = &t, now.Endpoint(t.server).Fingerprint, true
	}
	if s := now.server(t.server); s != nil {
		x.draft, x.kept = c.drafts.keep(next), !t.token.Empty()
	}
	status := http.StatusOK
	if x.mistake != "" {
		status = http.StatusBadRequest
	}
	v.write(w, status)
}

// list asks a server for its tools, as whoever tries them.
func list(r *http.Request, now *Now, t trial, into *draft) *tried {
	x := &tried{trial: t}
	shown := t.token
	if t.as != asToken {
		shown = secret.Value{}
	}
	s := now.server(t.server)
	switch {
	case s == nil:
		x.mistake = "There is no server “" + t.server + "”."
		return x
	case t.as == asClaims && !(s.anonymous && s.doors == 0):
		x.mistake = "The server lists its tools for whom it knows, and claims alone prove nobody. Write the tool's name, or list them with a token."
		return x
	case t.as == asToken && shown.Empty():
		x.mistake = "Put a token there."
		return x
	}
	items, err := now.Endpoint(s.Name).Tools(r, shown)
	if err != nil {
		x.mistake = "The tools cannot be listed: " + err.Error() + "."
		return x
	}
	into.tools = tools.Of(items)
	if len(into.tools) == 0 {
		x.mistake = s.Name + " lists no tools for them."
	}
	return x
}

// try looks how far a call would come. Nothing is sent to its server, nor counted, nor
// written down as the caller's: it is the operator who asks.
func try(ctx context.Context, now *Now, t trial) *tried {
	x := &tried{trial: t, tone: bad}
	s := now.server(t.server)
	if s == nil {
		x.mistake = "There is no server “" + t.server + "”."
		return x
	}
	m := x.message()
	if x.mistake != "" {
		return x
	}
	e := now.Endpoint(s.Name)
	if !x.enter(ctx, s, &e) {
		return x
	}
	r := x.resolve(ctx, &e, m)
	if r.Unknown != "" {
		x.verdict, x.name = x.who()+" would be told that there is no such tool.", "Clients of "+s.Name+" know no tool “"+t.tool+"”, as far as the gateway knows."
		return x
	}
	switch {
	case r.Name != t.tool && r.Member != "":
		x.name = r.Member + " calls it " + r.Name + "."
	case r.Name != t.tool:
		x.name = "The server calls it " + r.Name + "."
	}
	if !x.judge(s, &e, &r) {
		return x
	}
	x.got, x.to = mcp.Splice(x.sent, r.Edits...), s.backendOf(r.Member)
	x.verdict, x.tone = x.who()+" would come through to "+cmp.Or(r.Member, s.Name)+".", good
	return x
}

// message is what the client sends.
func (x *tried) message() *mcp.Envelope {
	if x.tool == "" {
		x.mistake = "Say which tool."
		return nil
	}
	arguments := cmp.Or(x.arguments, "{}")
	if !strings.HasPrefix(arguments, "{") || !json.Valid([]byte(arguments)) {
		x.mistake = "Arguments are a JSON object, like {\"query\": \"rust\"}."
		return nil
	}
	x.sent = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(mcp.Quote(x.tool)) + `,"arguments":` + arguments + `,"_meta":` + clientMeta() + `}}`)
	m, err := mcp.Parse(x.sent, mcp.DefaultLimits())
	if err != nil {
		x.mistake = "The gateway would refuse the message: " + err.Message + "."
		return nil
	}
	return &m
}

// enter asks the outer door. Claims are taken as if they were verified; a token is
// verified as that of a client is.
func (x *tried) enter(ctx context.Context, s *Server, e *Endpoint) bool {
	header := http.Header{}
	switch x.as {
	case asClaims:
		claims, err := token.ParseClaims([]byte(x.claims))
		if err != nil {
			x.mistake = "Claims are a JSON object, like {\"sub\": \"alice\", \"groups\": [\"eng\"]}: " + err.Error() + "."
			return false
		}
		if s.anonymous && s.doors == 0 {
			x.caller, x.door = identity.Anonymous(), "Nobody is asked who they are here, so all callers are one: anonymous."
			return true
		}
		caller, err := e.CallerOf(claims)
		if err != nil {
			x.verdict, x.door = "The outer door would refuse them.", capital(err.Error())+"."
			return false
		}
		x.caller, x.door = caller, "The claims are taken as if a token of the right issuer, audience and time had them."
		return true
	case asToken:
		if x.token.Empty() {
			x.mistake = "Put a token there."
			return false
		}
		header.Set("Authorization", "Bearer "+x.token.Reveal())
	case asNobody:
	default:
		x.mistake = "Say as whom."
		return false
	}
	caller, denied := e.Door.Resolve(ctx, &authn.Request{Header: header})
	if denied != nil {
		x.verdict, x.door = "The outer door would refuse them.", capital(denied.Reason)+"."
		return false
	}
	x.caller, x.door = caller, map[bool]string{true: "The token is good.", false: "Who shows nothing comes in as anonymous."}[x.as == asToken && caller.Source != identity.SourceAnonymous]
	if x.as == asToken && caller.Source == identity.SourceAnonymous {
		x.door = "Tokens are not read here: who shows one is anonymous, too."
	}
	return true
}

// resolve finds what is called. A virtual server may have to ask its members, as somebody:
// as the caller only where that is proved, since a backend may be told who calls.
func (x *tried) resolve(ctx context.Context, e *Endpoint, m *mcp.Envelope) upstream.Resolution {
	call := &upstream.Call{Caller: identity.Anonymous(), Method: http.MethodPost, Header: http.Header{}, Body: x.sent, Message: m, Revision: mcp.Rev20260728}
	if x.as == asToken {
		call.Caller, call.Token = x.caller, x.token
	}
	call.Sharer = call.Caller.Key()
	return e.Target.Resolve(ctx, call, m)
}

// judge asks the policies.
func (x *tried) judge(s *Server, e *Endpoint, r *upstream.Resolution) bool {
	if e.Policy == nil {
		return true
	}
	q := &policy.Query{
		Action: policy.CallTool, Target: r.Name, Server: s.Name, Backend: cmp.Or(r.Member, s.Name), Hints: r.Hints, Arguments: []byte(cmp.Or(x.arguments, "{}")),
	}
	p := e.Policy.Principal(x.caller)
	x.why = &explained{set: e.Policy, says: e.Policy.Explain(p, q), permits: e.Policy.Permits(p, q, s.doors > 1), texts: s.policies}
	d := x.why.says.Decision
	switch {
	case d.Shadow:
		x.name = strings.TrimSpace(x.name + " Policies would deny it, and are only watched.")
	case !d.Allow:
		x.verdict = x.who() + " would be refused: policies do not permit it."
	}
	return d.Allow
}

// who is whom the trial is of, in a sentence.
func (x *tried) who() string {
	if x.caller == nil || x.caller.Source == identity.SourceAnonymous {
		return "An anonymous caller"
	}
	return x.caller.Subject
}
