package identity

import "time"

// Caller is who is calling. It is made once, by whoever proved it, and never
// changed: steps run at different times, caches share it, and all of them must
// mean the same person.
type Caller struct {
	// Subject names the caller within Source and Issuer.
	Subject string
	// Source says how the gateway knows. It is chosen by the gateway, never by the
	// caller, and holds no NUL byte.
	Source string
	// Issuer is who vouches for the subject, where several could: a token's issuer.
	Issuer string

	ClientID string // the OAuth client the caller uses, as its token says
	Email    string
	Name     string
	Groups   []string
	Roles    []string
	Scopes   []string

	// Claims are the verified claims that the rest was read from; nil where there
	// were none.
	Claims map[string]any
	// Expires is when the proof ends; zero for one that does not.
	Expires time.Time
}

// The sources of a caller's identity.
const (
	SourceAnonymous     = "anonymous"     // nothing was proved
	SourceJWT           = "jwt"           // a token, by its signature
	SourceIntrospection = "introspection" // an opaque token, by its issuer's word
	SourceProxy         = "proxy"         // a header of a proven reverse proxy
	SourceAssertion     = "assertion"     // a reverse proxy's signed assertion
	SourceCertificate   = "certificate"   // a TLS client certificate
)

// Anonymous is the caller where nobody has to say who they are (REQ A-1).
func Anonymous() *Caller { return &anonymous }

var anonymous = Caller{Subject: "anonymous", Source: SourceAnonymous}

const anonymousKey = SourceAnonymous + "\x00\x00anonymous"

// Key tells callers apart, for what belongs to one caller alone, such as a
// session: the same subject from another source or issuer is somebody else. It is
// not for display.
func (c *Caller) Key() string {
	if c == &anonymous {
		return anonymousKey
	}
	return c.Source + "\x00" + c.Issuer + "\x00" + c.Subject
}
