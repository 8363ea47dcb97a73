package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file holds what the real clients are driven through, whichever SDK they are of, and what is behind the gateway.

// job is one client that is to try everything at one endpoint.
type job struct {
	Label     string   `json:"label"` // its own
	Client    string   `json:"client"`
	Revision  string   `json:"revision"`
	Transport string   `json:"transport"` // http, sse or ws
	URL       string   `json:"url"`
	Column    string   `json:"column"` // jobs of the same one are done one after the other
	Skip      []string `json:"skip"`   // features that this client does not have in this revision

	Server string `json:"-"` // the revision that the server speaks
	Member string `json:"-"` // of a virtual server that puts members' names before their tools, for the Go SDK alone
}

func (j job) skips(feature string) bool { return slices.Contains(j.Skip, feature) }

// prefix is what stands before the names of the member's tools and prompts.
func (j job) prefix() string {
	if j.Member == "" {
		return ""
	}
	return j.Member + "_"
}

// watched is the URI of the resource that the tool "touch" says was updated.
func (j job) watched() string {
	if j.Member == "" {
		return testkit.WatchedResource
	}
	return "sallyport+" + j.Member + ":" + testkit.WatchedResource
}

// bridged reports whether client and server are of different eras.
func (j job) bridged() bool {
	return (j.Revision >= "2026-07-28") != (j.Server >= "2026-07-28")
}

// sight is one of everything, as a client saw it.
type sight struct {
	Label        string
	Server       string
	Instructions string
	Revision     string
	Tools        []string
	Prompts      []string
	Resources    []string
	Prompt       string
	Read         string
	Completion   []string
	Echo         string
	Failed       bool
	Unknown      int // code of the error for a tool that is not there
	Greet        string
	Think        string
	Look         string
	Said         string // data of the log message
	Count        string
	Progress     []float64
	Updated      string // URI in the notification
	ListChanged  bool
	Cancelled    string
	Ended        string            // what became of the cancelled call, as the server says
	Errors       map[string]string // what went wrong, by feature
}

// odd is a text that a careless proxy changes: other scripts, an astral character, a line separator.
const odd = "grüße 😀\u2028"

// feature is something that a client can do, and how it is seen that it could.
type feature struct {
	name string
	did  func(job, sight) bool
}

var features = []feature{
	{"connect", func(j job, s sight) bool {
		modern := func(revision string) bool { return revision >= "2026-07-28" }
		return s.Server == "testkit" && s.Instructions == "A server for tests." && modern(s.Revision) == modern(j.Revision)
	}},
	{"list", func(_ job, s sight) bool {
		tools := slices.DeleteFunc(s.Tools, func(name string) bool { return strings.HasPrefix(name, "grown") })
		slices.Sort(tools)
		return slices.Equal(tools, testkitTools) && slices.Equal(s.Prompts, []string{"hello"}) && slices.Equal(s.Resources, []string{testkit.WatchedResource})
	}},
	{"call", func(_ job, s sight) bool { return s.Echo == odd && s.Failed && s.Unknown == -32602 }},
	{"read", func(_ job, s sight) bool { return s.Read == "watched" }},
	{"prompt", func(_ job, s sight) bool { return s.Prompt == "Hello, Ada" }},
	{"completion", func(_ job, s sight) bool { return slices.Equal(s.Completion, []string{"one", "two"}) }},
	{"elicitation", func(_ job, s sight) bool { return s.Greet == "Hello, Ada!" }},
	{"sampling", func(_ job, s sight) bool { return s.Think == "The model said: hm" }},
	{"roots", func(_ job, s sight) bool { return s.Look == "The client is at file:///home/ada" }},
	{"subscription", func(_ job, s sight) bool { return s.Updated == testkit.WatchedResource }},
	{"list change", func(_ job, s sight) bool { return s.ListChanged }},
	{"progress", func(_ job, s sight) bool {
		return s.Count == "counted" && slices.Equal(s.Progress, []float64{1, 2, 3})
	}},
	{"log", func(_ job, s sight) bool { return s.Said == "said" }},
	{"cancellation", func(_ job, s sight) bool { return s.Cancelled == "rejected" && s.Ended == "it was cancelled" }},
}

