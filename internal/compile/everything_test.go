package compile_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Settings of every kind can be made into parts, and every credential sets the headers that were planned.
func TestEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("plan/text/testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Replace(string(text), "KEY", strings.ReplaceAll(string(key), "\n", `\n`), 1)
	if problems := check(t, docs); len(problems) > 0 {
		t.Error(problems)
	}
}

// FINDING S11, FINDING S15: check tells of policies that may not say what was meant, and they are no problems.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const bare, escapes = `permit(principal == Client::"alice", action, resource);`, `forbid(principal, action, resource) when { context has arg_env && context.arg_env == "prod" };`
	for name, tt := range map[string]struct {
		spec []string
		want []string
	}{
		"two doors": {[]string{incoming, "clientCertificate: {}", policies("enforce", bare)}, []string{`Client::"alice" is whoever`}},
		"one door":  {[]string{incoming, policies("enforce", bare)}, nil},
		"escapes":   {[]string{incoming, policies("enforce", bare, escapes)}, []string{"arg_env is not there either where it is a list"}},
	} {
		p, problems := compile.Check(load(t, proxy("docs", "http://127.0.0.1:1", tt.spec...)))
		if len(problems) > 0 || len(p.Advice) != len(tt.want) {
			t.Errorf("%s: problems %v, advice %v", name, problems, p.Advice)
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(p.Advice[i].String(), want) || !strings.Contains(p.Advice[i].String(), "spec.authzConfig.inline.policies[") {
				t.Errorf("%s: %s", name, p.Advice[i])
			}
		}
	}
}
