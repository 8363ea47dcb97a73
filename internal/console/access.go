package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

const (
	cookieName  = "sallyport_console"
	sessionLife = 12 * time.Hour
	maxSessions = 100
	maxForm     = 4 << 10
)

// sessions are browsers that have signed in, by the hash of what their cookie says. They
// end with the process.
type sessions struct {
	mu   sync.Mutex
	ends map[[sha256.Size]byte]time.Time
}

// begin makes a session and returns what its cookie says.
func (s *sessions) begin() string {
	id, now := rand.Text(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = map[[sha256.Size]byte]time.Time{}
	}
	first := sha256.Sum256([]byte(id))
	s.ends[first] = now.Add(sessionLife)
	for key, end := range s.ends {
		if end.Before(now) {
			delete(s.ends, key)
		} else if end.Before(s.ends[first]) {
			first = key
		}
	}
	if len(s.ends) > maxSessions {
		delete(s.ends, first)
	}
	return id
}

// known reports whether a request is of a session.
func (s *sessions) known(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.ends[sha256.Sum256([]byte(c.Value))])
}

// end ends the session of a request.
func (s *sessions) end(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ends, sha256.Sum256([]byte(c.Value)))
	}
}

// askToken shows the form that an operator signs in by.
func (c *Console) askToken(w http.ResponseWriter, status int, problem string) {
	site.Write(w, status, "Sign in to the console", "", func(p *page.Page) {
		if problem != "" {
			p.Warning(problem)
		}
		p.Quiet("With one of the tokens in the file that --admin-token-file names.")
		p.Form(Path+"/sign-in", nil, func() {
			p.Element("label", "Admin token", "for", "token")
			p.Open("input", "id", "token", "name", "token", "type", "password", "autocomplete", "current-password", "required", "", "autofocus", "")
		}, page.Button{Name: "action", Value: "sign-in", Label: "Sign in", Primary: true})
	})
}

// signIn takes a token, and gives the browser a cookie in its place: the token is sent
// once, and a session can end before it does.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	shown, ok := secret.New(r.PostFormValue("token")), false
	for _, t := range c.cfg.Tokens {
		ok = t.Equal(shown) || ok
	}
	if shown.Empty() || !ok {
		c.cfg.Log.Warn("somebody tried to sign in to the console with a wrong token", "client", r.RemoteAddr)
		c.askToken(w, http.StatusUnauthorized, "This is not an admin token of this gateway.")
		return
	}
	c.cfg.Log.Info("somebody signed in to the console", "client", r.RemoteAddr)
	// A cookie is not for one port alone, so the path keeps it from what else is on this
	// host. The listener speaks plain HTTP, where Secure would keep browsers out.
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: c.sessions.begin(), Path: Path, MaxAge: int(sessionLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, Path, http.StatusSeeOther)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	c.sessions.end(r)
	c.drafts.forget(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: Path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, Path, http.StatusSeeOther)
}
