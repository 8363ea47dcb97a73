package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Line is a line of audit as it is read back: an event, or a word about missing ones.
// Its texts are as they were recorded: control characters are bare in them.
type Line struct {
	Time            string
	ID              string
	Server          string
	Method          string
	Target          string
	Subject         string
	Source          string
	Outcome         Outcome
	Status          int
	Reason          string
	DurationMS      float64 `json:"duration_ms"`
	Client          string
	ProtocolVersion string `json:"protocol_version"`

	Lost int // events that are missing here; then the rest is empty
}

// ErrNotEvent is of a line that is neither an event nor a word about missing ones.
var ErrNotEvent = errors.New("it is no audit event")

// ErrHeader is of the first line of a file: it is ours, but no event.
var ErrHeader = errors.New("it is the header of a file")

// ParseLine reads a line, without its end. It fails with [ErrNotEvent] or [ErrHeader].
func ParseLine(line []byte) (Line, error) {
	var l Line
	switch kindOf(line) {
	case kindHeader:
		return l, ErrHeader
	case kindEvent, kindLost:
		if err := json.Unmarshal(line, &l); err != nil {
			return Line{}, fmt.Errorf("%w: %w", ErrNotEvent, err)
		}
		return l, nil
	case kindOther:
	}
	return l, ErrNotEvent
}

// Shown is a line that is safe on a terminal, whoever wrote it: characters that could
// move the cursor, end a line or turn the direction of writing are escaped as JSON
// escapes them.
func Shown(line []byte) []byte {
	out := make([]byte, 0, len(line))
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if r == utf8.RuneError && size == 1 || moves(r) {
			out = appendUnicode(out, r)
		} else {
			out = append(out, line[:size]...)
		}
		line = line[size:]
	}
	return out
}

// moves tells characters that do more than stand where they are.
func moves(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional controls
		return true
	}
	return false
}
