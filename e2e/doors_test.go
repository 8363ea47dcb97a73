package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// doorTable says who comes in where: a line for each thing a client can show, and a column for each way in which an
// endpoint can be set up. A word is the source of the caller's identity, a number the status of the refusal.
const doorTable = `
                                    open       jwt  introspection  lax        strict  disabled
  nothing                           anonymous  401  401            anonymous  401     anonymous
  a_good_token                      anonymous  jwt  jwt            anonymous  401     anonymous
  a_good_opaque_token               anonymous  401  introspection  anonymous  401     anonymous
  an_expired_token                  anonymous  401  401            anonymous  401     anonymous
  a_token_for_another_resource      anonymous  401  401            anonymous  401     anonymous
  an_opaque_one_for_another         anonymous  401  401            anonymous  401     anonymous
  garbage                           anonymous  401  401            anonymous  401     anonymous
  another_scheme                    anonymous  401  401            anonymous  401     anonymous
  two_tokens                        400        400  400            400        400     400
  a_proxy_header                    anonymous  401  401            proxy      proxy   anonymous
  a_proxy_header_and_a_good_token   anonymous  jwt  jwt            proxy      proxy   anonymous
  a_proxy_header_from_elsewhere     anonymous  401  401            anonymous  401     anonymous
  an_empty_proxy_header             anonymous  401  401            400        400     anonymous
  an_empty_one_from_elsewhere       anonymous  401  401            anonymous  401     anonymous
  two_proxy_headers                 anonymous  401  401            400        400     anonymous
`

// visitor is somebody who tries the doors.
type visitor struct {
	headers []string
	via     *http.Client
}

// way is one way into the endpoint of a resource. Admitted are headers of the same caller, or where a visitor is to be
// refused of one who may in, for what needs a session.
type way struct {
	name  string
	ok    int // status for who may in
	tryAs func(t *testing.T, g *testkit.Gateway, server string, v visitor, admitted []string) int
}

// by is a way that is one request.
func by(name string, ok int, r func(t *testing.T, g *testkit.Gateway, server string, admitted []string) request) way {
	return way{name: name, ok: ok, tryAs: func(t *testing.T, g *testkit.Gateway, server string, v visitor, admitted []string) int {
		t.Helper()
		q := r(t, g, server, admitted).with(v.headers...)
		q.via = v.via
		got := q.try(t)
		if got.Status == http.StatusUnauthorized && (server == "jwt" || server == "introspection") {
			if c := got.Header.Get("Www-Authenticate"); !strings.Contains(c, "/servers/"+server+"/mcp") && !strings.Contains(c, "/servers/"+server+"/sse") {
				t.Errorf("challenge %q", c)
			}
		}
		return got.Status
	}}
}

