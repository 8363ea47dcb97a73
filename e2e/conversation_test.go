package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// conversation is a call of the tool "greet" in the middle of which a server of the other era has asked for a name.
type conversation struct {
	answer func(url string) reply // brings the name to a gateway
	result func() string          // of the call, once the answer was taken
	leave  func()                 // ends it without one
}

var requestState = regexp.MustCompile(`"requestState":"([^"]+)"`)

// askNewer begins one of a client of 2026-07-28, which gets the question as the answer to its call.
func askNewer(t *testing.T, url string) conversation {
	t.Helper()
	greet := func(url, params string) reply {
		r := modern(url, "tools/call", "greet", params)
		r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":{"elicitation":{}}`, 1)
		return r.do(t)
	}
	asked := greet(url, "")
	state := requestState.FindStringSubmatch(asked.Body)
	if state == nil || !strings.Contains(asked.Body, "Who are you?") {
		t.Fatalf("no question: %d %s", asked.Status, asked.Body)
	}
	var last reply
	return conversation{
		answer: func(url string) reply {
			last = greet(url, `"inputResponses":{"question":{"action":"accept","content":{"name":"Ada"}}},"requestState":"`+state[1]+`"`)
			return last
		},
		result: func() string { return last.Body },
		leave:  func() {},
	}
}

var questionID = regexp.MustCompile(`"id":("[^"]+"|\d+)`)

// askOlder begins one of a client of 2025-11-25, which is asked by the stream of its call.
func askOlder(t *testing.T, url string) conversation {
	t.Helper()
	hello := initialization(url)
	hello.body = strings.Replace(hello.body, `"capabilities":{}`, `"capabilities":{"elicitation":{}}`, 1)
	session := []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Session-Id", hello.do(t).Header.Get("Mcp-Session-Id")}
	message(url, `{"jsonrpc":"2.0","method":"notifications/initialized"}`).with(session...).do(t)
	resp := message(url, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"greet"}}`).with(session...).open(t.Context(), t)
	stream := readEvents(resp.Body)
	asked, err := stream.next()
	id := questionID.FindStringSubmatch(asked)
	if err != nil || id == nil || !strings.Contains(asked, "Who are you?") {
		t.Fatalf("no question: %d %s (%v)", resp.StatusCode, asked, err)
	}
	return conversation{
		answer: func(url string) reply {
			return message(url, `{"jsonrpc":"2.0","id":`+id[1]+`,"result":{"action":"accept","content":{"name":"Ada"}}}`).with(session...).do(t)
		},
		result: func() string {
			result, err := stream.next()
			if err != nil {
				t.Errorf("the call's stream ends with %v", err)
			}
			return result
		},
		leave: func() { resp.Body.Close() },
	}
}

// bothWays are the conversations that cross the eras, with what is said to an answer that comes where nobody waits for it.
var bothWays = map[string]struct {
	server testkit.Era
	ask    func(*testing.T, string) conversation
	taken  int // status of an answer that is waited for

	elsewhere, replaced refusedAnswer // at another replica, or after the backend is another
}{
	"a newer client of an older server": {
		testkit.Sessions, askNewer, http.StatusOK,
		refusedAnswer{http.StatusOK, internalFailure, "another replica"},
		refusedAnswer{http.StatusOK, internalFailure, "configured anew"},
	},
	"an older client of a newer server": {
		testkit.Stateless, askOlder, http.StatusAccepted,
		refusedAnswer{http.StatusBadRequest, invalidRequest, "another replica"},
		refusedAnswer{http.StatusNotFound, invalidRequest, "initialize again"},
	},
}

type refusedAnswer struct {
	status, code int
	words        string
}

func (r refusedAnswer) check(t *testing.T, got reply) {
	t.Helper()
	if says := got.wantError(t, r.status, r.code, ""); !strings.Contains(says, r.words) {
		t.Errorf("the answer is refused with %q, want words of %q", says, r.words)
	}
}

// A reload in the middle of a conversation between the eras: it goes on where the backend is the same, whatever else has
// changed. Where that is another one, who answers hears so and can begin anew, and the backend that was is left.
//
// REQ F-1, REQ F-3, REQ B-6
func TestReloadInConversation(t *testing.T) {
	t.Parallel()
	for name, tt := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend, other := testkit.StartBackend(t, tt.server), testkit.StartBackend(t, tt.server)
			folder := manifests(t, remote("docs", backend.URL))
			// In the end a call is left whose older client has gone, which may take up to five minutes.
			g := testkit.Start(t, "serve", "-f", folder, "--drain-timeout", "1s")
			// Whether there is a resource "new" tells which configuration it is: the watch may load one before the signal does.
			reload := func(docs string) {
				t.Helper()
				writeManifests(t, folder, docs)
				g.Signal(t, syscall.SIGHUP)
				testkit.Eventually(t, "the configuration is loaded", func() bool {
					there := initialization(at(g, "new")).do(t).Status == http.StatusOK
					return there == strings.Contains(docs, "name: new")
				})
			}
			finish := func(c conversation) {
				t.Helper()
				if got := c.answer(at(g, "docs")); got.Status != tt.taken {
					t.Errorf("the answer: %d %s", got.Status, got.Body)
				}
				if got := c.result(); !strings.Contains(got, "Hello, Ada!") {
					t.Errorf("the result: %s", got)
				}
			}

			c := tt.ask(t, at(g, "docs"))
			reload(remote("docs", backend.URL, "headerForward: {addPlaintextHeaders: {X-New: a}}") + remote("new", other.URL))
			finish(c)

			c = tt.ask(t, at(g, "docs"))
			reload(remote("docs", other.URL))
			tt.replaced.check(t, c.answer(at(g, "docs")))
			c.leave()
			testkit.Eventually(t, "the backend that was has no session any more", func() bool {
				for range backend.Server.Sessions() {
					return false
				}
				return true
			})
			finish(tt.ask(t, at(g, "docs")))
		})
	}
}

// An answer that reaches another replica than the one where the call waits is refused with the reason, and the call waits
// on: the answer is good where it belongs. What is no conversation any replica serves.
//
// REQ F-1, REQ B-18
func TestAnswerAtAnotherReplica(t *testing.T) {
	t.Parallel()
	for name, tt := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.StartBackend(t, tt.server)
			keys := keyFile(t, newKey(t))
			one, two := serve(t, remote("docs", backend.URL), "--session-key-file", keys), serve(t, remote("docs", backend.URL), "--session-key-file", keys)
			c := tt.ask(t, at(one, "docs"))
			for range 2 {
				tt.elsewhere.check(t, c.answer(at(two, "docs")))
			}
			if got := c.answer(at(one, "docs")); got.Status != tt.taken {
				t.Errorf("the answer: %d %s", got.Status, got.Body)
			}
			if got := c.result(); !strings.Contains(got, "Hello, Ada!") {
				t.Errorf("the result: %s", got)
			}
			id := initialize(t, at(one, "docs"))
			got := legacy(at(two, "docs"), "tools/call", `"name":"echo","arguments":{"text":"here"}`).with("Mcp-Session-Id", id).do(t)
			if got.Status != http.StatusOK || !strings.Contains(got.Body, "here") {
				t.Errorf("a call at the other replica: %d %s", got.Status, got.Body)
			}
		})
	}
}
