package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Request is one that the API server has answered, as its audit log has it.
type Request struct {
	Verb       string
	RequestURI string
	UserAgent  string
	User       struct{ Username string }
	ObjectRef  struct {
		APIGroup, Resource, Subresource, Namespace, Name string
	}
	ResponseStatus struct{ Code int }
}

// Writes tells whether it asked for a change.
func (r Request) Writes() bool {
	switch r.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

func (r Request) String() string {
	return fmt.Sprintf("%s %s (%d, %s, %s)", r.Verb, r.RequestURI, r.ResponseStatus.Code, r.User.Username, r.UserAgent)
}

// Mark is a moment in the audit log.
type Mark int64

// Mark is the present moment.
func (p *Plane) Mark(t testing.TB) Mark {
	t.Helper()
	info, err := os.Stat(p.file("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	return Mark(info.Size())
}

// Since are the requests that were answered after a moment, those of the test itself excepted.
func (p *Plane) Since(t testing.TB, m Mark) (requests []Request) {
	t.Helper()
	// A line is written when its request has been answered: once ours is there, those before it are.
	mark := fmt.Sprintf("/version?mark=%d", p.marks.Add(1))
	if _, err := p.client.do(t.Context(), http.MethodGet, mark, "", nil); err != nil {
		t.Fatal(err)
	}
	var text []byte
	testkit.Eventually(t, "the audit log has all requests", func() bool {
		var err error
		if text, err = os.ReadFile(p.file("audit.log")); err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(text, []byte(`"`+mark+`"`))
	})
	for line := range bytes.Lines(text[m:]) {
		var r Request
		if err := json.Unmarshal(line, &r); err != nil {
			continue // half a line: it is of a request that was answered after ours
		}
		if !strings.HasPrefix(r.UserAgent, userAgent) {
			requests = append(requests, r)
		}
	}
	return requests
}
