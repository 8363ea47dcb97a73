package rules_test

import (
	"go/ast"
	"strings"
	"testing"
)

// The sizes that keep a reader's head free. Raising one is a change of its own that says why.
const (
	maxFileLines     = 500
	maxFunctionLines = 60
	maxParserLines   = 80
	maxPackageLines  = 3300
	maxGatewayLines  = 1500   // what is left where everything comes together
	budgetOfCore     = 55_000 // lines of the product, without tests and generated code
)

// parsers are the packages in which a function may be longer: a grammar reads best in one piece.
var parsers = map[string]bool{"internal/manifest": true, "internal/mcp": true}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	t.Parallel()
	eachPackage(t, func(t *testing.T, p pkg) {
		switch {
		case !p.hasCode():
		case p.Doc == "":
			t.Errorf("%s has no comment: say in its doc.go what it owns and what it does not", p.name())
		case levels[p.name()] <= levels["gateway"] && !containsOne(packageComment(t, p), " not ", " no ", "nothing", "never"):
			t.Errorf("the comment of %s does not say what it does not own: that is how one finds the package that does", p.name())
		}
	})
}

func containsOne(text string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// packageComment is the whole of it; go list knows the first sentence.
func packageComment(t *testing.T, p pkg) string {
	t.Helper()
	var text strings.Builder
	eachSource(t, func(_ *testing.T, s source) {
		if !s.test && folder(s.path) == p.name() && s.file.Doc != nil {
			text.WriteString(strings.ReplaceAll(s.file.Doc.Text(), "\n", " "))
		}
	})
	return text.String()
}

func folder(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

func TestSizes(t *testing.T) {
	t.Parallel()
	inPackage := map[string]int{}
	eachSource(t, func(t *testing.T, s source) {
		if s.test {
			return
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, at most %d: give each of its subjects a file", s.path, s.lines, maxFileLines)
		}
		inPackage[folder(s.path)] += s.lines
		if folder(s.path) == "api/v1alpha1" { // where comments are the schema's rules and descriptions, which are generated from them
			inPackage[folder(s.path)] -= s.commentLines()
		}
		limit := maxFunctionLines
		if parsers[folder(s.path)] {
			limit = maxParserLines
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > limit {
				t.Errorf("%s:%d: %s has %d lines, at most %d: name its parts", s.path, s.line(f.Pos()), f.Name.Name, n, limit)
			}
		}
	})
	for name, lines := range inPackage {
		limit := maxPackageLines
		if name == "gateway" {
			limit = maxGatewayLines
		}
		if lines > limit {
			t.Errorf("%s has %d lines without tests, at most %d: it owns more than one thing", name, lines, limit)
		}
	}
}

// TestSizeOfTheCore tells how large the product is: go test -v -run TestSizeOfTheCore ./internal/rules
// A budget that is exceeded is no failure: whoever exceeds it is not always who can save.
func TestSizeOfTheCore(t *testing.T) {
	t.Parallel()
	core := 0
	eachSource(t, func(_ *testing.T, s source) {
		if level, ok := levels[folder(s.path)]; ok && level != beside && !s.test {
			core += s.lines
		}
	})
	t.Logf("%d lines without tests and generated code; the budget is %d, which leaves %d", core, budgetOfCore, budgetOfCore-core)
}

func TestNoDomainDataInContext(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s source) {
		if s.test || folder(s.path) == "internal/telemetry" { // traces and loggers travel in contexts
			return
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "WithValue" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "context" {
					t.Errorf("%s:%d: context.WithValue: pass it as an argument, where the compiler sees it", s.path, s.line(n.Pos()))
				}
			}
			return true
		})
	})
}
