package inside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/status"
)

// replicas looks whether several gateways are one: by the configuration and the session
// keys that their admin addresses tell of, by whether a session of one is known to the
// others, and by the keys of their authorization servers.
func (x *exam) replicas(ctx context.Context, servers []*plan.AuthServer) {
	if len(x.Replicas) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	client := netguard.NewClient(netguard.Policy{AllowPrivate: true, Proxies: x.Asking.Proxies}, netguard.Options{}) // a person typed the addresses
	defer client.CloseIdleConnections()
	var public []*url.URL
	var told []replica
	hashes := map[string][]string{}
	for _, u := range x.Replicas {
		r, isAdmin, err := x.statusOf(ctx, client, u)
		switch {
		case err != nil:
			x.Skip("replicas", "%s does not say which configuration it serves: %v", u.Host, err)
			continue
		case !isAdmin:
			public = append(public, u)
			continue
		}
		told = append(told, r)
		hashes[r.config] = append(hashes[r.config], r.host)
	}
	switch {
	case len(hashes) > 1:
		x.Fail("replicas", "the manifests of each replica; a new configuration takes 5 s to be served everywhere", "they serve different configurations: %s", groups(hashes))
	case len(told) > 1:
		x.OK("replicas", "%d of them serve the same configuration", len(told))
	}
	known := x.sessionKeys(told)
	if len(public) < 2 {
		if !known {
			x.Skip("session keys", "neither two admin addresses nor two addresses for clients are among the replicas: give --replica with those, one for each")
		}
		return
	}
	x.sessions(ctx, client, public, known)
	for _, a := range servers {
		x.signingKeys(ctx, client, a, public)
	}
}

// replica is what the admin address of one tells.
type replica struct {
	host   string
	config string   // hash of what it serves
	keys   []string // names of its session keys, the one that seals first
}

// sessionChange is what there is to do about replicas that do not know each other's sessions.
const sessionChange = "--session-key-file, the same for every replica; sessions with local programs and HTTP+SSE servers need clients that stay at one"

// sessionKeys looks whether each replica can open what the others seal; false where fewer
// than two tell of their keys. Their lists may differ while keys are being changed.
func (x *exam) sessionKeys(all []replica) bool {
	const check = "session keys"
	all = slices.DeleteFunc(slices.Clone(all), func(r replica) bool { return len(r.keys) == 0 })
	if len(all) < 2 {
		return false
	}
	for _, from := range all {
		for _, to := range all {
			if !slices.Contains(to.keys, from.keys[0]) {
				x.Fail(check, sessionChange, "%s has not the key that %s seals sessions with: clients lose theirs whenever another replica is asked", to.host, from.host)
				return true
			}
		}
	}
	x.OK(check, "%d replicas open each other's sessions", len(all))
	return true
}

func groups(of map[string][]string) string {
	var all []string
	for _, hosts := range of {
		slices.Sort(hosts)
		all = append(all, strings.Join(hosts, " and "))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// statusOf asks an admin address what it tells; false where it is none, and an error where
// it does not tell.
func (x *exam) statusOf(ctx context.Context, client *http.Client, u *url.URL) (r replica, admin bool, err error) {
	at := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: status.Path}).String()
	ask := func(token secret.Value) (*netguard.Answer, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, err
		}
		if !token.Empty() {
			req.Header["Authorization"] = []string{"Bearer " + token.Reveal()}
		}
		return netguard.Send(client, req, 1<<20)
	}
	a, err := ask(secret.Value{})
	if err == nil && asksForAdminToken(a) {
		admin = true
		switch {
		case x.AdminToken.Empty():
			return r, true, errors.New("it asks for its admin token; name the file with --admin-token-file")
		case !x.maySend(ctx, u):
			return r, true, errors.New("it asks for its admin token, which could be read on the way: the address is http, and no private one")
		}
		if a, err = ask(x.AdminToken); err == nil && asksForAdminToken(a) {
			return r, true, errors.New("it asks for another admin token than that in --admin-token-file")
		}
	}
	if err != nil {
		return r, admin, err
	}
	var st status.Status
	if a.Status != http.StatusOK || oauth.Lenient(a.Body, &st) != nil || st.Servers == nil {
		return r, false, nil
	}
	return replica{u.Host, st.Config.Hash, st.SessionKeys}, true, nil
}

// asksForAdminToken reports whether an answer is that of an admin address which wants a token.
func asksForAdminToken(a *netguard.Answer) bool {
	return slices.ContainsFunc(oauth.ParseChallenges(a.Header), func(c oauth.AuthChallenge) bool { return c.Params["realm"] == "sallyport admin" })
}

