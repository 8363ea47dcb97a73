package names_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// PROTOCOL A16: the id of a task is always the same, and good for its own client alone.
func TestTasks(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	tasks := names.Tasks{Ring: ring}
	id := tasks.Public("ada", "docs", "7")
	if again := tasks.Public("ada", "docs", "7"); again != id {
		t.Errorf("one task is %s and %s", id, again)
	}
	if member, own, ok := tasks.Own("ada", id); !ok || member != "docs" || own != "7" {
		t.Errorf("it leads to %q of %q, %v", own, member, ok)
	}
	for client, id := range map[string]string{"bob": id, "ada": "7", "": id, "eve": ring.Seal("mcp-virtual-cursor", []byte("0123456789abcdef\x04docs7"))} {
		if _, own, ok := tasks.Own(client, id); ok {
			t.Errorf("%s of %q leads to %q", id, client, own)
		}
	}
	if got := string(tasks.Rename("ada", "docs", []byte(`{"taskId":"7","n":1.50}`))); got != `{"taskId":"`+id+`","n":1.50}` {
		t.Errorf("renamed: %s", got)
	}
	if got := string(tasks.Rename("ada", "docs", []byte(`{"n":1.50}`))); got != `{"n":1.50}` {
		t.Errorf("nothing to rename: %s", got)
	}
}
