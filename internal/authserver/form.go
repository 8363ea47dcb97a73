package authserver

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// asked is what a page's form carries that is shown before anybody is signed in: what
// it is about, for one browser and one showing. Nothing is stored before a person has
// answered, so that strangers cannot fill the store.
type asked struct {
	Page    string    `json:"k"` // that the form is posted to
	Browser string    `json:"b"` // hash of the browser's cookie
	Token   string    `json:"t"` // what csrf_token must be
	Expires time.Time `json:"x"`

	Request  *request `json:"r,omitempty"`
	Provider string   `json:"p,omitempty"` // to connect
	Person   string   `json:"w,omitempty"` // who must do it
}

const formPurpose = "authserver form"

// sealForm makes the hidden fields of a form, and sees to it that the browser has the
// cookie they are bound to. False when there is too much to carry.
func (s *Server) sealForm(w http.ResponseWriter, r *http.Request, a *asked) (hidden [][2]string, ok bool) {
	browser := s.cookie(r, cookieForm)
	if browser == "" {
		browser = oauth.NewVerifier()
	}
	s.setCookie(w, cookieForm, browser, flowLife)
	a.Browser, a.Token, a.Expires = hash(browser), oauth.NewVerifier(), time.Now().Add(flowLife)
	body, err := json.Marshal(a)
	if err != nil {
		return nil, false
	}
	sealed := s.records.Ring.Seal(formPurpose, append([]byte(s.issuer+"\n"), body...))
	return [][2]string{{"request", sealed}, {"csrf_token", a.Token}}, sealed != ""
}

// openForm reads a form that was posted. Nil when it is none that this browser was
// shown; then that has been answered.
func (s *Server) openForm(w http.ResponseWriter, r *http.Request, page string) *asked {
	const title = "This page is too old"
	if r.ParseForm() != nil {
		s.refusePage(w, http.StatusBadRequest, title, "What was sent cannot be read. Go back to your application and try again.", errors.New("the form cannot be read"))
		return nil
	}
	a := s.unseal(r.PostForm.Get("request"))
	browser := s.cookie(r, cookieForm)
	if a == nil || a.Page != page || browser == "" || !same(a.Browser, hash(browser)) || !same(a.Token, r.PostForm.Get("csrf_token")) {
		s.refusePage(w, http.StatusForbidden, title, "It was not shown to this browser, or more than ten minutes ago. Go back to your application and try again.",
			errors.New("the form is not from a page that this browser was shown"))
		return nil
	}
	return a
}

func (s *Server) unseal(sealed string) *asked {
	plain, ok := s.records.Ring.Open(formPurpose, sealed)
	if !ok {
		return nil
	}
	issuer, body, _ := strings.Cut(string(plain), "\n")
	var a asked
	if issuer != s.issuer || json.Unmarshal([]byte(body), &a) != nil || time.Now().After(a.Expires) {
		return nil
	}
	return &a
}

// sessionForm reads a form of a page that acts for the person who is signed in. Nil
// when it is none; then that has been answered.
func (s *Server) sessionForm(w http.ResponseWriter, r *http.Request) *session {
	sess := s.session(r)
	if r.ParseForm() != nil || sess == nil || !same(sess.Token, r.PostForm.Get("csrf_token")) {
		s.refusePage(w, http.StatusForbidden, "This page is too old", "You are not signed in any more, or the form was not shown to this browser. Open the page again.", errors.New("nobody is signed in, or the form is another session's"))
		return nil
	}
	return sess
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
