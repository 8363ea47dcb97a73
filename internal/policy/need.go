package policy

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Need is what a message needs the policies' consent for.
type Need struct {
	// Denied is set for a message that nothing can permit: its method is not known, or
	// it does not say what it is about. Reason says which, for the operator.
	Denied bool
	Reason string
	// Asks are the questions to ask, all of which must be answered with yes. No
	// question: the message needs no consent.
	Asks []Ask
}

// Ask is one question to the policies.
type Ask struct {
	Action Action
	Target string
}

// NeedOf says what a client's message needs consent for, by its method:
//
//   - nothing: initialize, ping, server/discover, logging/setLevel, notifications,
//     and answers to what the server asked;
//   - tools/call, prompts/get, resources/read: the use of what they name, and so
//     resources/subscribe and resources/unsubscribe, as reading;
//   - tools/list, prompts/list, resources/list, resources/templates/list: the list,
//     and then each item of it (see [Set.Filter]); a template is a resource whose URI
//     is the template's text;
//   - completion/complete: the use of the prompt or resource that it completes for;
//   - subscriptions/listen: reading each resource that it subscribes to, if any.
//
// Any other method is denied: what nobody has judged is not allowed, tasks/* among
// them, which hand out results of calls to whoever knows an id.
func NeedOf(e *mcp.Envelope) Need {
	if e.Kind == mcp.KindResponse {
		return Need{}
	}
	one := func(a Action, target string) Need { return Need{Asks: []Ask{{a, target}}} }
	switch e.Method {
	case "initialize", "ping", "server/discover", "logging/setLevel":
		return Need{}
	case "tools/call":
		return one(CallTool, e.Target)
	case "prompts/get":
		return one(GetPrompt, e.Target)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return one(ReadResource, e.Target)
	case "tools/list":
		return one(ListTools, "")
	case "prompts/list":
		return one(ListPrompts, "")
	case "resources/list", "resources/templates/list":
		return one(ListResources, "")
	case "completion/complete":
		return needOfCompletion(e.Bytes(e.Params))
	case "subscriptions/listen":
		return needOfSubscriptions(e.Bytes(e.Params))
	}
	if e.Kind == mcp.KindNotification && strings.HasPrefix(e.Method, "notifications/") {
		return Need{} // with an id it is a request, of a method that is not known
	}
	return Need{Denied: true, Reason: "no policy is asked about this method"}
}

func needOfCompletion(params []byte) Need {
	unreadable := Need{Denied: true, Reason: "the completion's ref names no prompt or resource"}
	ref, err := mcp.Member(params, "ref")
	if err != nil {
		return unreadable
	}
	text := func(key string) (string, bool) {
		v, err := mcp.Member(ref, key)
		if err != nil {
			return "", false
		}
		return mcp.Text(v)
	}
	switch kind, _ := text("type"); kind {
	case "ref/prompt":
		if name, ok := text("name"); ok {
			return Need{Asks: []Ask{{GetPrompt, name}}}
		}
	case "ref/resource":
		if uri, ok := text("uri"); ok {
			return Need{Asks: []Ask{{ReadResource, uri}}}
		}
	}
	return unreadable
}

func needOfSubscriptions(params []byte) (n Need) {
	unreadable := Need{Denied: true, Reason: "the resources to subscribe to cannot be read"}
	if params == nil {
		return Need{}
	}
	notifications, err := mcp.Member(params, "notifications")
	if err != nil {
		return unreadable
	}
	if notifications == nil {
		return Need{}
	}
	uris, err := mcp.Member(notifications, "resourceSubscriptions")
	if err != nil {
		return unreadable
	}
	if uris == nil {
		return Need{}
	}
	all, ok := mcp.Texts(uris)
	if !ok {
		return unreadable
	}
	for _, uri := range all {
		n.Asks = append(n.Asks, Ask{ReadResource, uri})
	}
	return n
}
