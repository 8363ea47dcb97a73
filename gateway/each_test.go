package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// folder is a folder of files, each a configuration of its own, and a gateway that serves it.
type folder struct {
	*testing.T
	*rig
	dir    string
	reader *manifest.Reader
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{T: t, rig: newRig(t, proxy("gone", "http://127.0.0.1:1"), nil), dir: t.TempDir()}
	f.reader = &manifest.Reader{Paths: []string{f.dir}, Secrets: t.TempDir(), Each: true, Validate: strict.Validate}
	f.load()
	return f
}

// load has the gateway serve what there is.
func (f *folder) load() {
	f.Helper()
	set, err := f.reader.Load()
	if err != nil {
		f.Fatal(err)
	}
	if err := f.Apply(set); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) write(path, text string) {
	f.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) file(name, text string) { f.write(filepath.Join(f.dir, name+".yaml"), text) }

func (f *folder) secret(name, value string) { f.write(filepath.Join(f.reader.Secrets, name), value) }

// serving is who answers at the endpoints, by their names.
func (f *folder) serving(names ...string) map[string]string {
	f.Helper()
	who := map[string]string{}
	for _, name := range names {
		w := f.send(post("/servers/"+name+"/mcp", toolCall))
		from, _, _ := strings.Cut(strings.TrimPrefix(w.Body.String(), `{"jsonrpc":"2.0","id":1,"result":{"from":"`), `"`)
		if w.Code != 200 {
			from = fmt.Sprint(w.Code)
		}
		who[name] = from
	}
	return who
}

