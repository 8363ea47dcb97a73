package upstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// stepUp ends a call that the person behind it can mend (REQ D-8). Where an account
// has to be connected, the client is asked to send the person to the page for it, if
// it can: the token goes nowhere near the client (MCP elicitation, URL mode). Else it
// is denied, and signs the person in again. A server's own challenge is never passed
// on: it names somebody else's servers.
func (u *Upstream) stepUp(ctx context.Context, c *Call, step *credential.StepUp) (*backend.Response, error) {
	reason := "credential: " + step.Reason
	if step.URL == "" || !c.canElicit() {
		if step.Again != nil {
			step.Again(ctx)
		}
		return nil, &Denied{Reason: reason}
	}
	ask := "Connect your account of " + step.Provider + ", so that " + u.Name + " can be used with it."
	if !c.Revision.Modern() {
		return nil, &Denied{Reason: reason, Public: &mcp.Error{
			Status: http.StatusOK, Code: mcp.CodeURLElicitationRequired, Message: ask,
			Data: elicitations(ask, step.URL, rand.Text()),
		}}
	}
	key := elicitationKey(step.Provider)
	if c.declined(key) {
		return nil, &Denied{Reason: reason, Public: mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest,
			"%s cannot be used until an account of %s is connected", u.Name, step.Provider)}
	}
	return c.answerItself(reason, inputRequired(key, ask, step.URL)), nil
}

// answerItself is an answer of the gateway's own: a result, for the reason that log
// and audit are told.
func (c *Call) answerItself(reason string, result []byte) *backend.Response {
	c.answer.Own = reason
	body := append([]byte(`{"jsonrpc":"2.0","id":`), c.Message.ID...)
	body = append(append(append(body, `,"result":`...), result...), '}')
	return &backend.Response{
		Status: http.StatusOK, Header: http.Header{"Content-Type": jsonType, "Cache-Control": {"no-store"}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// canElicit reports whether the client said that it can send its person to a URL,
// and waits for an answer in which it can be asked to.
func (c *Call) canElicit() bool {
	switch {
	case !c.isRequest():
		return false
	case c.Revision.Modern():
		switch c.Message.Method {
		case "tools/call", "prompts/get", "resources/read": // nowhere else (MCP 2026-07-28, input required)
			return mcp.HasObject(c.Message.Bytes(c.Message.Meta.Span), "io.modelcontextprotocol/clientCapabilities", "elicitation", "url")
		}
		return false
	}
	return c.Revision >= mcp.Rev20251125 && c.Elicits && c.Message.Method != "initialize"
}

// declined reports whether the client has come back from such a request with a no.
// To ask again would send its person round in circles.
func (c *Call) declined(key string) bool {
	answers, err := mcp.Member(c.Message.Bytes(c.Message.Params), "inputResponses")
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

// inputRequired is the result that asks for input (MCP 2026-07-28, InputRequiredResult).
func inputRequired(key, text, url string) []byte {
	b := []byte(`{"resultType":"input_required","inputRequests":{`)
	b = append(mcp.AppendQuote(b, key), `:{"method":"elicitation/create","params":{"mode":"url","url":`...)
	b = append(mcp.AppendQuote(b, url), `,"message":`...)
	return append(mcp.AppendQuote(b, text), `}}}}`...)
}