func ways() []way {
	inSession := func(t *testing.T, g *testkit.Gateway, server string, admitted []string) []string {
		t.Helper()
		return []string{"Mcp-Session-Id", initialize(t, at(g, server), admitted...)}
	}
	all := []way{
		by("modern POST", 200, func(_ *testing.T, g *testkit.Gateway, server string, _ []string) request {
			return call(at(g, server), "tool", "")
		}),
		by("initialize", 200, func(_ *testing.T, g *testkit.Gateway, server string, _ []string) request {
			return initialization(at(g, server))
		}),
		by("POST in a session", 200, func(t *testing.T, g *testkit.Gateway, server string, admitted []string) request {
			return legacy(at(g, server), "tools/list", "").with(inSession(t, g, server, admitted)...)
		}),
		by("GET", 200, func(t *testing.T, g *testkit.Gateway, server string, admitted []string) request {
			return listen(at(g, server)).with(inSession(t, g, server, admitted)...)
		}),
		by("DELETE", 204, func(t *testing.T, g *testkit.Gateway, server string, admitted []string) request {
			return request{method: http.MethodDelete, url: at(g, server)}.with(inSession(t, g, server, admitted)...)
		}),
		by("SSE GET", 200, func(_ *testing.T, g *testkit.Gateway, server string, _ []string) request {
			return request{method: http.MethodGet, url: g.URL + "/servers/" + server + "/sse"}
		}),
		by("SSE messages POST", 202, func(t *testing.T, g *testkit.Gateway, server string, admitted []string) request {
			t.Helper()
			f := openFront(t, g.URL, "/servers/"+server+"/sse", admitted...)
			t.Cleanup(func() { _ = f.close() })
			return message(f.post, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`) // that nobody answers
		}),
		{name: "WebSocket", ok: 200, tryAs: trySocket},
	}
	for _, list := range []string{"tools", "prompts", "resources"} {
		all = append(all, by("list of "+list, 200, func(_ *testing.T, g *testkit.Gateway, server string, _ []string) request {
			return request{method: http.MethodGet, url: g.URL + "/servers/" + server + "/" + list}
		}))
	}
	return all
}

// trySocket connects and sends a call. A connection that is closed with 1008 counts as what its reason says.
func trySocket(t *testing.T, g *testkit.Gateway, server string, v visitor, _ []string) int {
	t.Helper()
	s, resp, err := dialSocket(t, v.via, g.URL+"/servers/"+server+"/ws", v.headers...)
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode // which is wrong: the door is behind the handshake
	}
	defer s.conn.CloseNow()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, []byte(call("", "tool", "").body)) // it may be closed already
	_, got, err := s.conn.Read(ctx)
	if err == nil {
		if !strings.Contains(string(got), `"result"`) {
			t.Errorf("got %s", got)
		}
		return http.StatusOK
	}
	closed, ok := errors.AsType[websocket.CloseError](err)
	switch {
	case !ok || closed.Code != websocket.StatusPolicyViolation:
		t.Errorf("%v, want the code 1008", err)
		return 0
	case strings.Contains(closed.Reason, "understood"):
		return http.StatusBadRequest
	}
	return http.StatusUnauthorized
}

// doorsOf are the resources of the columns.
func doorsOf(idp *testkit.IdP, backend string) string {
	const audited = "audit: {enabled: true}"
	return secretObject("idp", "secret", testkit.IdPGatewaySecret) + idpObject(idp) +
		strings.Replace(idpObject(idp, "introspectionUrl: "+idp.Issuer+"/token/introspection", "clientId: "+testkit.IdPGatewayID,
			"clientSecretRef: {name: idp, key: secret}"), "name: idp}", "name: asked}", 1) +
		remote("open", backend, audited) +
		remote("jwt", backend, audited, ofIDP(docsAudience)) +
		remote("introspection", backend, audited, strings.Replace(ofIDP(docsAudience), "name: idp", "name: asked", 1)) +
		remote("lax", backend, audited, trusting("trustedProxies: [127.0.0.1/32]")) +
		remote("strict", backend, audited, trusting("trustedProxies: [127.0.0.1/32]", "missingHeader: reject")) +
		remote("disabled", backend, audited, "trustedProxy: {clientAuthEnabled: false}")
}

func visitors(t *testing.T, idp *testkit.IdP) map[string]visitor {
	t.Helper()
	token := func(w testkit.TokenWish) []string {
		w.Subject = "alice"
		if w.Audience == "" {
			w.Audience = docsAudience
		}
		return bearer(idp.Token(t, w))
	}
	good := token(testkit.TokenWish{})
	elsewhere := from(t, "127.0.0.2")
	return map[string]visitor{
		"nothing":                         {},
		"a good token":                    {headers: good},
		"a good opaque token":             {headers: token(testkit.TokenWish{Opaque: true})},
		"an expired token":                {headers: token(testkit.TokenWish{TTL: -time.Minute})},
		"a token for another resource":    {headers: token(testkit.TokenWish{Audience: docsAudience + "/more"})},
		"an opaque one for another":       {headers: token(testkit.TokenWish{Audience: docsAudience + "/more", Opaque: true})},
		"garbage":                         {headers: bearer("garbage")},
		"another scheme":                  {headers: []string{"Authorization", "Basic YWxpY2U6YWxpY2U="}},
		"two tokens":                      {headers: append(slices.Clone(good), good...)},
		"a proxy header":                  {headers: user("alice")},
		"a proxy header and a good token": {headers: append(user("alice"), good...)},
		"a proxy header from elsewhere":   {headers: user("alice"), via: elsewhere},
		"an empty proxy header":           {headers: user("")},
		"an empty one from elsewhere":     {headers: user(""), via: elsewhere},
		"two proxy headers":               {headers: append(user("alice"), user("alice")...)},
	}
}

// TestEveryDoor tries every way into an endpoint, with every way to set up its door, and everything a client can show.
// One resolver answers all of it; a difference between two ways would be a way round.
//
// REQ A-1, REQ B-7, REQ B-24, REQ B-25, REQ C-2, REQ C-3, REQ C-4, REQ C-5, REQ C-6, REQ C-10.
func TestEveryDoor(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, doorsOf(idp, backend.URL))
	known := visitors(t, idp)
	lines := strings.Split(strings.TrimSpace(doorTable), "\n")
	servers := strings.Fields(lines[0])
	admitted := map[string][]string{ // who is what the word says
		"anonymous": nil, "jwt": known["a good token"].headers, "introspection": known["a good opaque token"].headers, "proxy": user("alice"),
	}
	mayIn := map[string][]string{"jwt": admitted["jwt"], "introspection": admitted["jwt"], "strict": admitted["proxy"]} // at the server
	callers := map[string]bool{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		shown := strings.ReplaceAll(cells[0], "_", " ")
		v, ok := known[shown]
		if !ok || len(cells) != len(servers)+1 {
			t.Fatalf("line %q", line)
		}
		for i, server := range servers {
			cell := cells[i+1]
			refusal, _ := strconv.Atoi(cell)
			session := mayIn[server]
			if refusal == 0 {
				session = admitted[cell]
				callers[fmt.Sprint(server, " ", cell, " ", map[bool]string{true: "anonymous", false: "alice"}[cell == "anonymous"], " success")] = true
			} else {
				callers[server+" denied"] = true
			}
			for _, w := range ways() {
				t.Run(server+"/"+w.name+"/"+shown, func(t *testing.T) {
					want := w.ok
					if refusal != 0 {
						want = refusal
					}
					if got := w.tryAs(t, g, server, v, session); got != want {
						t.Errorf("status %d, want %d", got, want)
					}
				})
			}
		}
		checkServers(t, g, servers, shown, v, cells[1:])
	}
	for _, secret := range []string{"alice", "garbage", known["a good token"].headers[1][7:], known["a good opaque token"].headers[1][7:]} {
		if strings.Contains(backend.Wire(), secret) {
			t.Error("what opened the outer door reached the backend")
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(callers, callersOf(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// checkServers wants the list of all servers to have exactly those that let the visitor in.
func checkServers(t *testing.T, g *testkit.Gateway, servers []string, shown string, v visitor, cells []string) {
	t.Helper()
	var want []string
	for i, server := range servers {
		if refusal, _ := strconv.Atoi(cells[i]); refusal == 0 {
			want = append(want, server)
		}
	}
	slices.Sort(want)
	r := request{method: http.MethodGet, url: g.URL + "/servers", via: v.via}.with(v.headers...)
	got := r.do(t)
	var p plain
	if err := json.Unmarshal([]byte(got.Body), &p); err != nil {
		t.Fatalf("%v in %s", err, got.Body)
	}
	if diff := cmp.Diff(want, names(p.Servers)); diff != "" || (len(want) > 0) != (got.Status == http.StatusOK) {
		t.Errorf("servers for %s, status %d (-want +got):\n%s", shown, got.Status, diff)
	}
}

// callersOf are the callers in the audit so far, as "SERVER SOURCE SUBJECT OUTCOME".
func callersOf(t *testing.T, g *testkit.Gateway) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for line := range strings.Lines(g.Stdout.String()) {
		var event struct{ Server, Source, Subject, Outcome string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in audit event %s", err, line)
		}
		all[strings.Join(strings.Fields(event.Server+" "+event.Source+" "+event.Subject+" "+event.Outcome), " ")] = true
	}
	return all
}
