package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const viewed = `apiVersion: sallyport.dev/v1alpha1
kind: MCPOIDCConfig
metadata: {name: idp}
spec: {type: inline, inline: {issuer: "https://idp.example.com"}}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: one, b: two}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {ca.crt: text}
`

func decoded(t *testing.T, docs string) *manifest.Set {
	t.Helper()
	set, err := manifest.Load([]string{write(t, "main.yaml", docs)})
	if err != nil {
		t.Fatal(err)
	}
	if problems := set.Decode(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// A view notes what was looked at, there or not, and nothing else.
func TestViewNotes(t *testing.T) {
	t.Parallel()
	v := decoded(t, viewed).View()
	if it, ok := manifest.Lookup[v1alpha1.MCPOIDCConfig](v, "default", "idp"); !ok || it.Value.Spec.Inline.Issuer != "https://idp.example.com" {
		t.Errorf("MCPOIDCConfig: %v", it)
	}
	if _, ok := manifest.Lookup[v1alpha1.MCPToolConfig](v, "default", "none"); ok {
		t.Error("there is an MCPToolConfig")
	}
	if value, object, ok := v.Secret("default", "s", "a"); !ok || object == nil || value.Reveal() != "one" {
		t.Errorf("Secret: %v %v", object, ok)
	}
	if _, object, ok := v.Secret("default", "s", "none"); ok || object == nil {
		t.Errorf("a key that is not there: %v %v", object, ok)
	}
	if _, object, ok := v.ConfigMap("default", "none", "k"); ok || object != nil {
		t.Errorf("a ConfigMap that is not there: %v %v", object, ok)
	}
	more := decoded(t, viewed).View()
	if text, _, ok := more.ConfigMap("default", "c", "ca.crt"); !ok || text != "text" {
		t.Errorf("ConfigMap: %q", text)
	}
	v.Include(more)
	want := "[ConfigMap/c[ca.crt] ConfigMap/none[k] MCPOIDCConfig/idp MCPToolConfig/none Secret/s[a] Secret/s[none]]"
	if diff := cmp.Diff(want, fmt.Sprint(v.Uses())); diff != "" {
		t.Error(diff)
	}
}

// The digest changes with what was looked at, and with nothing else of the set.
func TestViewDigest(t *testing.T) {
	t.Parallel()
	look := func(docs string) string {
		v := decoded(t, docs).View()
		manifest.Lookup[v1alpha1.MCPOIDCConfig](v, "default", "idp")
		v.Secret("default", "s", "a")
		v.ConfigMap("default", "more", "k")
		return v.Digest()
	}
	before := look(viewed)
	for name, tt := range map[string]struct {
		docs string
		same bool
	}{
		"nothing":          {viewed, true},
		"another key":      {strings.ReplaceAll(viewed, "b: two", "b: three"), true},
		"another object":   {viewed + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData: {a: one}\n", true},
		"the key":          {strings.ReplaceAll(viewed, "a: one", "a: other"), false},
		"the object":       {strings.ReplaceAll(viewed, "idp.example.com", "other.example.com"), false},
		"one that appears": {viewed + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {k: text}\n", false},
	} {
		if got := look(tt.docs) == before; got != tt.same {
			t.Errorf("%s: the digest is the same: %v", name, got)
		}
	}
}
