package outside

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 1 << 20

// discover is the question that servers of every revision have some answer for. It asks
// for nothing, and changes nothing.
const discover = "server/discover"

// newRequest makes a message of 2026-07-28 without arguments.
func newRequest(ctx context.Context, address, method string, params map[string]any) *http.Request {
	p := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    mcp.Rev20260728,
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "sallyport-doctor", "version": "1"},
	}}
	for name, v := range params {
		p[name] = v
	}
	body, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": p}) // texts and maps
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		panic(err) // the address is a parsed URL's
	}
	req.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "User-Agent": {"sallyport-doctor"},
		mcp.HeaderProtocolVersion: {string(mcp.Rev20260728)}, mcp.HeaderMethod: {method},
	}
	return req
}

// ask sends the gateway a message, with headers that are added to it: names and values
// in turn, as many of a name as there are.
func (x *exam) ask(ctx context.Context, headers ...string) (door, error) {
	req := newRequest(ctx, x.URL.String(), discover, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	a, err := netguard.Send(x.client, req, maxAnswer)
	if err != nil {
		return door{}, err
	}
	return read(a), nil
}

// door is what a message was answered with.
type door struct {
	status    int
	message   string // of a JSON-RPC error
	rpc       bool   // it is JSON-RPC
	result    bool   // and not an error
	page      bool   // it is for people
	challenge map[string]string
	asks      string // schemes of challenges, for people
	header    http.Header
}

func read(a *netguard.Answer) door {
	d := door{status: a.Status, header: a.Header, page: a.IsPage()}
	var schemes []string
	for _, c := range oauth.ParseChallenges(a.Header) {
		schemes = append(schemes, c.Scheme)
	}
	d.asks = strings.Join(schemes, ", ")
	if c, ok := oauth.Bearer(a.Header); ok {
		d.challenge = c.Params
	}
	body := a.Body
	if t, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); t == "text/event-stream" {
		ev, err := mcp.NewEventReader(bytes.NewReader(body), maxAnswer).Next()
		if err != nil {
			return d
		}
		body = ev.Data
	}
	var m struct {
		Version string          `json:"jsonrpc"`
		Result  json.RawMessage `json:"result"`
		Error   *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &m) != nil || m.Version != "2.0" {
		return d
	}
	d.rpc, d.result = true, m.Error == nil && m.Result != nil
	if m.Error != nil {
		d.message = oauth.Printable(m.Error.Message, 200)
	}
	return d
}

// speaksMCP tells what may be a gateway from what is none.
func (d *door) speaksMCP() bool {
	return d.rpc || d.status == http.StatusUnauthorized && d.challenge != nil
}

// says is an answer in few words.
func (d *door) says() string {
	switch {
	case d.message != "":
		return fmt.Sprintf("%d, %q", d.status, d.message)
	case d.page:
		return fmt.Sprintf("%d and a web page", d.status)
	}
	return fmt.Sprint(d.status)
}

// anonymous reports whether who shows nothing gets in.
func (x *exam) anonymous() bool { return x.opened.status != http.StatusUnauthorized }

// wayIn asks the question that tells a gateway from anything else.
func (x *exam) wayIn(ctx context.Context) bool {
	const check = "answers"
	asked := time.Now()
	d, err := x.ask(ctx)
	if err != nil {
		x.Fail(check, "", "%s is no gateway: it gives no answer to HTTP (%v)", x.URL.Host, err)
		return false
	}
	x.opened = d
	switch {
	case d.status >= 300 && d.status < 400:
		x.redirected(d)
		return false
	case !d.rpc && d.status == http.StatusUnauthorized && d.challenge == nil:
		asks := d.asks
		if asks == "" {
			asks = "a sign-in of its own"
		}
		x.Fail(check, "the proxy: let it pass Authorization and WWW-Authenticate on here, or let it take tokens of programs",
			"a proxy answers 401 before the gateway is asked, and wants %s: clients of MCP are programs, and do not know how", asks)
		return false
	case !d.rpc && (d.status == http.StatusBadGateway || d.status == http.StatusServiceUnavailable || d.status == http.StatusGatewayTimeout):
		x.Fail(check, "proxy_pass in nginx: the gateway's --listen address; and is the gateway running?", "the proxy does not reach the gateway (%d)", d.status)
		return false
	case !d.speaksMCP():
		x.Fail(check, "", "%s is no gateway: it answers %s to a message of MCP", x.URL.Redacted(), d.says())
		return false
	case d.status == http.StatusNotFound:
		change := "the URL: give the one that clients have, …/servers/NAME/mcp"
		if len(x.Known.Endpoints) > 0 {
			change = "the URL; the manifests have " + strings.Join(x.Known.Endpoints, ", ")
		}
		x.Fail(check, change, "a gateway is there, and nothing at this path (%s)", d.says())
		return false
	case d.status == http.StatusForbidden && strings.Contains(d.message, "host name not allowed"):
		x.Fail(check, "--allowed-hosts "+x.URL.Hostname(), "the gateway refuses the name %s (403): it listens on an address where a web page could reach it by any name", x.URL.Hostname())
		return false
	}
	x.met(d)
	x.clock(asked, d.header)
	return true
}

// met says what who shows nothing is answered by a gateway.
func (x *exam) met(d door) {
	const check = "answers"
	switch {
	case d.result:
		x.OK(check, "it speaks MCP, and lets everybody in who reaches it")
	case d.status == http.StatusUnauthorized && d.challenge["resource_metadata"] != "":
		x.OK(check, "it speaks MCP, and asks callers for a token")
	case d.status == http.StatusUnauthorized && d.challenge != nil:
		x.Fail(check, "the proxy: WWW-Authenticate is to pass as it is", "it asks for a token, and does not say where one is to be had (no resource_metadata): clients cannot sign in")
	case d.status == http.StatusUnauthorized:
		x.Warn(check, "with tokens: proxy_hide_header in nginx, which may take WWW-Authenticate away; with trustedProxy: nothing, if the proxy signs these callers in",
			"the gateway does not know who calls (401), and says nothing of tokens: clients cannot sign in by themselves")
	case d.status == http.StatusTooManyRequests:
		x.Warn(check, "", "the gateway answers that it is asked too often (429): what follows may say less than usual")
	case d.status == http.StatusForbidden:
		x.Fail(check, "what the message speaks of; the gateway's log says more", "the gateway refuses a first message: %s", d.says())
	case d.status >= http.StatusInternalServerError:
		x.Fail(check, "what the message speaks of; -f with the manifests shows more", "the gateway answers, and its server does not: %s", d.says())
	default:
		x.OK(check, "it speaks MCP (%s), and lets everybody in who reaches it", d.says())
	}
}

// redirected says where programs are sent, who follow to no sign-in page.
func (x *exam) redirected(d door) {
	to, err := url.Parse(d.header.Get("Location"))
	if err != nil {
		to = &url.URL{}
	}
	place := netguard.Place(x.URL.ResolveReference(to))
	if strings.TrimSuffix(place, "/") == strings.TrimSuffix(netguard.Place(x.URL), "/") {
		x.Fail("answers", "the proxy, which adds a slash or takes one away; the URL, where it does so on purpose", "it is redirected to %s (%d), and clients do not send a message again there", place, d.status)
		return
	}
	x.Fail("answers", "the proxy: programs need tokens instead (skip_jwt_bearer_tokens in oauth2-proxy), or let the gateway sign people in",
		"it is redirected to %s (%d): clients of MCP are programs, and follow to no page for people", place, d.status)
}
