package outside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

const metadataPath = "/.well-known/oauth-protected-resource" // RFC 9728 §3.1

// documents follows what leads clients to a token: the protected-resource document, and
// what each authorization server says of itself.
func (x *exam) documents(ctx context.Context) {
	const check = "resource"
	at := x.opened.challenge["resource_metadata"]
	if at == "" {
		if !x.anonymous() {
			x.Skip(check, "nothing says where the protected-resource document is")
		}
		return
	}
	u, err := url.Parse(at)
	if err != nil || oauth.Origin(u) != x.origin() {
		x.wrongAddress(check, "clients are sent to %s for the protected-resource document, which is not at %s", oauth.Printable(at, 200), x.origin())
		return
	}
	var m oauth.ResourceMetadata
	if err := oauth.GetJSON(ctx, x.client, at, &m); err != nil {
		x.Fail(check, "the proxy: pass "+metadataPath+" on to the gateway (location / in nginx does)", "the protected-resource document cannot be read, so that no client signs in: %v", err)
		return
	}
	typed := x.URL.String()
	switch {
	case m.Resource == typed:
		x.OK(check, "the protected-resource document is about %s, as clients have it", typed)
	case strings.TrimSuffix(m.Resource, "/") == strings.TrimSuffix(typed, "/"):
		x.Warn(check, "the URL that clients have: "+m.Resource, "the protected-resource document is about %s, which differs from the URL in a slash: some clients refuse that", m.Resource)
	default:
		x.wrongAddress(check, "the protected-resource document is about %s, and clients have %s: they refuse to sign in (RFC 9728 §3.3)", oauth.Printable(m.Resource, 200), typed)
	}
	if len(m.AuthorizationServers) == 0 {
		x.Fail("issuer", "", "the protected-resource document names no authorization server: clients cannot sign in")
	}
	for i, issuer := range m.AuthorizationServers {
		if i == 8 {
			x.Skip("issuer", "there are %d authorization servers more", len(m.AuthorizationServers)-i)
			return
		}
		x.issuer(ctx, issuer)
	}
}

// wrongAddress says that the gateway does not know its own address.
func (x *exam) wrongAddress(check, format string, args ...any) {
	prefix, _, _ := strings.Cut(x.base, "/servers/")
	if prefix == x.base {
		prefix = ""
	}
	f := doctor.Finding{Level: doctor.Failure, Check: check, Message: fmt.Sprintf(format, args...), Place: x.Known.Resource}
	if f.Place.Object == "" {
		f.Change = "--public-url " + x.origin() + prefix + "; or trustProxyHeaders with a proxy that sends X-Forwarded-Proto and X-Forwarded-Host"
	}
	x.Add(f)
}

// issuer looks at an authorization server as a client that is about to sign in.
func (x *exam) issuer(ctx context.Context, issuer string) {
	const check = "issuer"
	name := oauth.Printable(issuer, 200)
	add := func(level doctor.Level, change, message string) {
		x.Add(doctor.Finding{Level: level, Check: check, Change: change, Message: name + ": " + message, Place: x.Known.Issuers[issuer]})
	}
	// The document is the gateway's, and may be anybody's: it does not lead from a public
	// gateway into the network that this runs in.
	client := netguard.NewClient(netguard.Policy{AllowPrivate: x.private, Proxies: x.Proxies}, netguard.Options{Roots: x.Roots})
	defer client.CloseIdleConnections()
	reach := &oauth.Reach{Client: client, AllowLoopbackHTTP: x.private}
	m, err := oauth.DiscoverServer(ctx, reach, issuer, false)
	refused, isRefused := errors.AsType[*netguard.RefusedError](err)
	switch {
	case isRefused:
		add(doctor.Warning, "", "it is not looked at, since "+refused.Error()+": who is not in its network cannot sign in")
		return
	case err != nil && sameOrigin(issuer, x.origin()):
		add(doctor.Failure, "the proxy: pass /.well-known/ and /oauth/ on to the gateway (location / in nginx does)", "nobody can sign in: "+err.Error())
		return
	case err != nil:
		add(doctor.Failure, "", "nobody can sign in: "+err.Error())
		return
	case m.Issuer != issuer:
		add(doctor.Warning, "the issuer in the manifest, spelled as its own document has it", "its own document calls it "+oauth.Printable(m.Issuer, 200)+": clients that compare every character refuse that")
	}
	if wrong := endpoints(reach, m); wrong != "" {
		add(doctor.Failure, "", wrong)
		return
	}
	if m.JWKSURI != "" {
		n, err := keys(ctx, reach, m.JWKSURI)
		switch {
		case err != nil:
			add(doctor.Failure, "", "its keys cannot be read, so that no token can be checked: "+err.Error())
			return
		case n == 0:
			add(doctor.Failure, "", "its key set is empty, so that no token can be checked")
			return
		}
	}
	if m.CodeChallengeMethods == nil || !slices.Contains(m.CodeChallengeMethods, "S256") {
		add(doctor.Failure, "the provider's settings", "it does not say that it takes PKCE (code_challenge_methods_supported has no S256): clients of MCP refuse to sign in")
		return
	}
	if m.RegistrationEndpoint == "" && !m.ClientMetadataDocuments {
		add(doctor.Warning, "the provider's settings, or authServerRef, so that the gateway signs people in", "clients cannot register there by themselves: each needs a client id by hand")
		return
	}
	add(doctor.OK, "", "its metadata, endpoints and keys are as clients need them")
}

func sameOrigin(address, origin string) bool {
	u, err := url.Parse(address)
	return err == nil && oauth.Origin(u) == origin
}

// endpoints says which one may not be used; "" for none.
func endpoints(r *oauth.Reach, m *oauth.ServerMetadata) string {
	for _, e := range []struct {
		what, at string
		need     bool
	}{
		{"authorization endpoint", m.AuthorizationEndpoint, true},
		{"token endpoint", m.TokenEndpoint, true},
		{"registration endpoint", m.RegistrationEndpoint, false},
		{"key set", m.JWKSURI, false},
	} {
		if e.at == "" && !e.need {
			continue
		}
		if err := r.Check(e.what, e.at); err != nil {
			return err.Error()
		}
	}
	return ""
}

// keys is how many keys a set has.
func keys(ctx context.Context, r *oauth.Reach, at string) (int, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err := oauth.GetJSON(ctx, r.Client, at, &set)
	return len(set.Keys), err
}
