package suite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// modern is the revision that [StartModern] speaks.
const modern = "2026-07-28"

// modernRequest is what a server of 2026-07-28 alone has to know of a request.
type modernRequest struct {
	ID     json.RawMessage
	Method string
	Params struct {
		ProtocolVersion string // of initialize
		Name            string
		Arguments       struct{ Message, Prompt json.RawMessage }
		InputResponses  map[string]json.RawMessage
	}
}

// StartModern starts the Go SDK's conformance fixture as a server that speaks 2026-07-28
// and nothing else. The SDK's own serves the older revisions too, without sessions, and
// its tools that the suite of 2025-11-25 has ask things by a request of the server's,
// which is no more: these are answered here, by what took its place.
func StartModern(t testing.TB) string {
	t.Helper()
	return before(t, StartServer(t, false), func(w http.ResponseWriter, r *http.Request, body []byte) []byte {
		var m modernRequest
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return nil
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return body // for the server to say
		}
		if r.Header.Get("Mcp-Protocol-Version") != modern {
			m.answer(w, http.StatusBadRequest, fmt.Sprintf(`"error":{"code":-32022,"message":"unsupported protocol version","data":{"supported":[%q],"requested":%q}}`,
				modern, m.Params.ProtocolVersion))
			return nil
		}
		question := m.question()
		switch {
		case m.Method != "tools/call" || question == "":
			return body
		case m.Params.InputResponses["asked"] == nil:
			m.answer(w, http.StatusOK, `"result":{"resultType":"input_required","requestState":"fixture","inputRequests":{"asked":`+question+`}}`)
		default:
			text, _ := json.Marshal("was told " + string(m.Params.InputResponses["asked"])) // a string is always JSON
			m.answer(w, http.StatusOK, `"result":{"resultType":"complete","content":[{"type":"text","text":`+string(text)+`}]}`)
		}
		return nil
	})
}

func (m modernRequest) answer(w http.ResponseWriter, status int, what string) {
	if m.ID == nil {
		m.ID = json.RawMessage("null")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,%s}`, m.ID, what)
}

// question is what the tool that is called asks its client; "" for nothing.
func (m modernRequest) question() string {
	elicit := func(message, properties string) string {
		return `{"method":"elicitation/create","params":{"message":` + message + `,"requestedSchema":{"type":"object","properties":{` + properties + `}}}}`
	}
	switch m.Params.Name {
	case "test_sampling":
		return `{"method":"sampling/createMessage","params":{"maxTokens":100,"messages":[{"role":"user","content":{"type":"text","text":` +
			string(m.Params.Arguments.Prompt) + `}}]}}`
	case "test_elicitation":
		return elicit(string(m.Params.Arguments.Message), `"username":{"type":"string"}`)
	case "test_elicitation_sep1034_defaults":
		return elicit(`"Are these right?"`, `
			"name":{"type":"string","default":"John Doe"}, "age":{"type":"integer","default":30}, "score":{"type":"number","default":95.5},
			"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"}, "verified":{"type":"boolean","default":true}`)
	case "test_elicitation_sep1330_enums":
		const titled = `[{"const":"value1","title":"One"},{"const":"value2","title":"Two"},{"const":"value3","title":"Three"}]`
		return elicit(`"Which of these?"`, `
			"untitledSingle":{"type":"string","enum":["option1","option2","option3"]}, "titledSingle":{"type":"string","oneOf":`+titled+`},
			"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["One","Two","Three"]},
			"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},
			"titledMulti":{"type":"array","items":{"anyOf":`+titled+`}}`)
	}
	return ""
}
