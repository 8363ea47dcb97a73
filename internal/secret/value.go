package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret string. The zero Value is empty. Values do not compare with
// ==, since that is not constant-time; use [Value.Equal].
type Value struct {
	_ [0]func()
	// A pointer, because fmt calls no methods on unexported fields of somebody
	// else's struct: there it prints an address, and not the text.
	text *string
}

// New wraps s.
func New(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{text: &s}
}

// Reveal returns the secret itself. Call it where the secret is used, not sooner.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v.text == nil }

// Equal reports whether both hold the same secret, in time that depends on the
// lengths alone.
func (v Value) Equal(o Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(o.Reveal())) == 1
}

// String returns "[redacted]".
func (v Value) String() string { return redacted }

// GoString returns "[redacted]".
func (v Value) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb and the flags are.
func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]"; YAML, XML and flags use it.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
