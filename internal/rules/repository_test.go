package rules_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the import path of this repository.
const module = "github.com/sallyport-dev/sallyport"

// root is the repository's folder, as the tests of this package see it.
const root = "../.."

// pkg is one of our packages.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string // without tests, for this platform
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// name is the package's path within the repository.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// hasCode tells whether it holds more than tests.
func (p pkg) hasCode() bool { return len(p.GoFiles) > 0 }

// packages lists our packages, those of the tools' own modules excepted.
var packages = sync.OnceValues(func() ([]pkg, error) {
	out, err := goList("-e", "-tags", "cluster", "-json=ImportPath,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	if err != nil {
		return nil, err
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func goList(args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", errors.New(string(exit.Stderr))
	}
	return string(out), err
}

// eachPackage runs check for every package of ours.
func eachPackage(t *testing.T, check func(t *testing.T, p pkg)) {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		check(t, p)
	}
}

// source is a Go file that was written by a person.
type source struct {
	path  string // within the repository
	text  string
	file  *ast.File
	fset  *token.FileSet
	test  bool
	lines int
}

// sources parses the Go files of the repository, generated ones excepted.
var sources = sync.OnceValues(func() ([]source, error) {
	names, err := files()
	if err != nil {
		return nil, err
	}
	var all []source
	fset := token.NewFileSet()
	for _, name := range names {
		if path.Ext(name) != ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		s := source{path: name, text: string(text), fset: fset, test: strings.HasSuffix(name, "_test.go")}
		if s.file, err = parser.ParseFile(s.fset, name, text, parser.ParseComments); err != nil {
			return nil, err
		}
		if s.lines = strings.Count(s.text, "\n"); !ast.IsGenerated(s.file) {
			all = append(all, s)
		}
	}
	return all, nil
})

func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// commentLines is how many lines are nothing but a comment.
func (s source) commentLines() (n int) {
	for line := range strings.Lines(s.text) {
		if strings.HasPrefix(strings.TrimSpace(line), "//") {
			n++
		}
	}
	return n
}

// eachSource runs check for every file that a person wrote.
func eachSource(t *testing.T, check func(t *testing.T, s source)) {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		check(t, s)
	}
}

// notOurs are the folders that git does not keep, and its own, which is a file in a linked work tree.
var notOurs = map[string]bool{".git": true, ".cache": true, "bin": true, "dist": true, "node_modules": true, "results": true}

// files lists the files of the repository. It walks the folders, and asks nobody, so that go test knows what its
// result depends on and does not keep it when a file is added.
var files = sync.OnceValues(func() (all []string, err error) {
	err = filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && notOurs[d.Name()]:
			return filepath.SkipDir
		case notOurs[d.Name()]:
			return nil
		case d.Type().IsRegular():
			rel, err := filepath.Rel(root, name)
			all = append(all, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	return all, err
})
