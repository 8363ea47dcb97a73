package listen

import (
	"log"
	"log/slog"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// ServerLog is for what net/http has to say. Most of it is about strangers; but not that
// no connection can be accepted, and that something panicked.
func ServerLog(to *slog.Logger) *log.Logger {
	return log.New(&httpLines{to, ratelimit.NewLog(to)}, "", 0)
}

type httpLines struct {
	to      *slog.Logger
	limited *ratelimit.Log
}

func (h *httpLines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	switch {
	case strings.HasPrefix(text, "http: Accept error: "):
		h.limited.Error("accept", "connections cannot be accepted", "cause", strings.TrimPrefix(text, "http: Accept error: "))
	case strings.HasPrefix(text, "http: panic serving "):
		h.to.Error("panic while serving a request", "cause", text)
	default:
		h.to.Debug(text)
	}
	return len(line), nil
}
