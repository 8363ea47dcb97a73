package policy_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// What is offered to be pasted is Cedar that does what it says, for strangers' names too.
func TestPermits(t *testing.T) {
	t.Parallel()
	const base = `permit(principal == Client::"nobody", action, resource);`
	evil := alice()
	evil.Subject, evil.Groups = `ev"il\`+"\n\u2028é\x00", []string{`a"); permit(principal, action, resource); //`}
	bob := &identity.Caller{Subject: "bob", Source: identity.SourceJWT, Issuer: "https://issuer.example", Groups: []string{"dev"}}
	proxied := alice()
	proxied.Source, proxied.Issuer = identity.SourceProxy, ""
	other := tool("search")
	other.Backend = "files-2"
	for _, tt := range []struct {
		name   string
		caller *identity.Caller
		q      policy.Query
	}{
		{"a tool", alice(), tool("search")},
		{"odd names", evil, tool(`x"y\` + "\t☃")},
		{"a resource", alice(), query(policy.ReadResource, "file:///a b")},
		{"a prompt", identity.Anonymous(), query(policy.GetPrompt, "p")},
	} {
		set := compile(t, policies(base))
		for _, several := range []bool{false, true} {
			permits := set.Permits(set.Principal(tt.caller), &tt.q, several)
			if want := 1 + len(tt.caller.Groups) + len(tt.caller.Roles); len(permits) != want {
				t.Errorf("%s: %d policies are offered, want %d", tt.name, len(permits), want)
			}
			for _, p := range permits {
				with := compile(t, policies(base, p.Text))
				allowed := func(c *identity.Caller, q policy.Query) bool { return with.Decide(with.Principal(c), &q).Allow }
				if !allowed(tt.caller, tt.q) {
					t.Errorf("%s: it is not allowed by\n%s", tt.name, p.Text)
				}
				wrong := tt.q
				wrong.Target += "x"
				if allowed(tt.caller, wrong) || allowed(&identity.Caller{Subject: "eve", Source: identity.SourceJWT}, tt.q) {
					t.Errorf("%s: more is allowed by\n%s", tt.name, p.Text)
				}
				if p.Group == "dev" != allowed(bob, tt.q) {
					t.Errorf("%s: for the group %q, bob is allowed: %v", tt.name, p.Group, allowed(bob, tt.q))
				}
				if several && p.Group == "" && tt.caller.Subject == "alice" && allowed(proxied, tt.q) {
					t.Errorf("%s: whoever comes by another door is allowed by\n%s", tt.name, p.Text)
				}
				if tt.q.Backend != tt.q.Server && tt.q.Action == policy.CallTool && tt.q.Target == "search" && allowed(tt.caller, other) {
					t.Errorf("%s: another member's tool is allowed by\n%s", tt.name, p.Text)
				}
			}
		}
	}
}

// Where a permit would not help, none is offered.
func TestPermitsNothing(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]policy.Query{
		"forbidden":   tool("delete"),
		"a list":      query(policy.ListTools, ""),
		"no one's":    query(policy.ReadResource, "file:///a/../b"),
		"allowed now": tool("search"),
	} {
		set := compile(t, policies(`forbid(principal, action, resource == Tool::"delete");`, `permit(principal, action, resource == Tool::"search");`))
		var texts []string
		for _, p := range set.Permits(set.Principal(alice()), &q, false) {
			texts = append(texts, p.Text)
		}
		if len(texts) > 0 {
			t.Errorf("%s: %s", name, strings.Join(texts, "\n"))
		}
	}
}
