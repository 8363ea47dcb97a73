package rules_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestNoInit(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s source) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: init runs whether it is wanted or not: let a constructor do it", s.path, s.line(f.Pos()))
			}
		}
	})
}

// TestNoPackageState finds variables of packages that change: those that code
// of the package assigns to, and those of a type that is there to change.
// Tables, compiled patterns, errors and embedded files are fine.
func TestNoPackageState(t *testing.T) {
	t.Parallel()
	byFolder := map[string][]source{}
	eachSource(t, func(_ *testing.T, s source) {
		if !s.test {
			byFolder[folder(s.path)] = append(byFolder[folder(s.path)], s)
		}
	})
	for name, files := range byFolder {
		if levels[name] == beside { // the test's own process is the package there
			continue
		}
		for _, problem := range packageState(name, files) {
			t.Errorf("%s: put it into a value that a constructor makes, so that two can live side by side", problem)
		}
	}
}

// TestPackageStateIsFound tests the rule itself, which is more than a pattern.
func TestPackageStateIsFound(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		`var table = map[string]int{"a": 1}; func f() int { return table["a"] }`:           false,
		`var table = map[string]int{}; func f() { table["a"] = 1 }`:                        true,
		`var table = map[string]int{}; func f() { delete(table, "a") }`:                    true,
		`var table = map[string]int{}; func f() { table := 1; table++; _ = table }`:        false,
		`var n int; func f() { n++ }`:                                                      true,
		`var n struct{ a []int }; func f() { n.a[0] = 1 }`:                                 true,
		`import "sync"; var mu sync.Mutex`:                                                 true,
		`import "sync"; var pool = sync.Pool{}`:                                            false,
		`import "sync"; var once = sync.OnceValue(func() []int { return make([]int, 1) })`: false,
		`import "errors"; var errGone = errors.New("gone")`:                                false,
		`var seen = make(map[string]bool)`:                                                 true,
	} {
		fset := token.NewFileSet()
		text := "package p; " + code
		file, err := parser.ParseFile(fset, "p.go", text, 0)
		if err != nil {
			t.Fatal(err)
		}
		problems := packageState("p", []source{{path: "p.go", text: text, file: file, fset: fset}})
		if got := len(problems) > 0; got != want {
			t.Errorf("%s: found %q, want something: %t", code, problems, want)
		}
	}
}

// packageState checks types as far as it takes to know which name is which: what other packages export stays unknown.
func packageState(name string, files []source) (problems []string) {
	fset, parsed := files[0].fset, []*ast.File{}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Error: func(error) {}, Importer: unknownImporter{}}
	for _, s := range files {
		parsed = append(parsed, s.file)
	}
	p, _ := conf.Check(name, fset, parsed, info) // errors are of the unknown imports
	isState := func(e ast.Expr) (*types.Var, bool) {
		id, ok := leftmost(e).(*ast.Ident)
		if !ok {
			return nil, false
		}
		v, ok := info.Uses[id].(*types.Var)
		return v, ok && v.Parent() == p.Scope()
	}
	for _, s := range files {
		ast.Inspect(s.file, func(n ast.Node) bool {
			var targets []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				targets = n.Lhs
			case *ast.IncDecStmt:
				targets = []ast.Expr{n.X}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
					targets = n.Args[:1]
				}
			case *ast.GenDecl:
				problems = append(problems, changeable(s, n, info, p)...)
			}
			for _, target := range targets {
				if v, ok := isState(target); ok {
					problems = append(problems, at(s, n.Pos())+" changes the package's variable "+v.Name())
				}
			}
			return true
		})
	}
	return problems
}

// leftmost is the variable at the left of x.f, x[i] and *x.
func leftmost(e ast.Expr) ast.Expr {
	for {
		switch x := e.(type) {
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return e
		}
	}
}

// madeToChange are the types and values that are there to change. Not among them: a sync.Pool, which holds nothing
// that anybody could observe, and sync.OnceValue, which comes to the same value whenever it runs.
var madeToChange = regexp.MustCompile(`\bsync\.(Mutex|RWMutex|Map|Once|WaitGroup|Cond)\b|\batomic\.|\bmake\(|\bchan\b`)

// changeable finds package variables that are made to change. What a function in the value does is its own affair.
func changeable(s source, d *ast.GenDecl, info *types.Info, p *types.Package) (problems []string) {
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || d.Tok != token.VAR {
			continue
		}
		if obj := info.Defs[v.Names[0]]; obj == nil || obj.Parent() != p.Scope() {
			continue // a variable of a function
		}
		text, _, _ := strings.Cut(s.text[s.fset.Position(v.Pos()).Offset:s.fset.Position(v.End()).Offset], "func(")
		if made := madeToChange.FindString(text); made != "" {
			problems = append(problems, at(s, v.Pos())+" "+v.Names[0].Name+" is made to change ("+made+")")
		}
	}
	return problems
}

func at(s source, pos token.Pos) string { return s.fset.Position(pos).String() }

// unknownImporter knows the standard library's unsafe only.
type unknownImporter struct{}

func (unknownImporter) Import(name string) (*types.Package, error) {
	if name == "unsafe" {
		return importer.Default().Import(name)
	}
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}
