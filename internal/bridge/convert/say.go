package convert

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Levels are those of log messages, the most verbose first.
func Levels() []string {
	return []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}
}

// LevelRank is a log level's place, -1 for what is none.
func LevelRank(level string) int { return slices.Index(Levels(), level) }

// ToolError is the result of a tool that has failed, so that whoever called can read why.
func ToolError(why string) []byte {
	content := append(mcp.AppendQuote([]byte(`[{"type":"text","text":`), why), `}]`...)
	return with(nil, field("isError", []byte("true")), field("content", content))
}

// RefusedAction is what a person did instead of agreeing; "" when all agreed.
func RefusedAction(answers []byte) (action string) {
	_ = mcp.Members(answers, func(_, value []byte) bool {
		if a := mcp.PathText(value, "action"); a == "decline" || a == "cancel" {
			action = strings.TrimSuffix(a, "e") + "ed"
			if a == "cancel" {
				action = "cancelled"
			}
		}
		return true
	})
	return action
}
