package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

func TestLoggerRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ level, format, want string }{
		{"loud", "text", `unknown log level "loud": use debug, info, warn or error`},
		{"WARN", "text", `unknown log level "WARN": use debug, info, warn or error`},
		{"info", "xml", `unknown log format "xml": use text or json`},
	} {
		if _, err := telemetry.NewLogger(&bytes.Buffer{}, tc.level, tc.format); err == nil || err.Error() != tc.want {
			t.Errorf("NewLogger(%q, %q) = %v, want %s", tc.level, tc.format, err, tc.want)
		}
	}
}

func TestLoggerLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]string{
		"debug": "debug info warn error", "info": "info warn error", "warn": "warn error", "error": "error",
	} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, level, "json")
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		var got []string
		for line := range strings.Lines(out.String()) {
			var rec struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &rec); err != nil {
				t.Fatal(err)
			}
			got = append(got, rec.Msg)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("level %s: %s", level, diff)
		}
	}
}

func TestWarningsCarryTheWord(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("careful")
		if !strings.Contains(out.String(), "WARN") {
			t.Errorf("%s: no WARN in %s", format, out.String())
		}
	}
}

// REQ A-7
func TestLoggerRedacts(t *testing.T) {
	t.Parallel()
	const canary = "canary-5f1c"
	for _, tc := range []struct {
		name   string
		attr   slog.Attr
		hidden bool
	}{
		{"authorization", slog.String("Authorization", "Bearer "+canary), true},
		{"cookie", slog.String("set-cookie", canary), true},
		{"token in camel case", slog.String("accessToken", canary), true},
		{"secret", slog.String("client_secret", canary), true},
		{"session", slog.String("Mcp-Session-Id", canary), true},
		{"key", slog.String("x-api-key", canary), true},
		{"any", slog.Any("token", []string{canary}), true},
		{"inside a group", slog.Group("token", slog.String("value", canary)), true},
		{"key inside a group", slog.Group("request", slog.String("cookie", canary)), true},
		{"header", slog.Any("headers", http.Header{"Authorization": {canary}, "Accept": {"text/plain"}}), true},
		{"header under a sensitive key", slog.Any("cookies", http.Header{"Accept": {canary}}), true},
		{"plain", slog.String("server", canary), false},
		{"name", slog.String("secretName", canary), false},
		{"header of no interest", slog.Any("headers", http.Header{"Accept": {canary}}), false},
	} {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(&out, "debug", format)
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("x", tc.attr)
			if shown := strings.Contains(out.String(), canary); shown == tc.hidden {
				t.Errorf("%s (%s): hidden = %v, want %v: %s", tc.name, format, !shown, tc.hidden, out.String())
			}
			if marked := strings.Contains(out.String(), telemetry.Redacted); marked != tc.hidden {
				t.Errorf("%s (%s): [redacted] shown = %v: %s", tc.name, format, marked, out.String())
			}
		}
	}
}

func TestLoggerShowsNumbersOfSensitiveThings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x", "sessions", 7, "session_ttl", 5*time.Minute, "token_present", true)
	if want := "sessions=7 session_ttl=5m0s token_present=true"; !strings.Contains(out.String(), want) {
		t.Errorf("got %s, want %s in it", out.String(), want)
	}
}
