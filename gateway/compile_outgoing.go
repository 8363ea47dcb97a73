package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// outgoing compiles what a backend is shown. A header name that two settings
// would set is a problem that names both (REQ E-3).
func (c *compiler) outgoing(o backendUser, fwd *v1alpha1.HeaderForward, auth *v1alpha1.ObjectRef, passthrough []passedHeader) outgoing {
	out := outgoing{static: http.Header{}, setBy: map[string]string{}}
	claim := func(field, name string) bool { return c.claim(o.Object, &out, field, name) }
	c.headerForward(o.Object, fwd, func(field, name string, value secret.Value) {
		if claim(field, name) {
			out.static[http.CanonicalHeaderKey(name)] = []string{value.Reveal()}
		}
	})
	if auth != nil {
		c.outgoingCredential(o, string(auth.Name), &out, claim)
	}
	for _, p := range passthrough {
		if claim(p.field, p.name) {
			out.passthrough = append(out.passthrough, http.CanonicalHeaderKey(p.name))
		}
	}
	return out
}

// claim notes that a setting sets a header, unless another one does.
func (c *compiler) claim(o *manifest.Object, out *outgoing, field, name string) bool {
	name = http.CanonicalHeaderKey(name)
	if other, ok := out.setBy[name]; ok {
		c.problem(o, field, "header %s is set by %s too; keep one of them", name, other)
		return false
	}
	out.setBy[name] = field
	return true
}

// passedHeader is a client header to forward, and the setting that says so.
type passedHeader struct{ field, name string }

// headerForward calls add for each of the manifest's own headers, in a fixed order.
func (c *compiler) headerForward(o *manifest.Object, fwd *v1alpha1.HeaderForward, add func(field, name string, value secret.Value)) {
	if fwd == nil {
		return
	}
	names := make([]string, 0, len(fwd.AddPlaintextHeaders))
	for name := range fwd.AddPlaintextHeaders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		add("spec.headerForward.addPlaintextHeaders."+name, name, secret.New(string(fwd.AddPlaintextHeaders[name])))
	}
	for i, h := range fwd.AddHeadersFromSecret {
		field := index("spec.headerForward.addHeadersFromSecret", i)
		if value, ok := c.headerSecret(o, field+".valueSecretRef", h.ValueSecretRef); ok {
			add(field+".headerName", string(h.HeaderName), value)
		}
	}
}

// outgoingCredential adds the credential of the named MCPExternalAuthConfig.
func (c *compiler) outgoingCredential(o backendUser, name string, out *outgoing, claim func(field, name string) bool) {
	open, ok := c.credentials[objectKey{o.Namespace, name}]
	if !ok {
		c.missing(o.Object, "spec.externalAuthConfigRef.name", "MCPExternalAuthConfig", name)
		return
	}
	if open == nil {
		if _, ok := c.authServers[objectKey{o.Namespace, name}]; ok {
			c.problem(o.Object, "spec.externalAuthConfigRef.name", "MCPExternalAuthConfig %q is an authorization server, which is no credential; name it in authServerRef", name)
		}
		return
	}
	src := open(o)
	if src == nil {
		return
	}
	for _, h := range src.Headers() {
		if !claim("spec.externalAuthConfigRef", h) {
			return
		}
	}
	if fixed, ok := src.(*credential.Fixed); ok {
		fixed.Set(out.static)
		return
	}
	out.credential = src
	if cfg, ok := manifest.Get[v1alpha1.MCPExternalAuthConfig](c.set, o.Namespace, name); ok {
		out.settings = cfg.Value.Spec
	}
}

// objectKey finds an object of a known kind.
type objectKey struct{ namespace, name string }

// headerSecret is a secret that is to be a header's value (RFC 9110 §5.5). A line
// break at its end, as editors and `echo` leave it, is not part of it.
func (c *compiler) headerSecret(o *manifest.Object, field string, ref v1alpha1.SecretKeyRef) (secret.Value, bool) {
	v, ok := c.secret(o, field, ref)
	if !ok {
		return v, false
	}
	text := strings.TrimRight(v.Reveal(), "\r\n")
	switch {
	case text == "":
		c.problem(o, field+".key", "key %q of Secret %q is empty", ref.Key, ref.Name)
		return v, false
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		c.problem(o, field+".key", "key %q of Secret %q has a control character in it and cannot be a header's value", ref.Key, ref.Name)
		return v, false
	}
	return secret.New(text), true
}

// secret is the value that a reference names.
func (c *compiler) secret(o *manifest.Object, field string, ref v1alpha1.SecretKeyRef) (secret.Value, bool) {
	s, ok := c.set.Secret(o.Namespace, string(ref.Name))
	if !ok {
		c.missing(o, field+".name", "Secret", string(ref.Name))
		return secret.Value{}, false
	}
	v, ok := s.Data[string(ref.Key)]
	if !ok {
		c.problem(o, field+".key", "Secret %q has no key %q", ref.Name, ref.Key)
	}
	return v, ok
}

// index is the path of a list's element.
func index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// shows says what an endpoint shows its backend, for the log.
func (o *outgoing) shows() string {
	if _, ok := o.credential.(*credential.Account); ok {
		return "if the backend asks for authorization it is sent the token of the gateway's own account, whoever calls"
	}
	if o.credential != nil || len(o.static) > 0 {
		return "the backend is sent the headers that the manifest sets"
	}
	return "the backend is sent no credential"
}
