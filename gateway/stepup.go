package gateway

import (
	"crypto/rand"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// stepUp ends an exchange that the person behind it can mend (REQ D-8). Where an
// account has to be connected, the client is asked to send the person to the page
// for it, if it can: the token goes nowhere near the client (MCP elicitation, URL
// mode). Else it gets a challenge, and signs the person in again. A backend's own
// challenge is never passed on: it names somebody else's servers.
func (e *Endpoint) stepUp(x *Exchange, step *credential.StepUp) *mcp.Error {
	reason := "credential: " + step.Reason
	if step.URL == "" || !x.canElicit() {
		if step.Again != nil {
			step.Again(x.r.Context())
		}
		return e.deny(x, &authn.Denied{Status: http.StatusUnauthorized, Code: authn.CodeInvalidToken, Reason: reason})
	}
	x.note(reason)
	ask := "Connect your account of " + step.Provider + ", so that " + e.name + " can be used with it."
	if !x.revision.Modern() {
		return &mcp.Error{
			Status: http.StatusOK, Code: mcp.CodeURLElicitationRequired, Message: ask,
			Data: elicitations(ask, step.URL, rand.Text()),
		}
	}
	key := elicitationKey(step.Provider)
	if x.declined(key) {
		return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "%s cannot be used until an account of %s is connected", e.name, step.Provider)
	}
	return &mcp.Error{Status: http.StatusOK, Result: inputRequired(key, ask, step.URL)}
}

// canElicit reports whether the client said that it can send its person to a URL,
// and waits for an answer in which it can be asked to.
func (x *Exchange) canElicit() bool {
	switch {
	case !x.isRequest():
		return false
	case x.revision.Modern():
		switch x.message.Method {
		case "tools/call", "prompts/get", "resources/read": // nowhere else (M37)
			return has(x.message.Bytes(x.message.Meta.Span), "io.modelcontextprotocol/clientCapabilities", "elicitation", "url")
		}
		return false
	}
	return x.revision >= mcp.Rev20251125 && x.session.elicits && x.message.Method != "initialize"
}

// declined reports whether the client has come back from such a request with a no.
// To ask again would send its person round in circles.
func (x *Exchange) declined(key string) bool {
	answers, err := mcp.Member(x.message.Bytes(x.message.Params), "inputResponses")
	if err != nil || answers == nil {
		return false
	}
	answer, err := mcp.Member(answers, key)
	if err != nil || answer == nil {
		return false
	}
	action, err := mcp.Member(answer, "action")
	text, ok := mcp.Text(action)
	return err != nil || !ok || text != "accept"
}

// elicitationKey names the gateway's own request among those of the backend.
func elicitationKey(provider string) string { return "sallyport-connect-" + provider }

// elicitations are the data of -32042 (MCP 2025-11-25 elicitation).
func elicitations(text, url, id string) []byte {
	b := []byte(`{"elicitations":[{"mode":"url","elicitationId":`)
	b = append(mcp.AppendQuote(b, id), `,"url":`...)
	b = append(mcp.AppendQuote(b, url), `,"message":`...)
	return append(mcp.AppendQuote(b, text), `}]}`...)
}

// inputRequired is the result that asks for input (MCP 2026-07-28; M37).
func inputRequired(key, text, url string) []byte {
	b := []byte(`{"resultType":"input_required","inputRequests":{`)
	b = append(mcp.AppendQuote(b, key), `:{"method":"elicitation/create","params":{"mode":"url","url":`...)
	b = append(mcp.AppendQuote(b, url), `,"message":`...)
	return append(mcp.AppendQuote(b, text), `}}}}`...)
}

// elicitsURL reads from an initialize request whether its client can be sent to a
// URL (MCP 2025-11-25 elicitation).
func elicitsURL(m *mcp.Envelope) bool {
	return has(m.Bytes(m.Params), "capabilities", "elicitation", "url")
}

// has reports whether there is an object at the end of a path of objects.
func has(object []byte, path ...string) bool {
	for _, key := range path {
		var err error
		if object, err = mcp.Member(object, key); err != nil || object == nil {
			return false
		}
	}
	return len(object) > 0 && object[0] == '{'
}
