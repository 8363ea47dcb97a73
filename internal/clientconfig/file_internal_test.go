package clientconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that its client has written meanwhile is left as the client wants it.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mcp.json")
	if err := os.WriteFile(file, []byte(`{"new": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	err := replaceFile(file, "", []byte(`{}`), []byte(`{"mcpServers": {}}`))
	if err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != `{"new": true}` {
		t.Errorf("the file has %s, %v", text, err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
