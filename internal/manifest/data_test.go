package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	set, err := manifest.Load([]string{write(t, "a.yaml", `
apiVersion: v1
kind: Secret
metadata: {name: s}
type: kubernetes.io/basic-auth
immutable: false
data:
  coded: aGVsbG8=
  both: b3RoZXI=
  folded: |
    aGVs
    bG8=
  bytes: /wA=
stringData:
  plain: "text "
  both: wins
`)})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := set.Secret("default", "s")
	if !ok || s.Type != "kubernetes.io/basic-auth" {
		t.Fatalf("got %+v, %v", s, ok)
	}
	got := map[string]string{}
	for key, value := range s.Data {
		got[key] = value.Reveal()
	}
	want := map[string]string{"coded": "hello", "both": "wins", "folded": "hello", "bytes": "\xff\x00", "plain": "text "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if _, ok := set.Secret("other", "s"); ok {
		t.Error("found in another namespace")
	}
	if _, ok := set.ConfigMap("default", "s"); ok {
		t.Error("a Secret was found as a ConfigMap")
	}
}

func TestConfigMap(t *testing.T) {
	t.Parallel()
	set, err := manifest.Load([]string{write(t, "a.yaml", `
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: team}
data: {ca.crt: PEM}
binaryData: {raw: AAEC}
`)})
	if err != nil {
		t.Fatal(err)
	}
	c, ok := set.ConfigMap("team", "c")
	if !ok || c.Data["ca.crt"] != "PEM" || string(c.BinaryData["raw"]) != "\x00\x01\x02" {
		t.Errorf("got %+v, %v", c, ok)
	}
}

// REQ B-12: a Secret that cannot be read is a problem with a place, is not handed
// out, and no way of writing it wrong shows what is in it.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
	for _, body := range []string{
		"data: {a: CANARY!}\n",
		"data: {a: [CANARY]}\n",
		"data: CANARY\n",
		"stringData: {a: {CANARY: CANARY}}\n",
		"stringData: {a: !!int CANARY}\n",
		"stringData: {a: !!float CANARY}\n",
		"stringData: {a: !!binary CANARY}\n",
		"stringData: {a: !!timestamp CANARY}\n",
		"stringData: {a: !CANARY [CANARY]}\n",
		"stringData: {a: *CANARY}\n",
		"stringData: {a: &CANARY b, a: *CANARY}\n",
		"stringData: {a: \"CANARY\\q\"}\n",
		"stringData: {a: \"CANARY}\n",
		"stringData: {a: 'it's CANARY'}\n",
		"stringData:\n  a: CANARY: CANARY\n",
		"stringData:\n  a: CANARY\n   b: CANARY\n",
		"stringData:\n  a: |CANARY\n",
		"stringData:\n  a: @CANARY\n",
		"stringData:\n  a: %CANARY\n",
		"stringData:\n  a: `CANARY`\n",
		"stringData:\n  a: {{CANARY}}\n",
		"stringData:\n\ta: CANARY\n",
		"stringData:\n  CANARY\n",
		"stringData:\n  <<: CANARY\n",
		"type: {a: CANARY}\n",
		"immutable: CANARY\n",
		"CANARY\n",
		"- CANARY\n",
		"data: {a: CANARY\n",
		"%CANARY\n",
	} {
		set, err := manifest.Load([]string{write(t, "a.yaml", head+body)})
		problems, _ := errors.AsType[manifest.Problems](err)
		if len(problems) == 0 {
			t.Errorf("%q: no problem", body)
		}
		for _, shown := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v", set, set), fmt.Sprintf("%+v", set.Objects)} {
			if strings.Contains(shown, "CANARY") {
				t.Errorf("%q: the value is shown: %s", body, shown)
			}
		}
		for _, p := range problems {
			if p.Line == 0 {
				t.Errorf("%q: no line: %v", body, p)
			}
		}
		if s, ok := set.Secret("default", "s"); ok {
			t.Errorf("%q: handed out: %v", body, s)
		}
	}
}

// A good Secret does not show either, however a set is printed.
func TestSetsDoNotShowSecrets(t *testing.T) {
	t.Parallel()
	set, err := manifest.Load([]string{write(t, "a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: CANARY}\n")})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := set.Secret("default", "s")
	if shown := fmt.Sprintf("%+v %#v %v %+v", set.Objects[0], set.Objects[0], s, *s); strings.Contains(shown, "CANARY") {
		t.Errorf("the value is shown: %s", shown)
	}
}

// FuzzLoad holds that nothing in a file makes reading it panic or take long,
// and that what is read can be pointed at.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		tool("a"), "a: &a [*a]", "---\n...\n%YAML 1.1\n", "{\"a\": \"\\ud800\"}", "<<: {a: 1}", "a: !!binary x", "? [a]\n: b", "\xff\xfe", "a: .nan",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '!'}", "apiVersion: v1\nkind: List\nitems: [1, {}]",
	} {
		f.Add([]byte(seed))
	}
	file := write(f, "a.yaml", "")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := manifest.Load([]string{file})
		if err == nil && len(set.Objects) == 0 {
			t.Error("nothing was read, and nothing said")
		}
		for _, o := range set.Objects {
			for field := range o.Raw {
				if o.Position(field+".x[0]").File != file {
					t.Errorf("%s has no place", field)
				}
			}
		}
		set.Decode()
	})
}
