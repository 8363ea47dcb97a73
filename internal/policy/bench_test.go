package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// manyPolicies are n policies of which two are about alice and any tool; the others
// are about groups that she is not in, people that she is not, and single tools.
func manyPolicies(n int) policy.Config {
	texts := []string{
		`@id("dev") permit(principal in THVGroup::"dev", action == Action::"call_tool", resource) when { resource has readOnlyHint && resource.readOnlyHint };`,
		`@id("blocked") forbid(principal, action == Action::"call_tool", resource == Tool::"tool_3");`,
	}
	for i := len(texts); i < n; i++ {
		switch i % 3 {
		case 0:
			texts = append(texts, fmt.Sprintf(`permit(principal in THVGroup::"team_%d", action == Action::"call_tool", resource) when { context.claim_level > %d };`, i, i%5))
		case 1:
			texts = append(texts, fmt.Sprintf(`permit(principal == Client::"user_%d", action == Action::"get_prompt", resource);`, i))
		default:
			texts = append(texts, fmt.Sprintf(`permit(principal, action == Action::"call_tool", resource == Tool::"other_%d") when { context has claim_team && context.claim_team == "t%d" };`, i, i))
		}
	}
	return policies(texts...)
}

// conditionPolicies are n policies whose scopes say nothing: all that they demand
// is in their conditions, where no index finds it.
func conditionPolicies(n int) policy.Config {
	texts := []string{`permit(principal, action == Action::"call_tool", resource) when { context.claim_sub == "alice" && resource has readOnlyHint && resource.readOnlyHint };`}
	for i := 1; i < n; i++ {
		texts = append(texts, fmt.Sprintf(`permit(principal, action == Action::"call_tool", resource) when { context.claim_sub == "user_%d" && resource.name like "tool_%d*" };`, i, i))
	}
	return policies(texts...)
}

func manyItems(n int) []mcp.Item {
	all := make([]mcp.Item, n)
	for i := range all {
		all[i] = mcp.Item{Name: fmt.Sprintf("tool_%d", i), Hints: mcp.Hints{ReadOnly: mcp.Hint(1 + i%2)}}
	}
	return all
}

var sizes = []int{2, 10, 100, 1000}

func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes {
		cfg := manyPolicies(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if set, problems := policy.Compile(cfg); set == nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

func BenchmarkPrincipal(b *testing.B) {
	for _, n := range sizes {
		set := compile(b, manyPolicies(n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Principal(alice()) // alice() itself is about a third of it
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for kind, config := range map[string]func(int) policy.Config{"scopes": manyPolicies, "conditions": conditionPolicies} {
		for _, n := range sizes {
			set := compile(b, config(n))
			p := set.Principal(alice())
			b.Run(fmt.Sprintf("%s/%d/cold", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				long := strings.Repeat("x", 600) // too long to be remembered
				q := withHints(tool(long), mcp.Hints{ReadOnly: mcp.HintTrue})
				for b.Loop() {
					if d := set.Decide(p, &q); !d.Allow {
						b.Fatal(d)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/warm", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				q := withHints(tool("tool_0"), mcp.Hints{ReadOnly: mcp.HintTrue})
				for b.Loop() {
					if d := set.Decide(p, &q); !d.Allow {
						b.Fatal(d)
					}
				}
			})
		}
	}
	set := compile(b, policies(`permit(principal, action == Action::"call_tool", resource) when { context.arg_city == "Rome" };`))
	p, q := set.Principal(alice()), withArguments(tool("x"), `{"city":"Rome","query":"quarterly report of the northern region","limit":25}`)
	b.Run("arguments", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := set.Decide(p, &q); !d.Allow {
				b.Fatal(d)
			}
		}
	})
}

func BenchmarkFilter200(b *testing.B) {
	items := manyItems(200)
	for kind, config := range map[string]func(int) policy.Config{"scopes": manyPolicies, "conditions": conditionPolicies} {
		for _, n := range sizes {
			set := compile(b, config(n))
			q := query(policy.ListTools, "")
			b.Run(fmt.Sprintf("%s/%d/cold", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if set.Filter(set.Principal(alice()), &q, items).Hidden < 100 {
						b.Fatal("too many")
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/warm", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				caller := alice()
				for b.Loop() {
					if set.Filter(set.Principal(caller), &q, items).Hidden < 100 {
						b.Fatal("too many")
					}
				}
			})
		}
	}
}

// What passes each call is bounded here, not hoped for.
func TestAllocations(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	set := compile(t, manyPolicies(1000))
	caller, items := alice(), manyItems(200)
	list := query(policy.ListTools, "")
	call := withHints(tool("tool_0"), mcp.Hints{ReadOnly: mcp.HintTrue})
	for name, tt := range map[string]struct {
		most float64
		do   func()
	}{
		"a decision that is known":  {0, func() { set.Decide(set.Principal(caller), &call) }},
		"a selection that is known": {1, func() { set.Filter(set.Principal(caller), &list, items) }},
		"the anonymous caller":      {0, func() { set.Principal(identity.Anonymous()) }},
	} {
		if got := testing.AllocsPerRun(100, tt.do); got > tt.most {
			t.Errorf("%s allocates %v times, at most %v", name, got, tt.most)
		}
	}
}
