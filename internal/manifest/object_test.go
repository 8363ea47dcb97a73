package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// write puts text into a file of a new folder and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	return writeIn(t, t.TempDir(), name, text)
}

func writeIn(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPosition(t *testing.T) {
	t.Parallel()
	file := write(t, "a.yaml", `
# comment
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata:
  name: docs
  labels: {"example.com/a.b": c}
spec:
  remoteUrl: https://mcp.example.com
  passthroughHeaders:
    - X-A
    - X-B
  headerForward: &forward
    addPlaintextHeaders:
      X-Key: v
      X.Dotted.Key: v
      X: v
    addHeadersFromSecret:
      - headerName: X-C
        valueSecretRef: {name: a, key: b}
      - headerName: X-D
        valueSecretRef: &ref
          name: a
          key: b
  copy: *forward
  merged:
    <<: *ref
    key: c
`[1:])
	set, err := manifest.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ field, want string }{
		{"", "2:1"},
		{"apiVersion", "2:1"},
		{"metadata.name", "5:3"},
		{"metadata.labels.example.com/a.b", "6:12"},
		{"metadata.labels[example.com/a.b]", "6:12"},
		{"spec", "7:1"},
		{"spec.remoteUrl", "8:3"},
		{"spec.passthroughHeaders", "9:3"},
		{"spec.passthroughHeaders[1]", "11:7"},
		{"spec.passthroughHeaders[2]", "9:3"},
		{"spec.headerForward.addPlaintextHeaders.X-Key", "14:7"},
		{"spec.headerForward.addPlaintextHeaders[X-Key]", "14:7"},
		{"spec.headerForward.addPlaintextHeaders.X.Dotted.Key", "15:7"},
		{"spec.headerForward.addPlaintextHeaders.X", "16:7"},
		{"spec.headerForward.addPlaintextHeaders.X-None", "13:5"},
		{"spec.headerForward.addHeadersFromSecret[1].valueSecretRef.key", "23:11"},
		{"spec.headerForward.addHeadersFromSecret[1].valueSecretRef.none", "21:9"},
		{"spec.none.at.all", "7:1"},
		{"spec.copy", "24:3"},
		{"spec.copy.addPlaintextHeaders.X-Key", "14:7"},
		{"spec.merged.key", "27:5"},
		{"spec.merged.name", "22:11"},
		{"nothing", "2:1"},
		{"spec.passthroughHeaders[", "9:3"},
		{"[", "2:1"},
		{"]", "2:1"},
		{"spec]", "2:1"},
		{"spec.passthroughHeaders[x]", "9:3"},
		{"spec.passthroughHeaders[-1]", "9:3"},
		{".", "2:1"},
	}
	for _, tt := range tests {
		got := set.Objects[0].Position(tt.field)
		if want := file + ":" + tt.want; got.String() != want {
			t.Errorf("%q: got %v, want %s", tt.field, got, want)
		}
	}
}

func TestPositionWithoutFile(t *testing.T) {
	t.Parallel()
	o := &manifest.Object{Kind: "MCPRemoteProxy", Name: "a"}
	if got := o.Position("spec.remoteUrl"); got != (manifest.Position{}) {
		t.Errorf("got %v", got)
	}
	if got := o.Problem("spec.remoteUrl", "is %s", "wrong").String(); got != "MCPRemoteProxy/a: spec.remoteUrl: is wrong" {
		t.Errorf("got %q", got)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	at := func(file string, line, column int, message string) manifest.Problem {
		return manifest.Problem{Position: manifest.Position{File: file, Line: line, Column: column}, Message: message}
	}
	problems := manifest.Problems{
		at("b", 1, 1, "fourth"), at("a", 10, 1, "third"), at("a", 2, 0, "second"), at("a", 0, 0, "first"), at("a", 10, 1, "third"),
		at("b", 2, 1, "with\na line\x1b[31m"),
	}.Sort()
	want := "a: first\na:2: second\na:10:1: third\nb:1:1: fourth\nb:2:1: with\ufffda line\ufffd[31m"
	if got := problems.Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if err := (manifest.Problems{}).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
	if got := fmt.Sprint(problems.Err()); !strings.HasPrefix(got, "a: first") {
		t.Errorf("got %q", got)
	}
}
