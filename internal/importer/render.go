package importer

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// manifests writes a server as manifests. It is one entry, or none that is an error: what cannot be taken says why.
func (in *input) manifests(s *server) []Entry {
	w := &writer{in: in, server: s, entry: Entry{Name: s.name}}
	if s.leftOut == "" {
		w.name = in.name(s.name)
		if w.name != s.name {
			s.note("its name here is %s", w.name)
		}
		if s.url != "" {
			w.remote()
		} else {
			w.local()
		}
	}
	w.entry.Notes = s.notes
	if s.leftOut != "" {
		w.entry.LeftOut, w.entry.As, w.entry.Manifests, w.entry.Secrets = s.leftOut, "", "", nil
	}
	return []Entry{w.entry}
}

// writer writes the manifests of one server.
type writer struct {
	in     *input
	server *server
	name   string
	entry  Entry
}

// leaveOut says why there is no manifest; the first reason counts.
func (w *writer) leaveOut(format string, args ...any) {
	if w.server.leftOut == "" {
		w.server.leftOut = fmt.Sprintf(format, args...)
	}
}

// add writes an object behind what there is.
func (w *writer) add(obj runtime.Object) {
	text, err := manifest.Marshal(obj)
	if err != nil {
		w.leaveOut("%v", err)
		return
	}
	if w.entry.Manifests != "" {
		w.entry.Manifests += "---\n"
	}
	w.entry.Manifests += string(text)
}

// secret keeps a value out of the manifests and returns where it is.
func (w *writer) secret(key, value string, missing []string) v1alpha1.SecretKeyRef {
	s := Secret{Name: w.name, Key: key}
	if len(missing) > 0 {
		s.Missing = "it needs " + strings.Join(missing, " and ")
	} else {
		s.Value = secret.New(value)
	}
	w.entry.Secrets = append(w.entry.Secrets, s)
	return v1alpha1.SecretKeyRef{Name: v1alpha1.ObjectName(w.name), Key: v1alpha1.DataKey(key)}
}

func (w *writer) meta() metav1.ObjectMeta { return metav1.ObjectMeta{Name: w.name} }

func (w *writer) remote() {
	s := w.server
	address, missing := w.in.expand(s.url, s.env, s.inputs)
	if len(missing) > 0 {
		w.leaveOut("its URL needs %s; set it, and import again", strings.Join(missing, " and "))
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		w.leaveOut("its URL cannot be read; write it like https://mcp.example.com/mcp")
		return
	}
	if u.User != nil || secretInQuery(u.Query()) {
		w.leaveOut("its URL holds a secret, and a manifest is no place for one; give the server the key in a header (Authorization: Bearer … is taken by most), and import again")
		return
	}
	p := &v1alpha1.MCPRemoteProxy{ObjectMeta: w.meta()}
	p.Spec.RemoteURL = v1alpha1.RemoteURL(address)
	p.Spec.AllowPrivateEndpoint = netguard.IsLocalName(u.Hostname())
	if s.transport == "sse" {
		p.Spec.Transport = "sse"
	}
	authorized := w.headers(&p.Spec.Remote)
	for _, h := range s.passed {
		p.Spec.PassthroughHeaders = append(p.Spec.PassthroughHeaders, v1alpha1.PassthroughHeader(h))
	}
	switch {
	case !authorized:
		p.Spec.OAuth = w.account()
	case s.clientID != "" || s.clientKey != "":
		s.note("its OAuth client is left out, since a header is its credential already; if it is not, set oauth.clientId in place of headerForward")
	}
	w.common(&p.Spec.Serving, &p.Spec.Membership)
	w.entry.As = "MCPRemoteProxy/" + w.name
	w.add(p)
	w.filter()
}

// secretInQuery reports whether a parameter is a key.
func secretInQuery(q url.Values) bool {
	for name, values := range q {
		for _, v := range values {
			if v != "" && isSecret(name, v) {
				return true
			}
		}
	}
	return false
}

