package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error is a refusal (RFC 6749 §5.2). Description is a stranger's text: it is
// shortened and printable, but not to be believed.
type Error struct {
	Code        string
	Description string
	Status      int           // the HTTP status it came with
	RetryAfter  time.Duration // what the server says; 0 for nothing
}

// The codes that matter here.
const (
	CodeInvalidRequest       = "invalid_request"
	CodeInvalidClient        = "invalid_client"
	CodeInvalidGrant         = "invalid_grant"
	CodeUnauthorizedClient   = "unauthorized_client"
	CodeUnsupportedGrantType = "unsupported_grant_type"
	CodeInvalidScope         = "invalid_scope"
	CodeInvalidTarget        = "invalid_target" // RFC 8707 §2
	CodeInteractionRequired  = "interaction_required"
	CodeAccessDenied         = "access_denied"
	CodeServerError          = "server_error"
)

func (e *Error) Error() string {
	text := e.Code
	if text == "" {
		text = fmt.Sprintf("it answered %d", e.Status)
	}
	if e.Description != "" {
		text += " (" + e.Description + ")"
	}
	return text
}

// ParseError reads a refusal out of an answer; nil when it is none. Some servers
// (GitHub's among them) refuse with status 200.
func ParseError(status int, body []byte) *Error {
	var a struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	err := json.Unmarshal(body, &a)
	if status == http.StatusOK && (err != nil || a.Code == "") {
		return nil
	}
	if err != nil {
		a.Code, a.Description = "", ""
	}
	if status >= 200 && status < 300 && a.Code == "" {
		return nil
	}
	return &Error{Code: Printable(a.Code, 64), Description: Printable(a.Description, 200), Status: status}
}

// RetryAfter reads the header of that name (RFC 9110 §10.2.3); 0 for none that is to
// come.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return max(0, time.Duration(min(seconds, 24*3600))*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// Printable makes a stranger's text fit for a log line or a page: one line, at most
// limit characters, nothing that moves the cursor.
func Printable(s string, limit int) string {
	var b strings.Builder
	for i, r := range strings.ToValidUTF8(s, "?") {
		if i >= limit {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
