package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Redacted stands where a credential would have been.
const Redacted = "[redacted]"

// NewLogger makes the process's logger. Level is debug, info, warn or error;
// format is text or json. Warnings carry the word WARN in both formats.
//
// Whoever logs leaves credentials out; should one slip through under a name that
// gives it away, its value is written as [redacted].
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var lv slog.Level
	switch level {
	case "debug":
		lv = slog.LevelDebug
	case "info":
		lv = slog.LevelInfo
	case "warn":
		lv = slog.LevelWarn
	case "error":
		lv = slog.LevelError
	default:
		return nil, fmt.Errorf("unknown log level %q: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: lv, ReplaceAttr: redact}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("unknown log format %q: use text or json", format)
}

// redact is a backstop, so it errs on the side of hiding: a key that speaks of a
// credential, or lies in a group that does, loses its value. Numbers, booleans,
// times and durations pass (session_ttl=5m), and so do names (secretName=okta).
func redact(groups []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64:
		return a
	case slog.KindAny:
		// Keys of the handler itself (level, source) come as Any too.
		if h, ok := a.Value.Any().(http.Header); ok && !sensitive(a.Key) {
			return slog.Any(a.Key, redactHeader(h))
		}
	}
	if sensitive(a.Key) {
		return slog.String(a.Key, Redacted)
	}
	for _, g := range groups {
		if sensitive(g) {
			return slog.String(a.Key, Redacted)
		}
	}
	return a
}

func redactHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		if sensitive(name) {
			values = []string{Redacted}
		}
		out[name] = values
	}
	return out
}

func sensitive(key string) bool {
	key = strings.ToLower(key)
	if strings.HasSuffix(key, "name") {
		return false
	}
	for _, word := range [...]string{
		"authorization", "cookie", "token", "secret", "session", "password", "assertion",
		"apikey", "api-key", "api_key",
	} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// Verbose writes all that is logged, whatever level its handler was made for.
type Verbose struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (Verbose) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements [slog.Handler].
func (v Verbose) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Verbose{v.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (v Verbose) WithGroup(name string) slog.Handler { return Verbose{v.Handler.WithGroup(name)} }
