package inside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// replicas looks whether several gateways are one: by the configuration that their admin
// addresses tell of, by whether a session of one is known to the others, and by the keys
// of their authorization servers.
func (x *exam) replicas(ctx context.Context, set *manifest.Set) {
	if len(x.Replicas) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	client := netguard.NewClient(netguard.Policy{AllowPrivate: true, Proxies: x.Asking.Proxies}, netguard.Options{}) // a person typed the addresses
	defer client.CloseIdleConnections()
	var admin, public []*url.URL
	hashes := map[string][]string{}
	for _, u := range x.Replicas {
		hash, isAdmin, err := configOf(ctx, client, u)
		switch {
		case err != nil:
			x.Skip("replicas", "%s does not say which configuration it serves: %v", u.Host, err)
			continue
		case !isAdmin:
			public = append(public, u)
			continue
		}
		admin = append(admin, u)
		hashes[hash] = append(hashes[hash], u.Host)
	}
	switch {
	case len(hashes) > 1:
		x.Fail("replicas", "the manifests of each replica; a new configuration takes 5 s to be served everywhere", "they serve different configurations: %s", groups(hashes))
	case len(admin) > 1:
		x.OK("replicas", "%d of them serve the same configuration", len(admin))
	}
	if len(public) < 2 {
		x.Skip("session keys", "the replicas' addresses for clients are not known: give --replica with those, one for each")
		return
	}
	x.sessions(ctx, client, public)
	for _, ns := range set.Namespaces() {
		for _, a := range plan.Of(set.In(ns), plan.Process{Checking: true}).AuthServers {
			x.signingKeys(ctx, client, a, public)
		}
	}
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

// configOf asks an admin address which configuration is served; false where it is none,
// and an error where it does not tell.
func configOf(ctx context.Context, client *http.Client, u *url.URL) (hash string, admin bool, err error) {
	at := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/status"}).String()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", false, err
	}
	a, err := netguard.Send(client, req, 1<<20)
	if err != nil {
		return "", false, err
	}
	for _, c := range oauth.ParseChallenges(a.Header) {
		if c.Params["realm"] == "sallyport admin" {
			return "", true, errors.New("it asks for its admin token")
		}
	}
	var status struct {
		Config  struct{ Hash string }
		Servers []json.RawMessage
	}
	if a.Status != http.StatusOK || oauth.Lenient(a.Body, &status) != nil || status.Servers == nil {
		return "", false, nil
	}
	return status.Config.Hash, true, nil
}

// sessions begins one at the first replica, and goes on with it at the others.
func (x *exam) sessions(ctx context.Context, client *http.Client, at []*url.URL) {
	const check = "session keys"
	hello := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"sallyport-doctor","version":"1"}}}`, mcp.Rev20251125)
	opened, err := said(ctx, client, http.MethodPost, at[0], hello, "")
	if err != nil {
		x.Skip(check, "no session can be opened at %s: %v", at[0].Host, err)
		return
	}
	session := opened.Header.Get(mcp.HeaderSessionID)
	if opened.Status != http.StatusOK || session == "" {
		x.Skip(check, "no session can be opened at %s (%d), of an endpoint that lets nobody in, or whose server has none", at[0].Host, opened.Status)
		return
	}
	defer func() { _, _ = said(ctx, client, http.MethodDelete, at[0], "", session) }() // some servers want to keep them all the same
	for _, u := range at[1:] {
		got, err := said(ctx, client, http.MethodPost, u, `{"jsonrpc":"2.0","id":2,"method":"ping"}`, session)
		switch {
		case err != nil:
			x.Fail(check, "what listens at "+u.Host, "a replica does not answer: %v", err)
			return
		case got.Status == http.StatusNotFound:
			x.Fail(check, "--session-key-file, the same for every replica; sessions with local programs and HTTP+SSE servers need clients that stay at one",
				"a session of %s is unknown to %s: clients lose theirs whenever another replica is asked", at[0].Host, u.Host)
			return
		}
	}
	x.OK(check, "a session of one replica goes on at the others")
}

// said sends a message to a replica.
func said(ctx context.Context, client *http.Client, method string, u *url.URL, message, session string) (*netguard.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader([]byte(message)))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if session != "" {
		req.Header[mcp.HeaderSessionID], req.Header[mcp.HeaderProtocolVersion] = []string{session}, []string{string(mcp.Rev20251125)}
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
