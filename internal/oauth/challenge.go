package oauth

import (
	"net/http"
	"strings"
)

// AuthChallenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
type AuthChallenge struct {
	Scheme string // lower case
	Params map[string]string
}

// ParseChallenges reads every challenge of an answer's header. What cannot be read
// is left out, and everything behind it.
func ParseChallenges(h http.Header) []AuthChallenge {
	var all []AuthChallenge
	for _, line := range h.Values("WWW-Authenticate") {
		p := challengeParser{rest: line}
		for {
			c, ok := p.challenge()
			if !ok {
				break
			}
			all = append(all, c)
		}
	}
	return all
}

// Bearer is the first Bearer challenge of an answer; ok is false without one.
func Bearer(h http.Header) (c AuthChallenge, ok bool) {
	for _, c := range ParseChallenges(h) {
		if c.Scheme == "bearer" {
			return c, true
		}
	}
	return AuthChallenge{}, false
}

type challengeParser struct{ rest string }

// challenge reads scheme, space, and parameters separated by commas, up to the next
// word that is followed by a space and not by an equals sign: the next scheme.
func (p *challengeParser) challenge() (AuthChallenge, bool) {
	p.skip(" \t,")
	scheme := p.token()
	if scheme == "" {
		return AuthChallenge{}, false
	}
	c := AuthChallenge{Scheme: strings.ToLower(scheme), Params: map[string]string{}}
	for {
		p.skip(" \t,")
		before := p.rest
		name := strings.ToLower(p.token())
		p.skip(" \t")
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			p.rest = before // the next scheme, or the end
			return c, true
		}
		p.rest = p.rest[1:]
		p.skip(" \t")
		value, ok := p.value()
		if !ok {
			p.rest = ""
			return c, true
		}
		if _, twice := c.Params[name]; !twice {
			c.Params[name] = value
		}
	}
}

func (p *challengeParser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

func (p *challengeParser) token() string {
	n := strings.IndexFunc(p.rest, func(r rune) bool { return !isTokenRune(r) })
	if n < 0 {
		n = len(p.rest)
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

func isTokenRune(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func (p *challengeParser) value() (string, bool) {
	if !strings.HasPrefix(p.rest, `"`) {
		v := p.token()
		return v, v != ""
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
