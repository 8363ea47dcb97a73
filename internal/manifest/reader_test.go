package manifest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// FINDING N12
func TestStandardInput(t *testing.T) {
	t.Parallel()
	r := &manifest.Reader{Paths: []string{manifest.Stdin, write(t, "b.yaml", tool("b"))}, Stdin: strings.NewReader(tool("a"))}
	for range 2 { // a reload finds what was read
		set, err := r.Load()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names(set)); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
	}
	r = &manifest.Reader{Paths: []string{manifest.Stdin}, Stdin: strings.NewReader("a: [\n")}
	if _, err := r.Load(); err == nil || !strings.HasPrefix(err.Error(), "-:1: is not YAML") {
		t.Errorf("error %v", err)
	}
}

// What is somebody else's is left out with a line; what looks like ours is not.
//
// FINDING N13
func TestGroupsAndKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ apiVersion, kind, want string }{
		{"apps/v1", "Deployment", ""},
		{"v1", "Service", ""},
		{"kagent.dev/v1alpha1", "MCPServer", ""},
		{"kustomize.config.k8s.io/v1beta1", "Kustomization", ""},
		{"v2", "", ""}, // a chart of Helm
		{"sallyport.dev/v1", "MCPServer", `apiVersion: "sallyport.dev/v1" is not known; did you mean sallyport.dev/v1alpha1?`},
		{"sallyport.dev", "MCPServer", `apiVersion: "sallyport.dev" is not known; did you mean sallyport.dev/v1alpha1?`},
		{"salyport.dev/v1alpha1", "MCPServer", `apiVersion: "salyport.dev/v1alpha1" is not known; did you mean sallyport.dev/v1alpha1?`},
		{"Sallyport.dev/v1alpha1", "Anything", `apiVersion: "Sallyport.dev/v1alpha1" is not known; did you mean sallyport.dev/v1alpha1?`},
		{"sallyport.dev/v1alpha1", "MCPServers", `kind: "MCPServers" is no kind of sallyport.dev; did you mean MCPServer?`},
		{"sallyport.dev/v1alpha1", "Deployment", `kind: "Deployment" is no kind of sallyport.dev; use one of `},
		{"sallyport.dev/v1alpha1", "", "kind: is required; it is one of "},
		{"v1alpha1", "MCPServer", `apiVersion: is "v1alpha1", and must be sallyport.dev/v1alpha1 for an MCPServer`},
		{"v1", "MCPServer", `apiVersion: is "v1", and must be sallyport.dev/v1alpha1 for an MCPServer`},
		{"v1", "Secrets", `kind: "Secrets" is not known; did you mean Secret?`},
		{"v1beta1", "ConfigMap", `apiVersion: is "v1beta1", and must be v1 for a ConfigMap`},
		{"toolhive.stacklok.dev/v1beta1", "MCPServer", `apiVersion: is "toolhive.stacklok.dev/v1beta1"; change it to sallyport.dev/v1alpha1`},
		{"toolhive.stacklok.dev/v1beta1", "MCPRegistry", "kind: MCPRegistry is not supported: a gateway serves"},
		{"sallyport.dev/v1alpha1", "EmbeddingServer", "kind: EmbeddingServer is not supported: the gateway runs no embedding server"},
	} {
		text := "apiVersion: " + tt.apiVersion + "\nmetadata: {name: x}\n"
		if tt.kind != "" {
			text = "kind: " + tt.kind + "\n" + text
		}
		set, err := manifest.Load([]string{write(t, "a.yaml", tool("ours")+"---\n"+text)})
		switch {
		case tt.want == "" && (err != nil || len(set.Objects) != 1 || !strings.Contains(set.LeftOut(), "1 object of other API groups left out: ")):
			t.Errorf("%s %s: error %v, left out %q", tt.apiVersion, tt.kind, err, set.LeftOut())
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s %s: error %v, want %q", tt.apiVersion, tt.kind, err, tt.want)
		}
	}
	_, err := manifest.Load([]string{write(t, "a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n")})
	if err == nil || !strings.Contains(err.Error(), "holds no resource of sallyport.dev") {
		t.Errorf("nothing of ours: %v", err)
	}
}

const withSecrets = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: https://mcp.example.com/mcp
  headerForward:
    addHeadersFromSecret:
      - {headerName: X-A, valueSecretRef: {name: written, key: a}}
      - {headerName: X-B, valueSecretRef: {name: written, key: b}}
      - {headerName: X-C, valueSecretRef: {name: api-key, key: token.txt}}
      - {headerName: X-D, valueSecretRef: {name: nowhere, key: d}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: local, namespace: team}
spec:
  command: [x]
  secrets: [{name: api-key, key: token.txt}, {name: ../../etc, key: passwd}]
