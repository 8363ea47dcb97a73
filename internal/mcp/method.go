package mcp

// internMethod is the method's name as a string, without a copy for those that
// the specification names in any revision.
func internMethod(b []byte) string {
	if m := knownMethod(b); m != "" {
		return m
	}
	return string(b)
}

// isKnownMethod reports whether the specification names the method in any revision.
func isKnownMethod(method string) bool { return knownMethod([]byte(method)) != "" }

func knownMethod(b []byte) string {
	switch string(b) {
	case "tools/call":
		return "tools/call"
	case "tools/list":
		return "tools/list"
	case "prompts/get":
		return "prompts/get"
	case "prompts/list":
		return "prompts/list"
	case "resources/read":
		return "resources/read"
	case "resources/list":
		return "resources/list"
	case "resources/templates/list":
		return "resources/templates/list"
	case "resources/subscribe":
		return "resources/subscribe"
	case "resources/unsubscribe":
		return "resources/unsubscribe"
	case "tasks/get":
		return "tasks/get"
	case "tasks/update":
		return "tasks/update"
	case "tasks/cancel":
		return "tasks/cancel"
	case "tasks/result":
		return "tasks/result"
	case "tasks/list":
		return "tasks/list"
	case "initialize":
		return "initialize"
	case "ping":
		return "ping"
	case "server/discover":
		return "server/discover"
	case "subscriptions/listen":
		return "subscriptions/listen"
	case "completion/complete":
		return "completion/complete"
	case "logging/setLevel":
		return "logging/setLevel"
	case "notifications/initialized":
		return "notifications/initialized"
	case "notifications/cancelled":
		return "notifications/cancelled"
	case "notifications/progress":
		return "notifications/progress"
	case "notifications/roots/list_changed":
		return "notifications/roots/list_changed"
	}
	return ""
}

// Repeatable reports methods that change nothing: asking twice is asking once.
func Repeatable(method string) bool {
	switch method {
	case "ping", "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list",
		"prompts/get", "resources/read", "completion/complete", "tasks/get", "tasks/list":
		return true
	}
	return false
}

// Repeatable reports what calling the tool twice is like, as far as its server says.
func (h Hints) Repeatable() bool { return h.ReadOnly == HintTrue || h.Idempotent == HintTrue }

// targetParam is the key, in params, of what the method works on: "name", "uri"
// or "taskId"; "" where the method has none.
func targetParam(method string) string {
	switch method {
	case "tools/call", "prompts/get":
		return "name"
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return "uri"
	case "tasks/get", "tasks/update", "tasks/cancel", "tasks/result":
		return "taskId"
	}
	return ""
}

// needsNameHeader reports whether a modern request for the method must carry
// Mcp-Name (MCP 2026-07-28 transports; the Tasks extension for tasks/*).
func needsNameHeader(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel":
		return true
	}
	return false
}
