package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// trial is a call of a tool that is looked at along its way, and not made.
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
}

const (
	maxTrial  = 64 << 10
	trialTime = 10 * time.Second
)

// serveTry shows what would become of a call. A POST, since a token may be in it.
func (c *Console) serveTry(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTrial)
	if err := r.ParseForm(); err != nil {
		c.refuse(w, http.StatusRequestEntityTooLarge, "This is too long", "Nothing was looked at. Try with shorter claims and arguments.")
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	t := trial{
		server: field("server"), tool: field("tool"), arguments: field("arguments"),
		as: field("as"), claims: field("claims"), token: secret.New(strings.TrimPrefix(field("token"), "Bearer ")),
	}
	now := c.cfg.Now()
	defer now.Release()
	ctx, cancel := context.WithTimeout(r.Context(), trialTime)
	defer cancel()
	v := c.look(r, &now)
	v.tried = try(ctx, &now, t)
	status := http.StatusOK
	if v.tried.mistake != "" {
		status = http.StatusBadRequest
	}
	v.write(w, status)
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
	x.sent = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(mcp.Quote(x.tool)) + `,"arguments":` + arguments + `}}`)
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
