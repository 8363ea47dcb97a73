package plan

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// planner plans a set, one resource after the other.
type planner struct {
	set     *manifest.Set
	process Process
	plan    *Plan

	alone       bool                        // there is one endpoint only
	named       map[string]*manifest.Object // which object took an endpoint's name
	credentials map[objectKey]*credential
	published   map[string]*manifest.Object // which object took an address for keys
	authServers map[authServerKey]*AuthServer
	placed      []*AuthServer // that have their paths
	unsaid      int           // references to objects that have problems of their own
}

// one is the planner of one resource.
type one struct {
	*planner
	*manifest.Object // whose fields are read
	view             *manifest.View
	moved            map[string]string // fields that stand at another place in this kind
}

func (p *planner) one(o *manifest.Object) one { return one{p, o, p.set.View(), nil} }

// of reads fields of another object, for the same resource.
func (c one) of(o *manifest.Object) one { return one{c.planner, o, c.view, nil} }

func (c one) resource() Resource {
	return Resource{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, object: c.Object, view: c.view}
}

// at is where a field stands.
func (c one) at(field string) string {
	for from, to := range c.moved {
		if rest, ok := strings.CutPrefix(field, from); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return to + rest
		}
	}
	return field
}

// Problem is what is wrong with a field of the resource.
func (c one) Problem(field, format string, args ...any) manifest.Problem {
	return c.Object.Problem(c.at(field), format, args...)
}

// problem notes what is wrong with a field.
func (c one) problem(field, format string, args ...any) {
	c.plan.Problems = append(c.plan.Problems, c.Problem(field, format, args...))
}

// warn notes what can be served, but not as it is meant.
func (c one) warn(field, format string, args ...any) {
	c.plan.Warnings = append(c.plan.Warnings, c.Problem(field, format, args...))
}

// advise notes what may not say what was meant.
func (c one) advise(field, format string, args ...any) {
	c.plan.Advice = append(c.plan.Advice, c.Problem(field, format, args...))
}

// missing notes that a reference names nothing. An object that is there and has
// problems of its own has been spoken of already.
func (c one) missing(field, kind, name string) {
	if _, ok := c.set.Find(kind, c.Namespace, name); ok {
		c.unsaid++
		return
	}
	c.lacks(field, kind, "there is no %s %q; add it to the manifests", kind, name)
}

// lacks notes that something of a kind is not there.
func (c one) lacks(field, kind, format string, args ...any) {
	c.problem(field, format, args...)
	c.plan.Problems[len(c.plan.Problems)-1].Missing = kind
}

// fine reports whether nothing that do plans has a problem.
func (c one) fine(do func()) bool {
	before := len(c.plan.Problems) + c.unsaid
	do()
	return len(c.plan.Problems)+c.unsaid == before
}

// secret is the value that a reference names.
func (c one) secret(field string, ref v1alpha1.SecretKeyRef) (secret.Value, bool) {
	v, object, ok := c.view.Secret(c.Namespace, string(ref.Name), string(ref.Key))
	places := c.set.SecretPlaces(c.Namespace, string(ref.Name), string(ref.Key))
	switch _, there := c.set.Find("Secret", c.Namespace, string(ref.Name)); {
	case object == nil && there:
		c.unsaid++
	case object == nil:
		c.lacks(field+".name", "Secret", "there is no Secret %q with the key %q; add it to the manifests%s", ref.Name, ref.Key, places)
	case !ok:
		c.lacks(field+".key", "Secret", "Secret %q has no key %q; add it%s", ref.Name, ref.Key, places)
	}
	return v, ok
}

// headerSecret is a secret that is to be a header's value (RFC 9110 §5.5). A line
// break at its end, as editors and `echo` leave it, is not part of it.
func (c one) headerSecret(field string, ref v1alpha1.SecretKeyRef) (secret.Value, bool) {
	v, ok := c.secret(field, ref)
	if !ok {
		return v, false
	}
	text := strings.TrimRight(v.Reveal(), "\r\n")
	switch {
	case text == "":
		c.problem(field+".key", "key %q of Secret %q is empty", ref.Key, ref.Name)
		return v, false
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		c.problem(field+".key", "key %q of Secret %q has a control character in it and cannot be a header's value", ref.Key, ref.Name)
		return v, false
	}
	return secret.New(text), true
}

// clientSecret is the secret of the gateway's client at a token endpoint, if it has one.
func (c one) clientSecret(field string, ref *v1alpha1.SecretKeyRef) secret.Value {
	if ref == nil {
		return secret.Value{}
	}
	v, _ := c.headerSecret(field, *ref)
	return v
}

// text is the text that a reference to a ConfigMap names, and the ConfigMap.
func (c one) text(field, name, key string) (string, *manifest.Object, bool) {
	text, object, ok := c.view.ConfigMap(c.Namespace, name, key)
	switch {
	case object == nil:
		c.missing(field+".name", "ConfigMap", name)
	case !ok:
		c.lacks(field+".key", "ConfigMap", "ConfigMap %q has no key %q", name, key)
	}
	return text, object, ok
}

// caBundle are the certificates that a reference names, as PEM; "" without one, for
// those of the system.
func (c one) caBundle(field string, ref *v1alpha1.CABundleRef) (pem string) {
	if ref == nil {
		return ""
	}
	pem, _, ok := c.text(field, string(ref.ConfigMapRef.Name), string(ref.ConfigMapRef.Key))
	if ok {
		c.certificates(field, pem)
	}
	return pem
}

// certificates refuses a text that holds none.
func (c one) certificates(field, pem string) {
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(pem)) {
		c.problem(field+".key", "holds no certificate; put PEM certificates there")
	}
}

// Index is the path of a list's element.
func Index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// key is equal for equal settings of the same resource.
func (c one) key(what string, settings ...any) string {
	return keep.Key(append([]any{what, c.Namespace, c.Kind, c.Name}, settings...)...)
}