// account signs in where the server asks for it, as the client did. Where there was a header of the person's own that
// may be the credential, there is none.
func (w *writer) account() *v1alpha1.RemoteOAuth {
	a := &v1alpha1.RemoteOAuth{Grant: "authorizationCode", ClientID: w.server.clientID}
	if w.server.clientKey != "" {
		ref := w.secret("client-secret", w.server.clientKey, nil)
		a.ClientSecretRef = &ref
	}
	w.server.note("if it asks for a sign-in, run sallyport login %s once; every caller then acts with that account", w.name)
	return a
}

// headers writes what clients sent to the server; authorized reports whether one of them may be a credential.
func (w *writer) headers(to *v1alpha1.Remote) (authorized bool) {
	s := w.server
	for _, name := range slices.Sorted(maps.Keys(s.headers)) {
		value, missing := w.in.expand(s.headers[name], s.env, s.inputs)
		if to.HeaderForward == nil {
			to.HeaderForward = &v1alpha1.HeaderForward{}
		}
		if harmless.MatchString(name) && len(missing) == 0 && !secretShape.MatchString(value) {
			if to.HeaderForward.AddPlaintextHeaders == nil {
				to.HeaderForward.AddPlaintextHeaders = map[string]v1alpha1.HeaderValue{}
			}
			to.HeaderForward.AddPlaintextHeaders[name] = v1alpha1.HeaderValue(value)
			continue
		}
		authorized = authorized || isSecret(name, value)
		to.HeaderForward.AddHeadersFromSecret = append(to.HeaderForward.AddHeadersFromSecret, v1alpha1.HeaderFromSecret{
			HeaderName: v1alpha1.SetHeader(name), ValueSecretRef: w.secret(name, value, missing),
		})
	}
	return authorized
}

func (w *writer) local() {
	s := w.server
	o := &v1alpha1.MCPServer{ObjectMeta: w.meta()}
	for i, word := range s.command {
		value, missing := w.in.expand(word, s.env, s.inputs)
		if len(missing) > 0 {
			w.leaveOut("word %d of its command needs %s; set it, and import again", i+1, strings.Join(missing, " and "))
			return
		}
		o.Spec.Command = append(o.Spec.Command, v1alpha1.Argument(value))
		s.command[i] = value
	}
	if i := secretArgument(s.command); i >= 0 {
		w.leaveOut("word %d of its command looks like a secret, and everybody on a machine sees command lines; let the program take it from a variable in env, and import again", i+1)
		return
	}
	if s.dir != "" {
		if o.Spec.WorkingDir = s.dir; !path.IsAbs(s.dir) {
			w.leaveOut("cwd must be an absolute path")
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		value, missing := w.in.expand(s.env[name], nil, s.inputs)
		if isSecret(name, value) || len(missing) > 0 {
			ref := w.secret(name, value, missing)
			o.Spec.Secrets = append(o.Spec.Secrets, v1alpha1.SecretEnv{Name: ref.Name, Key: ref.Key, TargetEnvName: v1alpha1.EnvName(name)})
			continue
		}
		o.Spec.Env = append(o.Spec.Env, v1alpha1.EnvVar{Name: v1alpha1.EnvName(name), Value: value})
	}
	w.common(&o.Spec.Serving, &o.Spec.Membership)
	w.entry.As = "MCPServer/" + w.name
	w.add(o)
	w.filter()
}

func (w *writer) common(to *v1alpha1.Serving, group *v1alpha1.Membership) {
	if len(w.server.tools) > 0 {
		to.ToolConfigRef = &v1alpha1.ObjectRef{Name: v1alpha1.ObjectName(w.name)}
	}
	if w.server.group != "" {
		group.GroupRef = &v1alpha1.ObjectRef{Name: v1alpha1.ObjectName(w.server.group)}
	}
}

// filter writes which tools are wanted.
func (w *writer) filter() {
	if len(w.server.tools) == 0 {
		return
	}
	c := &v1alpha1.MCPToolConfig{ObjectMeta: w.meta()}
	for _, name := range w.server.tools {
		c.Spec.ToolsFilter = append(c.Spec.ToolsFilter, v1alpha1.ToolName(name))
	}
	w.add(c)
}
