package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// maxText bounds each text of a line in bytes: a caller must not be able to fill
// the disk with one long tool name.
const maxText = 1024

// schema names the form of the lines; every line says it first.
const (
	schema      = "sallyport.audit/v1"
	schemaField = `{"schema":"` + schema + `","time":`
)

// appendLine adds the event as a line of JSON. Hand-built: it runs once per
// request, and encoding/json costs twenty times as much.
func appendLine(b []byte, e *Event) []byte {
	method := e.Method
	if method == "" {
		method = e.HTTPMethod
	}
	b = appendTime(append(b, schemaField...), e.Time)
	b = appendField(b, `,"id":`, e.ID)
	b = appendOptional(b, `,"within":`, e.Within)
	b = appendOptional(b, `,"part":`, e.Part)
	b = appendField(b, `,"server":`, e.Server)
	b = appendOptional(b, `,"member":`, e.Member)
	b = appendField(b, `,"method":`, method)
	if method == "tools/call" {
		b = appendOptional(b, `,"tool":`, e.Target)
	}
	b = appendOptional(b, `,"target":`, e.Target)
	b = appendField(b, `,"subject":`, e.Subject)
	b = appendField(b, `,"source":`, e.Source)
	b = appendField(b, `,"outcome":`, string(e.Outcome))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = appendOptional(b, `,"reason":`, e.Reason)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, e.Duration)
	b = appendOptional(b, `,"client":`, e.Client)
	b = appendOptional(b, `,"via":`, e.Via)
	b = appendOptional(b, `,"client_id":`, e.ClientID)
	b = appendOptional(b, `,"provider":`, e.Provider)
	b = appendOptional(b, `,"protocol_version":`, e.Revision)
	return append(b, '}', '\n')
}

// appendLost adds the line that stands where events are missing.
func appendLost(b []byte, at time.Time, lost int) []byte {
	b = appendTime(append(b, schemaField...), at)
	b = append(b, lostField...)
	b = strconv.AppendInt(b, int64(lost), 10)
	return append(b, '}', '\n')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	return append(b, '"')
}

// appendMillis adds milliseconds with three decimals. A clock that went back
// gives zero.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(0, d.Microseconds())
	b = strconv.AppendInt(b, us/1000, 10)
	frac := us % 1000
	return append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
}

func appendOptional(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendField(b, key, value)
}

func appendField(b []byte, key, value string) []byte {
	return append(appendText(append(append(b, key...), '"'), value), '"')
}

// appendText adds text from outside as the inside of a JSON string, and no more of
// it than maxText.
func appendText(b []byte, s string) []byte {
	if len(s) <= maxText {
		return appendEscaped(b, s)
	}
	return append(appendEscaped(b, cut(s)), "…"...)
}

// cut shortens s to at most maxText bytes without splitting a character.
func cut(s string) string {
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendEscaped adds s as the inside of a JSON string. Beyond what JSON asks, it
// escapes what could move a terminal's cursor or end a line for some reader: DEL,
// the C1 controls, U+2028 and U+2029.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = appendUnicode(b, rune(c))
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && size == 1
		if invalid || r < 0xa0 || r == 0x2028 || r == 0x2029 {
			b = append(b, s[start:i]...)
			b = appendUnicode(b, r)
			start = i + size
		}
		i += size
	}
	return append(b, s[start:]...)
}

func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
