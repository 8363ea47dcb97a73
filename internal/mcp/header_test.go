package mcp_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestHeaderValue(t *testing.T) {
	t.Parallel()
	// MCP 2026-07-28 transports, Value Encoding: the specification's own examples.
	for plain, encoded := range map[string]string{
		"us-west1":            "us-west1",
		"two words":           "two words",
		"":                    "",
		"=?base64?":           "=?base64?",
		"Hello, 世界":           "=?base64?SGVsbG8sIOS4lueVjA==?=",
		" padded ":            "=?base64?IHBhZGRlZCA=?=",
		"line1\nline2":        "=?base64?bGluZTEKbGluZTI=?=",
		"\tindented":          "=?base64?CWluZGVudGVk?=",
		"=?base64?literal?=":  "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",
		"=?base64?=":          "=?base64?PT9iYXNlNjQ/PQ==?=",
		"=?BASE64?literal?=":  "=?BASE64?literal?=",
		"x =?base64?YQ==?= y": "x =?base64?YQ==?= y",
	} {
		if got := mcp.EncodeHeaderValue(plain); got != encoded {
			t.Errorf("EncodeHeaderValue(%q) = %q, want %q", plain, got, encoded)
		}
		if got, err := mcp.DecodeHeaderValue(encoded); got != plain || err != nil {
			t.Errorf("DecodeHeaderValue(%q) = %q, %v", encoded, got, err)
		}
	}
	if got, err := mcp.DecodeHeaderValue("a\tb"); got != "a\tb" || err != nil {
		t.Errorf("a tab: %q, %v", got, err)
	}
	for _, bad := range []string{
		"é", "a\x00", "a\r\nb", "a\x7f", "=?base64?=", "=?base64?YQ?=", "=?base64?YQ=?=", "=?base64?YR==?=",
		"=?base64?Y Q==?=", "=?base64?_-==?=", "=?base64?/w==?=", "=?base64?YQ==YQ==?=",
	} {
		if got, err := mcp.DecodeHeaderValue(bad); err == nil {
			t.Errorf("DecodeHeaderValue(%q) = %q", bad, got)
		}
	}
}

func FuzzHeaderValue(f *testing.F) {
	for _, s := range []string{"", "add", "=?base64?YQ==?=", "=?base64?=", " x", "é", "\x00", "a\tb", "=?base64?\n?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if plain, err := mcp.DecodeHeaderValue(v); err == nil && !utf8.ValidString(plain) {
			t.Errorf("DecodeHeaderValue(%q) is not UTF-8: %q", v, plain)
		}
		if !utf8.ValidString(v) {
			return
		}
		enc := mcp.EncodeHeaderValue(v)
		if strings.Trim(enc, " \t") != enc {
			t.Errorf("EncodeHeaderValue(%q) = %q would be trimmed on the way", v, enc)
		}
		got, err := mcp.DecodeHeaderValue(enc)
		if got != v || err != nil {
			t.Errorf("%q → %q → %q, %v", v, enc, got, err)
		}
	})
}
