package mcp

import (
	"bytes"
	"net/http"
	"strconv"
)

// scan measures what the JSON reader does not: how deep containers are nested, how
// many members objects have and how long numbers are. It goes over the text outside
// strings and needs no valid JSON: as far as the text is valid, both see the same
// strings.
//
// tooMuch is an error that ends the reading, since the reader's own recursion and
// memory are what it protects; badNumber is one that waits until the text is known
// to be JSON.
func scan(raw []byte, lim Limits) (tooMuch, badNumber *Error) {
	var few [129]int32 // members of each open container
	members := few[:]
	if lim.MaxDepth >= len(few) {
		members = make([]int32, lim.MaxDepth+1)
	}
	depth, all := 0, 0
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			i = stringEnd(raw, i)
		case c == '{' || c == '[':
			if depth++; depth > lim.MaxDepth {
				return invalid("message is nested more than %d levels deep", lim.MaxDepth), nil
			}
			members[depth] = 0
			i++
		case c == '}' || c == ']':
			depth = max(0, depth-1)
			i++
		case c == ':':
			all++
			if members[depth]++; int(members[depth]) > lim.MaxObjectMembers {
				return invalid("an object of the message has more than %d members", lim.MaxObjectMembers), nil
			}
			if all > lim.MaxMembers {
				return invalid("message has more than %d members in all its objects", lim.MaxMembers), nil
			}
			i++
		case c == '-' || (c >= '0' && c <= '9'):
			end := numberEnd(raw, i)
			if badNumber == nil {
				badNumber = checkNumber(raw[i:end], lim)
			}
			i = end
		default:
			i++
		}
	}
	return nil, badNumber
}

func invalid(format string, limit int) *Error {
	return Errorf(http.StatusBadRequest, CodeInvalidRequest, format, limit)
}

// stringEnd is the index after the string that begins at raw[i].
func stringEnd(raw []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return len(raw)
		}
		quote := i + n
		escapes := 0
		for j := quote - 1; j >= i && raw[j] == '\\'; j-- {
			escapes++
		}
		i = quote + 1
		if escapes%2 == 0 {
			return i
		}
	}
}

func numberEnd(raw []byte, i int) int {
	for ; i < len(raw); i++ {
		switch c := raw[i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return i
		}
	}
	return i
}

// checkNumber refuses numbers that readers disagree on: those that overflow a
// float64, and those so long that some give up on them (RFC 8259 §6).
func checkNumber(n []byte, lim Limits) *Error {
	if len(n) > lim.MaxNumberLen {
		return invalid("message has a number of more than %d characters", lim.MaxNumberLen)
	}
	const always = 300 // so many digits fit a float64 whatever they are
	if len(n) <= always && bytes.IndexByte(n, 'e') < 0 && bytes.IndexByte(n, 'E') < 0 {
		return nil
	}
	if _, err := strconv.ParseFloat(string(n), 64); err != nil {
		return Errorf(http.StatusBadRequest, CodeInvalidRequest, "message has a number that is out of range")
	}
	return nil
}
