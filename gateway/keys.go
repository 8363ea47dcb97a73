package gateway

import (
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
)

// serveKeys publishes the keys that identity assertions are signed with. They are
// public, and backends ask without a credential.
func serveKeys(w http.ResponseWriter, r *http.Request, snap *Snapshot) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, plan.AssertionPath), "/jwks.json")
	keys := snap.parts.AssertionKeys[name]
	if !ok || keys == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h["Content-Type"] = []string{"application/jwk-set+json"}
	h["Cache-Control"] = []string{"public, max-age=300"}
	_, _ = w.Write(keys)
}
