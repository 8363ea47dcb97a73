package credential

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// StepUp means that the person behind the call can mend it: by signing in again, or
// by connecting an account.
type StepUp struct {
	Provider string // whose account is wanted; "" for the sign-in at the gateway itself
	URL      string // where the person goes; "" when signing in again is what helps
	Reason   string // for the log
	// Again notes, where signing in again is what helps, that it has to connect the
	// account; nil where it does so anyway.
	Again func(context.Context)
}

func (s *StepUp) Error() string { return s.Reason }

// Failure is every other reason why there is no credential.
type Failure struct {
	Kind Kind
	// Public is what the client may know: no names of the inside, nothing from the wire.
	Public string
	// Cause is for the log. It holds no secret.
	Cause error
	// RetryAfter is when it is worth coming again, as who was asked says; 0 for soon.
	RetryAfter time.Duration

	answered bool // who was asked answered: what is wrong may be this caller's alone
	doubtful bool // it may be the subject token that was refused
}

func (f *Failure) Error() string { return f.Cause.Error() }

func (f *Failure) Unwrap() error { return f.Cause }

// Kind says who can do something about a failure.
type Kind int

// The kinds.
const (
	Misconfigured Kind = iota + 1 // the operator
	Unavailable                   // time: what was asked is down or slow
	Forbidden                     // nobody: this caller does not get one
)

// asked sorts what asking a token endpoint for a token came to.
//
// Of a subject token that is no good RFC 8693 §2.2.2 wants invalid_request, which
// also stands for a request that is wrong in itself; servers in the field say
// invalid_grant or invalid_token. These two, and Entra's interaction_required, are
// the caller's to mend by signing in again. invalid_request is taken for the
// operator's fault, unless the token is of a linked account: see [renewing].
func asked(err error, sent ...secret.Value) error {
	refused, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		_, unreached := errors.AsType[*netguard.Unreachable](err)
		return &Failure{
			Kind: Unavailable, Public: "the authorization server cannot be reached or does not answer as it should; try again soon", Cause: err,
			answered: !unreached,
		}
	}
	cause := errors.New("the token endpoint refused: " + scrub(refused.Error(), sent))
	switch refused.Code {
	case oauth.CodeInvalidGrant, "invalid_token", oauth.CodeInteractionRequired, "login_required":
		return &StepUp{Reason: cause.Error()}
	case oauth.CodeAccessDenied:
		return &Failure{Kind: Forbidden, Public: "the authorization server gives this caller no token for the backend", Cause: cause}
	}
	if refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusRequestTimeout {
		return &Failure{
			Kind: Unavailable, Public: "the authorization server is busy or failing; try again soon", Cause: cause,
			RetryAfter: refused.RetryAfter, answered: true,
		}
	}
	return &Failure{
		Kind: Misconfigured, Public: "the authorization server refused the gateway's request; its operator finds the reason in the log", Cause: cause,
		doubtful: refused.Code == oauth.CodeInvalidRequest,
	}
}

// isRefusal reports whether somebody looked at the request and said no.
func isRefusal(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	return !ok || f.Kind != Unavailable
}

// scrub takes out of a stranger's text what was sent to it, as servers quote that in
// their errors, whole or cut short, and every other word that looks like a token.
func scrub(text string, sent []secret.Value) string {
	for _, s := range sent {
		if !s.Empty() {
			text = strings.ReplaceAll(text, s.Reveal(), "[redacted]")
		}
	}
	const longest = 20 // of a word that people write
	return strings.Join(redactRuns(text, longest), "")
}

// redactRuns splits text into runs of characters that tokens are made of and runs of
// others, and replaces those of the first kind that are longer than limit.
func redactRuns(text string, limit int) []string {
	var parts []string
	for text != "" {
		inside := tokenRune(rune(text[0]))
		n := strings.IndexFunc(text, func(r rune) bool { return tokenRune(r) != inside })
		if n < 0 {
			n = len(text)
		}
		run := text[:n]
		if inside && n > limit && strings.ContainsFunc(run, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			run = "[redacted]"
		}
		parts, text = append(parts, run), text[n:]
	}
	return parts
}

func tokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/=%", r)
}
