package chromium

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// axeRun has axe look at the page, and says of what it finds which rule, where, and what to
// do.
const axeRun = `return axe.run(document, {
  runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']},
  resultTypes: ['violations'],
}).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ' (' + v.impact + '): ' + n.target.join(' ') + ': ' + n.failureSummary)));`

// Axe returns what axe finds wrong for people who cannot see the page well, or at all, by
// WCAG 2.1 AA and its own experience; nothing where all is well, or where there is no axe.
func (b *Browser) Axe(t testing.TB) (faults []string) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_JS") == "" {
		return nil
	}
	if b.plain { // axe waits for timers, which are scripts; those of the page were left out when it came
		b.scripts(t, true)
		defer b.scripts(t, false)
	}
	if loaded, _ := b.Eval(t, "return typeof axe === 'object'").(bool); !loaded {
		code, err := os.ReadFile(filepath.Join(testkit.NodeModules(t), "axe-core", "axe.min.js"))
		if err != nil {
			t.Fatal(err)
		}
		// By the browser's own tools: the page's policy admits no script, and is not to.
		b.Eval(t, string(code))
	}
	found := b.Eval(t, axeRun)
	text, err := json.Marshal(found)
	if err != nil || json.Unmarshal(text, &faults) != nil || found == nil {
		t.Fatalf("axe says %v", found)
	}
	return faults
}

// patient lets scripts take their time: a busy machine has little of it.
func (b *Browser) patient(t testing.TB) {
	t.Helper()
	b.do(t, http.MethodPost, "/timeouts", map[string]any{"script": testkit.Patience.Milliseconds(), "pageLoad": testkit.Patience.Milliseconds()}, nil)
}
