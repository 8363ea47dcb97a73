package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const (
	modern = "2026-07-28"
	legacy = "2025-11-25" // and, but for what they do not have, the older ones
)

// Set are the schemas of every revision.
type Set struct{ revisions map[string]*revision }

// revision are one revision's schemas, by method.
type revision struct {
	Requests, Results, Notifications kind
	Questions, Answers               kind // what a server asks, without requests of its own
}

type kind map[string]*checked

type checked struct{ *jsonschema.Resolved }

func (c *checked) UnmarshalJSON(raw []byte) error {
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	var err error
	c.Resolved, err = s.Resolve(nil)
	return err
}

// Load asks the SDK for its schemas, once. Without the packages of e2e/js the test is skipped.
func Load(t testing.TB) *Set {
	t.Helper()
	testkit.NodeModules(t)
	loading.Do(func() {
		_, here, _, _ := runtime.Caller(0)
		script := filepath.Join(filepath.Dir(here), "..", "..", "..", "e2e", "js", "schemas.mjs")
		out := testkit.StartScript(t, script).Wait(t)
		loaded = &Set{}
		if err := json.Unmarshal([]byte(out), &loaded.revisions); err != nil {
			t.Fatalf("the SDK's schemas: %v", err)
		}
	})
	if loaded == nil {
		t.Fatal("the SDK's schemas could not be had; see the first test that wanted them")
	}
	return loaded
}

// Have reports whether the schemas can be had. Tests that do more than compare messages
// with them do the rest without.
func Have() bool { return os.Getenv("SALLYPORT_TEST_JS") != "" }

var (
	loading sync.Once
	loaded  *Set
)

// since is the first revision that has a method; those not named were there from the beginning.
func since(method string) string {
	switch {
	case method == "elicitation/create":
		return "2025-06-18"
	case method == "notifications/elicitation/complete", strings.HasPrefix(method, "tasks/"), method == "notifications/tasks/status":
		return "2025-11-25"
	}
	return ""
}

type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
}

// Check says what is wrong with a message in a revision. about is the method of the request
// that it answers, if it is a response.
func (s *Set) Check(rev, about string, raw []byte) error {
	var m message
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return fmt.Errorf("it is no JSON-RPC message: %w", err)
	}
	if m.JSONRPC != "2.0" {
		return fmt.Errorf("jsonrpc is %q", m.JSONRPC)
	}
	r := s.revisions[legacy]
	if rev >= modern {
		r = s.revisions[modern]
	}
	hasID := m.ID != nil && string(m.ID) != "null"
	if hasID && m.ID[0] != '"' && m.ID[0] != '-' && (m.ID[0] < '0' || m.ID[0] > '9') {
		return fmt.Errorf("id is %s", m.ID)
	}
	switch {
	case m.Method != nil && (m.Result != nil || m.Error != nil):
		return fmt.Errorf("it is request and response")
	case m.Method != nil && hasID:
		return s.request(r, rev, *m.Method, raw, m.Params)
	case m.Method != nil:
		return s.of(r.Notifications, rev, *m.Method, raw)
	case (m.Result == nil) == (m.Error == nil):
		return fmt.Errorf("it is no message, or has a result and an error")
	case m.Error != nil:
		return wrong(rev, m.Error)
	case !hasID:
		return fmt.Errorf("a result without an id")
	}
	return s.result(r, rev, about, m.Result)
}

// request checks a request, and in 2026-07-28 what every one has.
func (s *Set) request(r *revision, rev, method string, raw, params []byte) error {
	if rev >= modern {
		var p struct {
			Meta map[string]json.RawMessage `json:"_meta"`
		}
		if err := json.Unmarshal(params, &p); err != nil {
			return fmt.Errorf("params of %s: %w", method, err)
		}
		if got := string(p.Meta["io.modelcontextprotocol/protocolVersion"]); got != `"`+rev+`"` {
			return fmt.Errorf("%s says that it is of revision %s", method, got)
		}
		if p.Meta["io.modelcontextprotocol/clientCapabilities"] == nil {
			return fmt.Errorf("%s does not say what the client can do", method)
		}
	}
	return s.of(r.Requests, rev, method, raw)
}

// result checks a result, and in 2026-07-28 of which kind it is.
func (s *Set) result(r *revision, rev, about string, result []byte) error {
	if rev < modern {
		var res struct {
			StructuredContent json.RawMessage `json:"structuredContent"`
		}
		if err := json.Unmarshal(result, &res); err == nil && about == "tools/call" && res.StructuredContent != nil && res.StructuredContent[0] != '{' {
			return fmt.Errorf("structuredContent is no object") // the SDK takes it, and makes text of it
		}
		return s.of(r.Results, rev, about, result)
	}
	var res struct {
		ResultType    string                     `json:"resultType"`
		InputRequests map[string]json.RawMessage `json:"inputRequests"`
		RequestState  *string                    `json:"requestState"`
		TaskID        string                     `json:"taskId"`
	}
	if err := json.Unmarshal(result, &res); err != nil {
		return fmt.Errorf("result of %s: %w", about, err)
	}
	switch res.ResultType {
	case "complete":
		return s.of(r.Results, rev, about, result)
	case "task":
		if res.TaskID == "" {
			return fmt.Errorf("a task without an id")
		}
		return nil
	case "input_required":
	default:
		return fmt.Errorf("result of %s of the type %q", about, res.ResultType)
	}
	if about != "tools/call" && about != "prompts/get" && about != "resources/read" {
		return fmt.Errorf("%s may not ask for anything", about)
	}
	if len(res.InputRequests) == 0 && res.RequestState == nil {
		return fmt.Errorf("result of %s asks for nothing and has no state", about)
	}
	for key, raw := range res.InputRequests {
		var one message
		if err := json.Unmarshal(raw, &one); err != nil || one.Method == nil {
			return fmt.Errorf("input request %q is none", key)
		}
		if r.Questions[*one.Method] == nil {
			return fmt.Errorf("input request %q is %s, which cannot be asked", key, *one.Method)
		}
		if err := s.of(r.Questions, rev, *one.Method, raw); err != nil {
			return err
		}
	}
	return nil
}

// of checks what has a schema. What no revision knows may be anything.
func (s *Set) of(k kind, rev, method string, raw []byte) error {
	schema := k[method]
	if first := since(method); schema != nil && rev < first {
		return fmt.Errorf("%s is not there before %s", method, first)
	}
	if schema == nil {
		for _, other := range s.revisions {
			if other.Requests[method] != nil || other.Notifications[method] != nil {
				if rev >= modern && strings.HasPrefix(method, "tasks/") { // of the extension
					return nil
				}
				return fmt.Errorf("%s has no %s", rev, method)
			}
		}
		return nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// wrong checks an error.
func wrong(rev string, raw []byte) error {
	var e struct {
		Code    *int    `json:"code"`
		Message *string `json:"message"`
	}
	if err := json.Unmarshal(raw, &e); err != nil || e.Code == nil || e.Message == nil {
		return fmt.Errorf("an error without code or message: %w", err)
	}
	switch code := *e.Code; {
	case rev >= modern && (code == -32002 || code == -32042):
		return fmt.Errorf("the error %d is of older revisions", code)
	case rev < modern && code <= -32020 && code >= -32022:
		return fmt.Errorf("the error %d is of %s", code, modern)
	case rev < "2025-11-25" && code == -32042:
		return fmt.Errorf("the error %d is of 2025-11-25", code)
	}
	return nil
}