// units are what /status says of the files.
func (f *folder) units() (hashes, errors map[string]string) {
	f.Helper()
	w := httptest.NewRecorder()
	f.AdminHandler(false).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/status", nil))
	var st struct {
		Units []struct{ Name, Hash, Error string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil {
		f.Fatal(err)
	}
	hashes, errors = map[string]string{}, map[string]string{}
	for _, u := range st.Units {
		hashes[u.Name], errors[u.Name] = u.Hash, u.Error
	}
	return hashes, errors
}

// Of several files each is a configuration of its own: one that is wrong costs itself, and goes on as it was; what has
// not changed keeps its connections; and nobody takes the place of another.
func TestEachFile(t *testing.T) {
	t.Parallel()
	a, b, c := newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")
	f := newFolder(t) // with nothing in it, at first
	keyed := func(url string) string {
		return proxy("keyed", url, "externalAuthConfigRef: {name: key}") + bearer("key", "api")
	}
	f.file("one", proxy("one", a.URL))
	f.file("keyed", keyed(b.URL)) // whose secret is missing
	f.file("other", proxy("other", c.URL, "externalAuthConfigRef: {name: nobody}"))
	f.load()
	want := func(when string, want map[string]string) {
		t.Helper()
		var names []string
		for name := range want {
			names = append(names, name)
		}
		if diff := cmp.Diff(want, f.serving(names...)); diff != "" {
			t.Errorf("%s, who answers (-want +got):\n%s", when, diff)
		}
	}
	want("at first", map[string]string{"one": "a", "keyed": "404", "other": "404", "gone": "404"})
	hashes, errs := f.units()
	if hashes["one"] == "" || errs["one"] != "" || hashes["keyed"] != "" || !strings.Contains(errs["keyed"], `there is no Secret "api"`) || !strings.Contains(errs["other"], `"nobody"`) {
		t.Errorf("hashes %v, errors %v", hashes, errs)
	}
	if w := f.send(post("/mcp", toolCall)); w.Code != 404 {
		t.Errorf("/mcp leads to the only one of many: %d", w.Code)
	}

	conns := a.open()
	f.secret("api/k", "s3cret")
	f.file("other", proxy("other", c.URL))
	f.load()
	want("when all is there", map[string]string{"one": "a", "keyed": "b", "other": "c"})
	if shown := b.taken(); len(shown) == 0 || shown[0].Get("Authorization") != "Bearer s3cret" {
		t.Errorf("the backend is shown %v", shown)
	}
	f.secret("api/k", "rotated")
	f.load()
	f.serving("keyed", "one")
	if shown := b.taken(); len(shown) == 0 || shown[len(shown)-1].Get("Authorization") != "Bearer rotated" {
		t.Errorf("after a rotation the backend is shown %v", shown)
	}
	if now := a.open(); now != conns {
		t.Errorf("%d connections to the backend of what has not changed, and %d before", now, conns)
	}

	before, _ := f.units()
	f.file("one", proxy("one", b.URL, "externalAuthConfigRef: {name: nobody}")) // broken
	f.file("another", proxy("other", b.URL))                                    // takes a name
	f.file("syntax", "a: [")
	f.file("new", proxy("new", c.URL))
	f.load()
	want("beside broken ones", map[string]string{"one": "a", "keyed": "b", "other": "c", "new": "c"})
	now, errs := f.units()
	if now["one"] != before["one"] || !strings.Contains(errs["one"], "nobody") || now["another"] != "" || !strings.Contains(errs["another"], "MCPRemoteProxy other has the endpoint /servers/other already") || errs["syntax"] == "" {
		t.Errorf("hashes %v, errors %v", now, errs)
	}
	if err := os.Remove(filepath.Join(f.dir, "other.yaml")); err != nil {
		t.Fatal(err)
	}
	f.file("one", proxy("one", b.URL))
	f.load()
	want("when they are mended", map[string]string{"one": "b", "other": "b"})
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "all connections are closed", func() bool { return a.open()+b.open()+c.open() == 0 })
}

// Two configurations that sign people in with one authorization server share it, as long as they mean the same by it.
func TestEachFileSharesAuthorizationServers(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	f := newFolder(t)
	server := func(access string) string {
		return object("MCPExternalAuthConfig", "people", "type: embeddedAuthServer", "embeddedAuthServer:", "  issuer: https://mcp.example.com",
			"  tokenLifespans: {accessTokenLifespan: "+access+"}",
			"  upstreamProviders: [{name: idp, type: oidc, oidcConfig: {issuerUrl: \"https://idp.example.com\", clientId: gateway}}]")
	}
	guarded := func(name, access string) string {
		return proxy(name, b.URL, "authServerRef: {name: people}", "oidcConfigRef: {name: own, audience: \"https://mcp.example.com/servers/"+name+"/mcp\"}") +
			object("MCPOIDCConfig", "own", "type: inline", "inline: {issuer: \"https://mcp.example.com\"}") + server(access)
	}
	f.file("one", guarded("one", "1h"))
	f.file("two", guarded("two", "1h"))
	f.load()
	if _, errs := f.units(); errs["one"]+errs["two"] != "" {
		t.Fatal(errs)
	}
	metadata := httptest.NewRequest("GET", "https://mcp.example.com/.well-known/oauth-authorization-server", nil)
	if w := f.send(metadata); w.Code != 200 || !strings.Contains(w.Body.String(), `"https://mcp.example.com"`) {
		t.Errorf("the authorization server: %d %s", w.Code, w.Body)
	}
	for _, name := range []string{"one", "two"} {
		if w := f.send(post("https://mcp.example.com/servers/"+name+"/mcp", toolCall)); w.Code != 401 {
			t.Errorf("%s: status %d, want 401", name, w.Code)
		}
	}
	f.file("two", guarded("two", "2h")) // one server cannot be two
	f.load()
	if _, errs := f.units(); errs["one"] != "" || !strings.Contains(errs["two"], "MCPExternalAuthConfig people") {
		t.Errorf("two ideas of one server: %v", errs)
	}
	f.file("one", guarded("one", "2h"))
	f.load()
	if _, errs := f.units(); errs["one"]+errs["two"] != "" {
		t.Errorf("after both have changed: %v", errs)
	}
}