---
apiVersion: v1
kind: Secret
metadata: {name: written}
stringData: {a: from-manifest}
`

// REQ G-12: a manifest wins over the folder, and the folder over the environment.
func TestSecretsFromElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, "written/a", "not read")
	writeIn(t, dir, "written/b", "from-folder\n")
	writeIn(t, dir, "team/api-key/token.txt", "of-team\r\n")
	env := map[string]string{"SALLYPORT_SECRET_WRITTEN__B": "not read", "SALLYPORT_SECRET_API_KEY__TOKEN_TXT": "from-environment"}
	r := &manifest.Reader{
		Paths: []string{write(t, "a.yaml", withSecrets)}, Secrets: dir,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}
	set, err := r.Load()
	if err != nil {
		t.Fatal(err)
	}
	if problems := set.Decode(); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, tt := range []struct{ namespace, name, key, want string }{
		{"default", "written", "a", "from-manifest"},
		{"default", "written", "b", "from-folder"},
		{"default", "api-key", "token.txt", "from-environment"},
		{"team", "api-key", "token.txt", "of-team"},
	} {
		if s, ok := set.Secret(tt.namespace, tt.name); !ok || s.Data[tt.key].Reveal() != tt.want {
			t.Errorf("%+v: found %v", tt, ok)
		}
	}
	for _, ns := range []string{"default", "team"} {
		for _, name := range []string{"nowhere", "../../etc"} {
			if _, ok := set.Secret(ns, name); ok {
				t.Errorf("%s/%s was found", ns, name)
			}
		}
	}
	want := ", or the value to " + filepath.Join(dir, "nowhere", "d") + ", or the value to the environment variable SALLYPORT_SECRET_NOWHERE__D"
	if got := set.SecretPlaces("default", "nowhere", "d"); got != want {
		t.Errorf("places %q, want %q", got, want)
	}
}

// Two values never share a variable.
func TestSecretVariableOfTwo(t *testing.T) {
	t.Parallel()
	r := &manifest.Reader{
		Paths:     []string{write(t, "a.yaml", strings.NewReplacer("name: written, key: a", "name: api.key, key: token-txt").Replace(withSecrets))},
		LookupEnv: func(name string) (string, bool) { return "x", name == "SALLYPORT_SECRET_API_KEY__TOKEN_TXT" },
	}
	set, err := r.Load()
	if err != nil {
		t.Fatal(err)
	}
	if problems := set.Decode(); len(problems) != 1 || !strings.Contains(problems.Error(), `stands for key "token.txt" of Secret "api-key", and for key "token-txt" of "api.key"`) {
		t.Errorf("problems: %v", problems)
	}
}

// A value in the folder that changes is a change, as of any manifest.
func TestWatchSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mounted := filepath.Join(dir, "api-key")
	mount(t, mounted, "1", "one")
	r := &manifest.Reader{Paths: []string{write(t, "a.yaml", withSecrets)}, Secrets: dir}
	set, err := r.Load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(done)
		r.Watch(ctx, set.Digest(), slog.New(slog.DiscardHandler), func() { changes <- struct{}{} })
	}()
	mount(t, mounted, "2", "two")
	<-changes
	writeIn(t, dir, "new/key", "x")
	<-changes
	cancel()
	<-done
}

// FINDING N13: each namespace is a cluster of its own.
func TestOneNamespace(t *testing.T) {
	t.Parallel()
	file := write(t, "a.yaml", tool("a")+"---\n"+strings.Replace(tool("a"), "name: a", "name: a, namespace: other", 1))
	set, err := (&manifest.Reader{Paths: []string{file}, Namespace: "other"}).Load()
	if err != nil || len(set.Objects) != 1 || set.Objects[0].Namespace != "other" {
		t.Errorf("got %v, %v", set.Objects, err)
	}
	if _, err := (&manifest.Reader{Paths: []string{file}, Namespace: "nobody"}).Load(); err == nil || !strings.Contains(err.Error(), "there are: default, other") {
		t.Errorf("error %v", err)
	}
}

// The revision of manifests is the same however they are written, and a Secret has no
// part in it: it may be shown.
func TestRevision(t *testing.T) {
	t.Parallel()
	revision := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := manifest.Load([]string{dir})
		if err != nil {
			t.Fatal(err)
		}
		return set.Revision()
	}
	const (
		proxy     = "apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: a}\nspec: {remoteUrl: https://a, proxyPort: 8080}\n"
		rewritten = "# a comment\nkind: MCPRemoteProxy\napiVersion: sallyport.dev/v1alpha1\nmetadata:\n  name: a\nspec:\n  proxyPort: 8080\n  remoteUrl: https://a\n"
		other     = "apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: a}\nspec: {remoteUrl: https://b, proxyPort: 8080}\n"
		config    = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: %s}\n"
		secret    = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: %s}\n"
	)
	first := revision(map[string]string{"a.yaml": proxy, "b.yaml": fmt.Sprintf(config, "one")})
	if first == "" {
		t.Fatal("there is none")
	}
	for name, c := range map[string]struct {
		files map[string]string
		same  bool
	}{
		"in another file, in other words": {map[string]string{"z.yaml": fmt.Sprintf(config, "one") + "---\n" + rewritten}, true},
		"with a Secret":                   {map[string]string{"a.yaml": proxy, "b.yaml": fmt.Sprintf(config, "one"), "s.yaml": fmt.Sprintf(secret, "x")}, true},
		"another address":                 {map[string]string{"a.yaml": other, "b.yaml": fmt.Sprintf(config, "one")}, false},
		"another text in a ConfigMap":     {map[string]string{"a.yaml": proxy, "b.yaml": fmt.Sprintf(config, "two")}, false},
		"without the ConfigMap":           {map[string]string{"a.yaml": proxy}, false},
	} {
		if same := revision(c.files) == first; same != c.same {
			t.Errorf("%s: the same %t, want %t", name, same, c.same)
		}
	}
}