// missing are the features that a client did not see, in their order.
func (s sight) missing(j job) (names []string) {
	for _, f := range features {
		if j.skips(f.name) || !f.did(j, s) || s.Errors[f.name] != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// column is a backend as the gateway has it.
type column struct {
	kind     string // of the resource
	revision string // the only one that the backend speaks
	url      string // of the gateway's endpoint, without the transport
}

func (c column) name() string { return strings.ToLower(c.kind) + "-" + c.revision }

var revisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// stdioRevisions are those that commands are run in: each session is a process.
var stdioRevisions = []string{"2024-11-05", "2025-11-25", "2026-07-28"}

// startColumns serves a backend of each revision, the oldest on HTTP+SSE, by each kind of resource.
func startColumns(t *testing.T) (columns []column) {
	t.Helper()
	var docs strings.Builder
	add := func(kind, revision string) string {
		c := column{kind: kind, revision: revision}
		columns = append(columns, c)
		return c.name()
	}
	for _, revision := range revisions {
		one, two := testkit.StartBackendOf(t, revision), testkit.StartBackendOf(t, revision)
		transport, at := "streamable-http", func(b *testkit.Backend) string { return b.URL }
		if revision == revisions[0] {
			transport, at = "sse", func(b *testkit.Backend) string { return b.SSE }
		}
		docs.WriteString(remote(add("MCPRemoteProxy", revision), at(one), "transport: "+transport))
		docs.WriteString(virtualOfOne(add("VirtualMCPServer", revision), at(two), transport))
	}
	for _, revision := range stdioRevisions {
		command, err := json.Marshal(testkit.StdioBackendOf(t, revision))
		if err != nil {
			t.Fatal(err)
		}
		docs.WriteString(object("MCPServer", add("MCPServer", revision), "command: "+string(command)))
	}
	g := serve(t, docs.String())
	for i := range columns {
		columns[i].url = g.URL + "/servers/" + columns[i].name()
	}
	return columns
}

// virtualOfOne serves one member of a group as a virtual server that clients cannot tell
// from the member.
func virtualOfOne(name, url, transport string) string {
	return fmt.Sprintf(`---
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: "group-of-%[1]s"}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: "member-of-%[1]s"}
spec: {remoteUrl: %[2]q, transport: %[3]s, allowPrivateEndpoint: true, groupRef: {name: "group-of-%[1]s"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: %[1]q}
spec:
  groupRef: {name: "group-of-%[1]s"}
  incomingAuth: {type: anonymous}
  config: {name: testkit, aggregation: {conflictResolution: priority}}
`, name, url, transport)
}

// row is a client, in one of the revisions that it speaks.
type row struct {
	client, transport, revision string
	lacks                       []string // features that the client does not have
}

// job is the row's at a column.
func (r row) job(c column) job {
	path := map[string]string{"http": "/mcp", "sse": "/sse", "ws": "/ws"}[r.transport]
	return job{
		Label:  strings.Join([]string{r.client, r.transport, r.revision, "at", c.name()}, "-"),
		Client: r.client, Revision: r.revision, Transport: r.transport, URL: c.url + path, Column: c.name(), Server: c.revision, Skip: r.lacks,
	}
}

// byColumn does the jobs, those of a column one after the other: a question of a server that does
// not say which call it is about can be told only where there is one call.
func byColumn(jobs []job, do func(job) sight) (sights []sight) {
	columns := map[string][]job{}
	for _, j := range jobs {
		columns[j.Column] = append(columns[j.Column], j)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, 4)
	for _, jobs := range columns {
		all.Go(func() {
			for _, j := range jobs {
				places <- struct{}{}
				s := do(j)
				<-places
				mu.Lock()
				sights = append(sights, s)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return sights
}

// drivenBy has a program do the jobs.
func drivenBy(t *testing.T, cmd *exec.Cmd, jobs []job) (sights []sight) {
	t.Helper()
	text, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &sights)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, &stderr)
	}
	return sights
}
