package policy_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// compile makes a set of policies, which must have no problems.
func compile(t testing.TB, cfg policy.Config) *policy.Set {
	t.Helper()
	set, problems := policy.Compile(cfg)
	for _, p := range problems {
		t.Errorf("%v", p)
	}
	if set == nil {
		t.FailNow()
	}
	return set
}

func policies(texts ...string) policy.Config { return policy.Config{Policies: texts} }

// alice is a caller with a token.
func alice() *identity.Caller {
	return &identity.Caller{
		Subject: "alice", Source: identity.SourceJWT, Issuer: "https://issuer.example",
		Groups: []string{"dev"}, Roles: []string{"admin"},
		Claims: map[string]any{
			"sub": "alice", "iss": "https://issuer.example", "name": "Alice", "email": "alice@example.com",
			"roles": []any{"admin", "writer"}, "scope": "read write", "clearance_level": 3.0, "ratio": 0.25,
			"active": true, "nothing": nil, "realm_access": map[string]any{"roles": []any{"staff"}},
			"huge": 1e300,
		},
	}
}

func tool(name string) policy.Query {
	return policy.Query{Action: policy.CallTool, Target: name, Server: "files", Backend: "files-1"}
}

func withArguments(q policy.Query, arguments string) policy.Query {
	q.Arguments = []byte(arguments)
	return q
}

func withHints(q policy.Query, h mcp.Hints) policy.Query {
	q.Hints = h
	return q
}

func query(a policy.Action, target string) policy.Query {
	return policy.Query{Action: a, Target: target, Server: "files", Backend: "files-1"}
}
