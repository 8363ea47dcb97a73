package idp

import (
	"encoding/json"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// FuzzAnswer: whatever a provider answers and a manifest asks for in it, the result is
// an answer as RFC 6749 has it, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"a":{"b":[{"c":"t"}]}}`, "a.b.0.c", "a.x")
	f.Add(`{"access_token":"e30.eyJzdWIiOiJ1In0.c2ln"}`, "access_token|@upstreamjwt|sub", "scope")
	f.Add(`{"scope":["a","b"],"x":1e400}`, "x", "scope")
	f.Add(`[]`, "..", "|")
	f.Fuzz(func(t *testing.T, body, access, scope string) {
		paths := TokenPaths{Access: access, Scope: scope}
		out, err := paths.rewrite([]byte(body))
		if err != nil {
			return
		}
		var answer struct {
			Scope string `json:"scope"`
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("%s became %s: %v", body, out, err)
		}
		claims, err := token.ParseClaims(out)
		if err != nil {
			t.Fatalf("%s became %s: %v", body, out, err)
		}
		_ = named(claims, access)
	})
}
