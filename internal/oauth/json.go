package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// Lenient reads other people's JSON: a member of the wrong type is as good as absent
// (REQ G-8). What is no object is an error.
func Lenient(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if odd, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && odd.Field != "" {
		err = nil // the others were read
	}
	if text := bytes.TrimLeft(body, " \t\r\n"); err == nil && !bytes.HasPrefix(text, []byte("{")) {
		err = errors.New("it is no object")
	}
	return err
}

// Words are what many write as a list and some as text with spaces.
type Words []string

// UnmarshalJSON takes what is text; it fails for nothing.
func (w *Words) UnmarshalJSON(raw []byte) error {
	*w = nil
	var list []any
	var text string
	if json.Unmarshal(raw, &text) == nil {
		list = append(list, text)
	} else {
		_ = json.Unmarshal(raw, &list)
	}
	for _, item := range list {
		if s, ok := item.(string); ok {
			*w = append(*w, strings.Fields(s)...)
		}
	}
	return nil
}

// Number is a number, which some write as text; not a number where it is something else.
type Number float64

// UnmarshalJSON takes what is a number; it fails for nothing.
func (n *Number) UnmarshalJSON(raw []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	if err != nil {
		f = math.NaN()
	}
	*n = Number(f)
	return nil
}
