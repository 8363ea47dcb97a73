package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

const text = "hunter2-is-the-secret"

// holder keeps a Value where fmt cannot call its methods.
type holder struct {
	Open   secret.Value
	closed secret.Value
	ptr    *secret.Value
	list   []secret.Value
	byName map[string]secret.Value
}

func newHolder() holder {
	v := secret.New(text)
	return holder{Open: v, closed: v, ptr: &v, list: []secret.Value{v}, byName: map[string]secret.Value{"k": v}}
}

func mustHide(t *testing.T, how, out string) {
	t.Helper()
	for _, leak := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("%v", []byte(text))} {
		if strings.Contains(out, leak) {
			t.Errorf("%s shows the secret: %s", how, out)
		}
	}
}

func TestFmtHides(t *testing.T) {
	t.Parallel()
	v := secret.New(text)
	for verb := rune(1); verb < 128; verb++ {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "200", ".200", "# x"} {
			format := "%" + flags + string(verb)
			mustHide(t, format, fmt.Sprintf(format, v))
			mustHide(t, format+" of a pointer", fmt.Sprintf(format, &v))
			mustHide(t, format+" of a holder", fmt.Sprintf(format, newHolder()))
			h := newHolder()
			mustHide(t, format+" of a holder's pointer", fmt.Sprintf(format, &h))
			mustHide(t, format+" of a slice", fmt.Sprintf(format, []any{v, &v}))
		}
	}
	for _, format := range []string{"%v", "%s", "%q", "%x", "%d", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, v); got != "[redacted]" {
			t.Errorf("%s = %s", format, got)
		}
	}
	mustHide(t, "Sprint", fmt.Sprint(v, &v, newHolder()))
	mustHide(t, "Errorf", fmt.Errorf("reach %v: %w", v, errors.New("no")).Error())
	if v.String() != "[redacted]" || v.GoString() != "[redacted]" {
		t.Errorf("String() = %s, GoString() = %s", v.String(), v.GoString())
	}
}

func TestSlogHides(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, h := range map[string]slog.Handler{"text": slog.NewTextHandler(&out, opts), "json": slog.NewJSONHandler(&out, opts)} {
		out.Reset()
		v := secret.New(text)
		log := slog.New(h).With("with", v)
		log.Info("message", "value", v, "pointer", &v, "holder", newHolder(), "list", []secret.Value{v}, slog.Group("g", "v", v))
		mustHide(t, name, out.String())
		if n := strings.Count(out.String(), "[redacted]"); n < 5 {
			t.Errorf("%s names only %d redactions: %s", name, n, out.String())
		}
	}
}

func TestMarshalHides(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(map[string]any{"value": secret.New(text), "holder": newHolder(), "empty": secret.Value{}})
	if err != nil {
		t.Fatal(err)
	}
	mustHide(t, "encoding/json", string(b))
	// As the key of a map a text marshaller is used.
	b, err = secret.New(text).MarshalText()
	if err != nil || string(b) != "[redacted]" {
		t.Errorf("MarshalText() = %s, %v", b, err)
	}
	b, err = xml.Marshal(secret.New(text))
	if err != nil {
		t.Fatal(err)
	}
	mustHide(t, "encoding/xml", string(b))
}

func TestReveal(t *testing.T) {
	t.Parallel()
	v := secret.New(text)
	if v.Reveal() != text || v.Empty() {
		t.Errorf("Reveal() = %q, Empty() = %v", v.Reveal(), v.Empty())
	}
	for _, e := range []secret.Value{{}, secret.New("")} {
		if e.Reveal() != "" || !e.Empty() {
			t.Errorf("empty: Reveal() = %q, Empty() = %v", e.Reveal(), e.Empty())
		}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{{text, text, true}, {text, "other", false}, {text, "", false}, {"", "", true}} {
		if got := secret.New(tt.a).Equal(secret.New(tt.b)); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
