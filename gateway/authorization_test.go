package gateway_test

import (
	"strings"
	"testing"
)

// REQ E-2, A-3: Authorization is passed through by an explicit setting alone, and
// only where neither door uses it.
func TestPassthroughAuthorization(t *testing.T) {
	t.Parallel()
	const (
		opened = "passthroughAuthorization: true"
		oidc   = "oidcConfig: {inline: {issuer: https://idp.example.com, audience: docs}}"
		fixed  = "headerForward: {addPlaintextHeaders: {Authorization: fixed}}"
	)
	tests := []struct {
		name string
		spec []string
		want string // in the problem; "" for none
	}{
		{"closed", nil, ""},
		{"opened", []string{opened}, ""},
		{"the outer door reads it", []string{opened, oidc}, "spec.passthroughAuthorization: the gateway itself reads Authorization here"},
		{"the inner door sets it", []string{opened, fixed}, "spec.passthroughAuthorization: header Authorization is set by spec.headerForward.addPlaintextHeaders.Authorization too"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := check(t, proxy("docs", "http://127.0.0.1:1/mcp", tt.spec...))
			got := problems.Error()
			if tt.want == "" && len(problems) > 0 || !strings.Contains(got, tt.want) {
				t.Errorf("got problems %q, want %q", got, tt.want)
			}
		})
	}
}
