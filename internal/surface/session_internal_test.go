package surface

import (
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/target"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// What a client can do is known for the whole session, from its initialize; and what
// its target wants kept comes back as it was, if the target can still read it.
func TestSessionRemembers(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Ring: ring})
	e := pipeline.New(pipeline.Config{Name: "docs", Target: target.New(upstream.New(upstream.Config{Key: "k"}))})
	for params, want := range map[string]bool{
		`{"capabilities":{"elicitation":{"url":{}}}}`:           true,
		`{"capabilities":{"elicitation":{"form":{},"url":{}}}}`: true,
		`{"capabilities":{"elicitation":{}}}`:                   false,
		`{"capabilities":{"elicitation":{"url":null}}}`:         false,
		`{"capabilities":{"elicitation":{"URL":{}}}}`:           false,
		`{"capabilities":[]}`:                                   false,
		`{}`:                                                    false,
	} {
		m, bad := mcp.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+params+`}`), mcp.DefaultLimits())
		if bad != nil {
			t.Fatal(bad)
		}
		now, state := time.Now(), "\x01\x01s"
		cs := pipeline.Session{State: []byte(state), Captured: http.Header{"X": {"y"}}, Elicits: elicitsURL(&m)}
		opened, ok := s.openSession(e, s.sealSession(e, &cs, "alice", now), "alice", now)
		if !ok || opened.Elicits != want || opened.Captured.Get("X") != "y" || string(opened.State) != state {
			t.Errorf("%s: %+v, %v", params, opened, ok)
		}
		cs.State = []byte("\x02of another version")
		if _, ok := s.openSession(e, s.sealSession(e, &cs, "alice", now), "alice", now); ok {
			t.Error("a state that nobody can read was taken")
		}
	}
}
