package inside

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// issuers looks whether the keys of each issuer can be had, as a gateway gets them.
func (x *exam) issuers(ctx context.Context, p *plan.Plan) {
	seen := map[string]bool{}
	for _, e := range p.Endpoints {
		for _, m := range e.Door.Methods {
			if m.Tokens == nil {
				continue
			}
			at := m.Tokens.At("issuer")
			if place := at.String(); !seen[place] {
				seen[place] = true
				x.issuer(ctx, m.Tokens, at)
			}
		}
	}
}

func (x *exam) issuer(ctx context.Context, t *plan.Tokens, at manifest.Problem) {
	const check = "issuer"
	iss := t.Issuer
	switch {
	case t.Accounts != nil:
		x.Skip(check, "the keys of the cluster's service accounts are the pods' to fetch")
		return
	case iss.IntrospectionPreset != "":
		x.Skip(check, "%s has no keys: its tokens are introspected", iss.Issuer)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := netguard.NewClient(netguard.Policy{AllowPrivate: iss.JWKSAllowPrivateIP, Setting: "jwksAllowPrivateIP", Proxies: x.Asking.Proxies}, netguard.Options{Roots: roots(t.CABundle)})
	defer client.CloseIdleConnections()
	keys, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(ctx context.Context) (string, error) {
			if iss.JWKSURL != "" {
				return string(iss.JWKSURL), nil
			}
			return authn.DiscoverKeys(ctx, client, string(iss.Issuer))
		},
		Client: client, Pin: iss.JWKSCertFingerprint, Log: slog.New(slog.DiscardHandler), Seen: func(token.Event) {},
	})
	if err != nil {
		x.Add(doctor.Finding{Level: doctor.Failure, Check: check, Message: fmt.Sprintf("%s: %v", iss.Issuer, err), Place: at})
		return
	}
	defer keys.Close()
	_, err = keys.Find(ctx, "")
	if ok, why := keys.Fetched(); !ok {
		err = cmp.Or(why, err)
		f := doctor.Finding{Level: doctor.Failure, Check: check, Place: at, Message: fmt.Sprintf("%s: its keys cannot be had, so that every token is refused: %v", iss.Issuer, err)}
		if iss.JWKSURL != "" {
			f.Place = t.At("jwksUrl")
		}
		if _, refused := errors.AsType[*netguard.RefusedError](err); refused {
			f.Change = "jwksAllowPrivateIP: true, if the issuer is in your own network"
		}
		x.Add(f)
		return
	}
	x.OK(check, "%s: its keys can be had", iss.Issuer)
}

// providers looks at the identity providers that an authorization server sends people to.
func (x *exam) providers(ctx context.Context, a *plan.AuthServer) {
	for i := range a.Providers {
		p := &a.Providers[i]
		ctx, cancel := context.WithTimeout(ctx, patience)
		x.provider(ctx, a, p)
		cancel()
	}
}

func (x *exam) provider(ctx context.Context, a *plan.AuthServer, p *plan.Provider) {
	const check = "provider"
	fail := func(field, change, format string, args ...any) {
		x.Add(doctor.Finding{
			Level: doctor.Failure, Check: check, Change: change, Place: a.Problem(p.Field+field, ""),
			Message: p.Name + ": " + fmt.Sprintf(format, args...),
		})
	}
	preset := idp.PresetOf(p.Spec.Preset)
	var spec *v1alpha1.UpstreamClient
	var id, authorize, part string
	if c := p.Spec.OIDCConfig; c != nil {
		spec, id, part = &c.UpstreamClient, c.ClientID, ".oidcConfig"
	} else {
		c := p.Spec.OAuth2Config
		spec, id, part, authorize = &c.UpstreamClient, c.ClientID, ".oauth2Config", cmp.Or(string(c.AuthorizationEndpoint), preset.Authorize)
	}
	reach := idp.NewReach(spec.InsecureAllowHTTP, spec.AllowPrivateIPs)
	reach.Client = netguard.NewClient(netguard.Policy{AllowPrivate: spec.AllowPrivateIPs, Setting: plan.PrivateSetting, Proxies: x.Asking.Proxies}, netguard.Options{Roots: roots(p.CABundle)})
	defer reach.Client.CloseIdleConnections()
	if c := p.Spec.OIDCConfig; c != nil {
		m, err := oauth.DiscoverServer(ctx, &reach, cmp.Or(string(c.IssuerURL), preset.Issuer), true)
		if err == nil {
			err = errors.Join(reach.Check("authorization endpoint", m.AuthorizationEndpoint), reach.Check("token endpoint", m.TokenEndpoint), reach.Check("key set", m.JWKSURI))
		}
		if err != nil {
			fail(part+".issuerUrl", "", "nobody can sign in with it: %v", err)
			return
		}
		authorize = m.AuthorizationEndpoint
	}
	callback := cmp.Or(string(spec.RedirectURI), string(a.Spec.Issuer)+"/oauth/callback")
	if authorize == "" || id == "" {
		x.OK(check, "%s: it is to send people back to %s", p.Name, callback)
		return
	}
	said, err := x.tried(ctx, reach.Client, authorize, id, callback)
	switch {
	case err != nil:
		fail(part, "", "nobody can sign in with it: %v", err)
	case said != "":
		fail(part+".clientId", "at the provider, the client's redirect address: "+callback+"; or clientId here",
			"it %s when people are sent there: it does not know the client, or not the address that it is to send them back to", said)
	default:
		x.OK(check, "%s: it can be reached, and is to send people back to %s", p.Name, callback)
	}
}

// tried sends nobody to a provider: with prompt=none nobody is asked for anything. What it
// says is that it refuses the client or its address; "" where it does not.
func (x *exam) tried(ctx context.Context, client *http.Client, authorize, id, callback string) (said string, err error) {
	u, err := url.Parse(authorize)
	if err != nil {
		return "", errors.New("invalid URL of the authorization endpoint")
	}
	q := u.Query()
	challenge := sha256.Sum256([]byte("a code that nobody redeems"))
	for name, value := range map[string]string{
		"response_type": "code", "client_id": id, "redirect_uri": callback, "scope": "openid", "state": "sallyport-doctor", "nonce": "sallyport-doctor",
		"prompt": "none", "code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", errors.New("invalid URL of the authorization endpoint")
	}
	answer, err := netguard.Send(client, req, 1<<20)
	if err != nil {
		return "", err
	}
	to, _ := url.Parse(answer.Header.Get("Location"))
	switch {
	case answer.Status >= http.StatusBadRequest:
		return fmt.Sprintf("answers %d", answer.Status), nil
	case to != nil && strings.Contains(to.Query().Get("error"), "unauthorized_client"):
		return "says unauthorized_client", nil
	}
	return "", nil
}
