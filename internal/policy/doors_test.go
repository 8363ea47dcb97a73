package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// FINDING S11, REQ C-2: a policy can tell by which door a caller came, and two callers of one name who came by
// different doors are never taken for each other.
func TestDoors(t *testing.T) {
	t.Parallel()
	const call = `permit(principal == Client::"alice", action, resource) when `
	callers := map[string]*identity.Caller{
		"token":       alice(),
		"proxy":       {Subject: "alice", Source: identity.SourceProxy},
		"certificate": {Subject: "alice", Source: identity.SourceCertificate, Issuer: "CN=ca"},
		"anonymous":   identity.Anonymous(),
	}
	for text, want := range map[string]string{
		call + `{ context.source == "jwt" };`:                                                                 "token",
		call + `{ principal.source == "proxy" };`:                                                             "proxy",
		call + `{ context.issuer == "CN=ca" };`:                                                               "certificate",
		call + `{ ["proxy", "certificate"].contains(context.source) };`:                                       "certificate proxy",
		`permit(principal, action, resource) when { context.source == "anonymous" && context.issuer == "" };`: "anonymous",
	} {
		set := compile(t, policies(text))
		var got []string
		for _, name := range []string{"anonymous", "certificate", "proxy", "token"} {
			q := tool("search")
			if set.Decide(set.Principal(callers[name]), &q).Allow {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

// FINDING S14: URIs that a server may read as others are permitted by nothing, and are in no list.
func TestAmbiguousURIs(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(`permit(principal, action == Action::"read_resource", resource) when { resource.uri like "file:///public/*" };`))
	p := set.Principal(alice())
	for uri, want := range map[string]bool{
		"file:///public/a":                       true,
		"file:///public/a..b/.hidden":            true,
		"file:///public/a%20b":                   true,
		"file:///public/{path}":                  true,
		"file:///public/../etc/passwd":           false,
		"file:///public/./a":                     false,
		"file:///public/..":                      false,
		`file:///public/..\etc`:                  false,
		"file:///public/%2e%2e/etc/passwd":       false,
		"file:///public/%2E./etc":                false,
		"file:///public/a%2Fb":                   false,
		"file:///public/a%5cb":                   false,
		"file:///public/%252e%252e/etc":          false,
		"file:///public/%25252fetc":              false,
		"file:///public/a%00.txt":                false,
		"file:///public/a?next=../../etc/passwd": false,
	} {
		q := query(policy.ReadResource, uri)
		d := set.Decide(p, &q)
		if d.Allow != want {
			t.Errorf("%s: allowed %v", uri, d.Allow)
		}
		if want != (d.Reason == "") || !strings.Contains(set.Explain(p, &q).String(), d.Reason) {
			t.Errorf("%s: the operator is told %q", uri, d.Reason)
		}
		items := []mcp.Item{{Name: uri}}
		list := query(policy.ListResources, "")
		if sel := set.Filter(p, &list, items); sel.Keep[0] != want {
			t.Errorf("%s: listed %v", uri, sel.Keep[0])
		}
	}
}

// FINDING S15, FINDING S11: policies that may not say what was meant.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const forbid, permit = `forbid(principal, action == Action::"call_tool", resource) `, `permit(principal, action == Action::"call_tool", resource) `
	const bare = `permit(principal == Client::"alice", action, resource)`
	for text, want := range map[string]string{
		forbid + `when { context has arg_env && context.arg_env == "prod" };`:                                "arg_env",
		forbid + `when { resource has arg_env && resource.arg_env == "prod" };`:                              "arg_env",
		forbid + `when { context has arg_env && context.arg_env == "prod" || context has arg_env_present };`: "",
		forbid + `unless { context has arg_env && context.arg_env == "dev" };`:                               "",
		permit + `when { context has arg_env && context.arg_env == "dev" };`:                                 "",
		permit + `unless { context has arg_env && context.arg_env == "prod" };`:                              "arg_env",
		permit + `when { !(context has arg_env) || context.arg_env == "dev" };`:                              "arg_env",
		permit + `when { if context has arg_env then context.arg_env == "dev" else true };`:                  "arg_env",
		permit + `when { context has claim_email };`:                                                         "",
		bare + `;`: `Client::"alice"`,
		`permit(principal, action, resource) when { principal == Client::"alice" };`: `Client::"alice"`,
		bare + ` when { context.source == "jwt" };`:                                  "",
		bare + ` when { principal.claim_iss == "https://idp.example" };`:             "",
		`permit(principal == Client::"anonymous", action, resource);`:                "",
		`permit(principal in THVGroup::"eng", action, resource);`:                    "",
	} {
		set := compile(t, policies(text))
		advice := set.Advice(true)
		if want == "" && len(advice) > 0 || want != "" && (len(advice) != 1 || !strings.Contains(advice[0].Message, want) || !advice[0].Warning || advice[0].Line != 1) {
			t.Errorf("%s: %v", text, advice)
		}
		if strings.HasPrefix(want, "Client") && len(set.Advice(false)) > 0 {
			t.Errorf("%s: advice where one door leads in", text)
		}
	}
	if got := fmt.Sprint(compile(t, policies(bare+`;`, bare+`;`)).Names()); got != "[policy 1 policy 2]" {
		t.Error(got)
	}
}
