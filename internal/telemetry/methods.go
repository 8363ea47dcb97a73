package telemetry

// otherMethod is the label of all methods that are not known.
const otherMethod = "other"

// methodNames lists the values the method label may take beside otherMethod: the
// methods a client sends in any revision of MCP, and the HTTP methods of streams
// and of ended sessions. A client could send any word; each would be a series.
func methodNames() []string {
	return []string{
		"GET", "DELETE",
		"initialize", "ping", "server/discover", "subscriptions/listen", "logging/setLevel", "completion/complete",
		"tools/list", "tools/call",
		"prompts/list", "prompts/get",
		"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"tasks/list", "tasks/get", "tasks/update", "tasks/cancel", "tasks/result",
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed", "notifications/elicitation/complete", "notifications/tasks/status",
		// A client's answer to the server's request has no method of its own.
		"response",
	}
}
