package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/chromium"
)

// The documentation is a site: its links lead somewhere, its search finds, its pages fit a phone, and without script
// everything but the search is there.
func TestSite(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "site")
	build := exec.CommandContext(t.Context(), "go", "run", ".", "-root", "../..", "-out", out)
	build.Dir = filepath.Join(root, "tools", "site")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := os.ReadFile(filepath.Join(out, "how-to", "policy.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h1 ", `<a href="../how-to/audit.html"`, `aria-current="page"`, `href="../reference/resources.html`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(out)))
	t.Cleanup(server.Close)
	b := chromium.Start(t)
	for _, width := range []int{390, 900, 1400} {
		b.Show(t, width, 900, "dark")
		for _, page := range []string{"index", "how-to/policy", "reference/resources", "explanation/performance"} {
			b.Open(t, server.URL+"/"+page+".html")
			if wide := b.Eval(t, "return document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide != 0.0 {
				t.Errorf("%s is %v wider than a screen of %d", page, wide, width)
			}
			if width == 900 {
				continue
			}
			for _, scheme := range []string{"light", "dark"} {
				b.Show(t, width, 900, scheme)
				for _, fault := range b.Axe(t) {
					t.Errorf("%s, %d wide, %s: axe: %s", page, width, scheme, fault)
				}
			}
		}
	}
	b.Open(t, server.URL+"/how-to/policy.html")
	b.Eval(t, `const q = document.getElementById("q"); q.focus(); q.value = "session key file"; q.dispatchEvent(new Event("input"))`)
	var first string
	testkit.Eventually(t, "the search finds a section", func() bool {
		first, _ = b.Eval(t, `const a = document.querySelector("#found a"); return a ? a.href : ""`).(string)
		return strings.HasPrefix(first, server.URL+"/")
	})
	b.Open(t, first)
	if text := strings.ToLower(b.Text(t)); !strings.Contains(text, "session") || !strings.Contains(text, "key") {
		t.Errorf("%s has not what was searched for: %s", first, text)
	}
}
