package h1

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// head is a parsed answer head.
type head struct {
	status  int
	header  http.Header // without Content-Length and Transfer-Encoding
	length  int64       // of the body; -1 when unknown
	chunked bool
	old     bool // HTTP/1.0
	keep    bool // the connection may be used again
}

// parseHead reads an answer's head, with its empty line, strictly: what programs
// on the way could read in two ways is refused (RFC 9112 §6.3, §11.2).
func parseHead(text string) (head, error) {
	h := head{length: -1}
	line, rest, err := nextLine(text)
	if err != nil {
		return h, err
	}
	if err := h.statusLine(line); err != nil {
		return h, err
	}
	n := strings.Count(rest, "\n")
	h.header = make(http.Header, n)
	values := make([]string, n) // one allocation for all, as net/textproto does
	for {
		if line, rest, err = nextLine(rest); err != nil {
			return h, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !ValidName(name) { // a folded line begins with a blank, which no name does
			return h, ProtocolError("a header line is ill-formed")
		}
		value = strings.Trim(value, " \t")
		if !ValidValue(value) {
			return h, ProtocolError("a header holds a control character")
		}
		name = http.CanonicalHeaderKey(name)
		if used, err := h.frame(name, value); err != nil || used {
			if err != nil {
				return h, err
			}
			continue
		}
		if old, ok := h.header[name]; ok {
			h.header[name] = append(old, value)
			continue
		}
		values[0] = value
		h.header[name], values = values[:1:1], values[1:]
	}
	switch {
	case h.chunked && h.length >= 0:
		return h, ProtocolError("both Content-Length and Transfer-Encoding")
	case h.chunked && h.old:
		return h, ProtocolError("Transfer-Encoding in HTTP/1.0")
	}
	h.keep = !h.old && !wantsClose(h.header["Connection"])
	return h, nil
}

// nextLine cuts a line off. Its end may be CR LF or, as RFC 9112 §2.2 allows for
// heads, LF; a CR elsewhere is caught as a control character.
func nextLine(text string) (line, rest string, err error) {
	line, rest, ok := strings.Cut(text, "\n")
	if !ok {
		return "", "", ProtocolError("the head has no end")
	}
	return strings.TrimSuffix(line, "\r"), rest, nil
}

func (h *head) statusLine(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 || !ValidValue(reason) {
		return ProtocolError("the status line is ill-formed")
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || n < 100 || n > 599 {
		return ProtocolError("the status is none")
	}
	h.status, h.old = int(n), version == "HTTP/1.0"
	return nil
}

// frame takes the headers that say where the body ends and whether the connection
// goes on. used: the header is not for anyone else.
func (h *head) frame(name, value string) (used bool, err error) {
	switch name {
	case "Content-Length":
		if h.length >= 0 {
			return true, ProtocolError("several Content-Length")
		}
		h.length, err = contentLength(value)
		return true, err
	case "Transfer-Encoding":
		if h.chunked || !strings.EqualFold(value, "chunked") {
			return true, ProtocolError("a Transfer-Encoding other than chunked")
		}
		h.chunked = true
		return true, nil
	}
	return false, nil
}

func contentLength(s string) (int64, error) {
	if s == "" || len(s) > 18 {
		return 0, ProtocolError("Content-Length is no length")
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, ProtocolError("Content-Length is no length")
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}

// wantsClose reports whether a Connection header holds the token close.
func wantsClose(values []string) bool {
	for _, list := range values {
		for token := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "close") {
				return true
			}
		}
	}
	return false
}

// keepFor is how long a Keep-Alive header says that the connection may be unused, less
// a little for the way; 0 when it says nothing.
func (h *head) keepFor() time.Duration {
	for _, list := range h.header["Keep-Alive"] {
		for param := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil || !strings.EqualFold(name, "timeout") {
				continue
			}
			said := time.Duration(n) * time.Second
			return max(said-time.Second, said/2, time.Nanosecond)
		}
	}
	return 0
}
