package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/people"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// identity is what the server knows of a person: what the primary provider said.
type identity struct {
	Subject string `json:"s"`
	Name    string `json:"n,omitempty"`
	Email   string `json:"e,omitempty"`
	// Verified is what the provider says of the address; false where it says nothing.
	Verified bool     `json:"v,omitempty"`
	Groups   []string `json:"g,omitempty"`
	Roles    []string `json:"r,omitempty"`
}

// title is what people see of themselves.
func (i *identity) title() string {
	switch {
	case i.Name != "" && i.Email != "":
		return i.Name + " (" + i.Email + ")"
	case i.Name != "":
		return i.Name
	case i.Email != "":
		return i.Email
	}
	return i.Subject
}

// session is a browser in which a person is signed in.
type session struct {
	Person identity  `json:"p"`
	At     time.Time `json:"t"` // when a provider authenticated them
	Token  string    `json:"c"` // for forms of pages that act for the person
	key    string
}

// The server's cookies. Where they can be, they are bound to the host by their name
// (RFC 6265bis §4.1.3.2): neither a sister domain nor plain http can set one.
const (
	cookieForm    = "form"    // the browser that was shown a form
	cookieFlow    = "flow"    // one per chain, set after consent
	cookieSession = "session" // a person is signed in
)

func (s *Server) cookieName(kind string) string {
	name := "sallyport-" + kind + "-" + s.id
	if s.secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) setCookie(w http.ResponseWriter, kind, value string, life time.Duration) {
	age := int(life.Seconds())
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(kind), Value: value, Path: "/", MaxAge: age,
		Secure: s.secure, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // strict would keep it away when a provider sends the browser back
	})
}

// cookie is the value of a cookie, "" without one. Of two with one name one is
// somebody else's doing, so neither counts.
func (s *Server) cookie(r *http.Request, kind string) string {
	found := r.CookiesNamed(s.cookieName(kind))
	if len(found) != 1 || len(found[0].Value) > 128 {
		return ""
	}
	return found[0].Value
}

// session is the browser's, nil when nobody is signed in.
func (s *Server) session(r *http.Request) *session {
	value := s.cookie(r, cookieSession)
	if value == "" {
		return nil
	}
	sess := session{key: s.records.Key("session", value)}
	if _, err := s.records.Get(r.Context(), sess.key, &sess); err != nil {
		return nil
	}
	return &sess
}

// signIn makes the browser one in which a person is signed in. What it was before
// ends, so that nobody can prepare a session for somebody else to sign in to.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, who identity, at time.Time) error {
	before := ""
	if value := s.cookie(r, cookieSession); value != "" {
		before = s.records.Key("session", value)
		s.records.Remove(r.Context(), before)
	}
	value := oauth.NewVerifier()
	key := s.records.Key("session", value)
	sess := session{Person: who, At: at, Token: oauth.NewVerifier()}
	if err := s.records.Put(r.Context(), key, sess, s.lifespans.Session); err != nil {
		return err
	}
	if err := s.people().Change(r.Context(), who.Subject, func(p *people.Person) {
		p.Title = who.title()
		p.Browsers = slices.DeleteFunc(p.Browsers, func(b people.Browser) bool { return b.Session == before })
		p.Browsers = append(p.Browsers, people.Browser{Session: key, Name: page.Browser(r.UserAgent()), At: at})
	}); err != nil {
		return err
	}
	s.setCookie(w, cookieSession, value, s.lifespans.Session)
	return nil
}

// hash names a secret without being it.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func personOf(p *idp.Person) identity {
	who := identity{
		Subject: p.Subject, Name: p.Name, Email: p.Email, Verified: p.EmailVerified,
		Groups: slices.Clone(p.Groups), Roles: slices.Clone(p.Roles),
	}
	if p.EmailUnverified {
		who.Email = "" // anybody can give an address that is somebody else's, and policies go by it
	}
	return who
}
