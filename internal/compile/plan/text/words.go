package text

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
)

// Who says whom a door lets in, and by what. Anonymous callers come last.
func Who(d *plan.Door) (who []string) {
	for _, m := range d.Methods {
		who = append(who, Method(m))
	}
	switch {
	case d.Everybody():
		who = append(who, "everybody, as anonymous")
	case d.Anonymous:
		who = append(who, "everybody else, as anonymous")
	case len(d.Methods) == 0:
		who = append(who, "nobody")
	}
	return who
}

// Method says whom a method of a door lets in.
func Method(m plan.Method) string {
	switch {
	case m.Tokens != nil:
		return tokens(m.Tokens)
	case m.SignIn != nil:
		return "who signs in at " + m.SignIn.Name + ", " + string(m.SignIn.Spec.Issuer)
	case m.Proxy != nil:
		return proxy(m.Proxy)
	case m.Assertion != nil:
		return fmt.Sprintf("whom a signed assertion names (%s%s%s)", m.Assertion.Preset, with(", team %s", m.Assertion.Team), with(", for %s", cmp.Or(m.Assertion.Audience, m.Assertion.Signer, m.Assertion.Domain)))
	case m.Certificate != nil:
		of := "any authority that the listener believes"
		if m.Certificate.Authorities != "" {
			of = "the authorities in caBundleRef"
		}
		return "who has a TLS client certificate of " + of + with(", issued to %s", strings.Join(m.Certificate.Names, " or "))
	}
	return "nobody"
}

// tokens says whose are taken.
func tokens(t *plan.Tokens) string {
	who := "who has a token"
	if t.Accounts != nil {
		who = fmt.Sprintf("service account %s/%s, by its token", cmp.Or(t.Accounts.Namespace, "*"), cmp.Or(t.Accounts.Name, "*"))
	}
	keys := with(", with keys at %s", string(t.Issuer.JWKSURL)) + with(", pinned to %s", t.Issuer.JWKSCertFingerprint)
	return fmt.Sprintf("%s of %s%s%s%s%s%s", who, t.Issuer.Issuer, with(" for %s", strings.Join(t.Audiences, " or ")),
		with(" issued to %s", strings.Join(t.Clients, " or ")), with(" with scopes %s", strings.Join(t.Scopes, " ")), keys, with(", or an opaque one by %s", cmp.Or(string(t.Issuer.IntrospectionURL), t.Issuer.IntrospectionPreset)))
}

// proxy says whose word is believed, and where it stands.
func proxy(x *plan.Proxy) string {
	h := x.Headers
	who := fmt.Sprintf("whom a proxy names in %s%s%s%s", h.User, with(", e-mail in %s", h.Email), with(", name in %s", h.Name), with(", groups in %s", h.Groups))
	proof := "at " + cmp.Or(join(x.Peers), "no address")
	if len(x.Certificates) > 0 {
		proof += ", with a certificate of " + strings.Join(x.Certificates, " or ")
	}
	if x.SecretHeader != "" {
		proof += ", with a secret in " + x.SecretHeader
	}
	return who + ", known " + proof
}

// May says what those may do who are let in.
func May(x *plan.Policy) string {
	switch {
	case x.Unrestricted:
		return "do everything: there are no policies"
	case x.Set == nil:
		return "do nothing"
	case x.Config.Shadow:
		return "do everything: policies are only watched (shadow)"
	}
	return "do what policies permit, and nothing else"
}

// What says what a server is shown, header by header, and where it comes from.
func What(s *plan.Shown) (what []string) {
	for _, h := range s.Headers {
		what = append(what, h.Name+", from "+h.From)
	}
	for _, name := range s.Passthrough {
		what = append(what, name+", as the client sends it")
	}
	if s.Credential != nil {
		what = append(what, Credential(s.Credential))
	}
	if what == nil {
		what = []string{"no credential"}
	}
	return what
}

// Credential says what is shown, in which headers, and what it is made of.
func Credential(x *plan.Credential) string {
	subject := "the caller's own token"
	if x.Provider != nil {
		subject = "the caller's token of " + x.Provider.Name
	}
	var text string
	made := func(what string) string {
		return what + with(" for %s", x.Audience) + with(" with scopes %s", strings.Join(x.Scopes, " ")) + ", made of " + subject + " at " + x.Endpoint
	}
	switch x.Type {
	case plan.TypeAccount:
		text = "the token of the gateway's own account, whoever calls"
	case v1alpha1.AuthForwardClientToken:
		text = subject + with(", if it is for %s too", x.Audience)
	case v1alpha1.AuthUpstreamInject:
		text = subject
	case v1alpha1.AuthIdentityAssertion:
		text = "an assertion about the caller" + with(" by %s", x.Issuer) + with(" for %s", x.Audience)
	case v1alpha1.AuthAWSSTS:
		text = made("a signature of an AWS role")
	case v1alpha1.AuthXAA:
		text = made("a token") + " and " + x.Target
	default:
		text = made("a token")
	}
	return strings.Join(x.Headers, ", ") + ": " + text + with(" (MCPExternalAuthConfig %s)", x.From)
}

// with is a phrase about something, where there is something to say.
func with(format, text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(format, text)
}

func join(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

func texts[T ~string](list []T) []string {
	all := make([]string, len(list))
	for i, t := range list {
		all[i] = string(t)
	}
	return all
}