// maySend reports whether nobody on the way to an address can read a token.
func (x *exam) maySend(ctx context.Context, u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	via, err := x.Asking.Proxies.For(&http.Request{URL: u})
	return err == nil && via == nil && private(ctx, u.Hostname())
}

// sessions begins one at the first replica, and goes on with it at the others. Where it
// cannot, that is said, unless their keys are known to be the same.
func (x *exam) sessions(ctx context.Context, client *http.Client, at []*url.URL, known bool) {
	const check = "session keys"
	token := x.Token
	for _, u := range at {
		if !x.maySend(ctx, u) {
			token = secret.Value{}
		}
	}
	said := func(method string, u *url.URL, message, session string) (*netguard.Answer, error) {
		return said(ctx, client, method, u, message, session, token)
	}
	skip := func(format string, args ...any) {
		if !known {
			x.Skip(check, format+"; give --replica with their admin addresses, too, which tell of their keys", args...)
		}
	}
	hello := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"sallyport-doctor","version":"1"}}}`, mcp.Rev20251125)
	opened, err := said(http.MethodPost, at[0], hello, "")
	if err != nil {
		skip("no session can be opened at %s: %v", at[0].Host, err)
		return
	}
	session := opened.Header.Get(mcp.HeaderSessionID)
	switch {
	case opened.Status == http.StatusUnauthorized && token.Empty() && !x.Token.Empty():
		skip("%s asks for a token, and yours could be read on the way: the address is http, and no private one", at[0].Host)
		return
	case opened.Status == http.StatusUnauthorized && token.Empty():
		skip("%s asks for a token: give one in the variable SALLYPORT_TOKEN, or by --token-file", at[0].Host)
		return
	case opened.Status != http.StatusOK || session == "":
		skip("no session can be opened at %s (%d), of an endpoint that does not let in, or whose server has none", at[0].Host, opened.Status)
		return
	}
	defer func() { _, _ = said(http.MethodDelete, at[0], "", session) }() // some servers want to keep them all the same
	for _, u := range at[1:] {
		got, err := said(http.MethodPost, u, `{"jsonrpc":"2.0","id":2,"method":"ping"}`, session)
		switch {
		case err != nil:
			x.Fail(check, "what listens at "+u.Host, "a replica does not answer: %v", err)
			return
		case got.Status == http.StatusNotFound:
			x.Fail(check, sessionChange, "a session of %s is unknown to %s: clients lose theirs whenever another replica is asked", at[0].Host, u.Host)
			return
		case got.Status == http.StatusUnauthorized:
			x.Fail("replicas", "the issuer's keys as this replica reaches them, its clock, and its manifests", "%s lets in who shows the token, and %s does not (401)", at[0].Host, u.Host)
			return
		}
	}
	x.OK(check, "a session of one replica goes on at the others")
}

// said sends a message to a replica.
func said(ctx context.Context, client *http.Client, method string, u *url.URL, message, session string, token secret.Value) (*netguard.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader([]byte(message)))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if session != "" {
		req.Header[mcp.HeaderSessionID], req.Header[mcp.HeaderProtocolVersion] = []string{session}, []string{string(mcp.Rev20251125)}
	}
	if !token.Empty() {
		req.Header["Authorization"] = []string{"Bearer " + token.Reveal()}
	}
	return netguard.Send(client, req, 1<<20)
}

// signingKeys compares the keys that replicas of an authorization server publish.
func (x *exam) signingKeys(ctx context.Context, client *http.Client, a *plan.AuthServer, at []*url.URL) {
	const check = "issuer keys"
	sets := map[string][]string{}
	for _, u := range at {
		var set struct{ Keys []struct{ KID string } }
		var m oauth.ServerMetadata
		on := func(path string) string { return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}).String() }
		err := oauth.GetJSON(ctx, client, on("/.well-known/oauth-authorization-server"+a.Path), &m)
		if keys, bad := url.Parse(m.JWKSURI); err == nil && bad == nil {
			err = oauth.GetJSON(ctx, client, on(keys.Path), &set)
		}
		if err != nil {
			x.Skip(check, "those of %s cannot be read at %s: %v", a.Spec.Issuer, u.Host, err)
			return
		}
		var ids []string
		for _, k := range set.Keys {
			ids = append(ids, k.KID)
		}
		slices.Sort(ids)
		sets[strings.Join(ids, " ")] = append(sets[strings.Join(ids, " ")], u.Host)
	}
	if len(sets) > 1 {
		x.Fail(check, "signingKeySecretRefs of the authorization server, or --store redis://… for all replicas", "replicas sign tokens of %s with different keys: %s", a.Spec.Issuer, groups(sets))
		return
	}
	x.OK(check, "all replicas sign tokens of %s with the same keys", a.Spec.Issuer)
}
