package authserver

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	caller "github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// The methods of audit events (REQ G-5).
const (
	eventRegister = "oauth/register"
	eventSignIn   = "oauth/sign_in"
	eventConsent  = "oauth/consent"
	eventToken    = "oauth/token" //nolint:gosec // the name of an event
	eventRefresh  = "oauth/refresh"
	eventReuse    = "oauth/reuse"
	eventRevoke   = "oauth/revoke"
	eventLink     = "account/link"
	eventUnlink   = "account/unlink"
	eventSignOut  = "account/sign_out"
)

// event is what happened to whom; the zero value of a field says nothing.
type event struct {
	method   string
	source   string // how it is known who that is; "" where the server knows it itself
	subject  string
	client   string // that was proved, or is the one that people decide about
	provider string
	target   string // the audience of a token
	reason   string // why not; "" for success
}

// record writes an event down. What failed for a reason of the server's own is an
// error, all other reasons are its no.
func (s *Server) record(r *http.Request, e event) {
	ev := audit.Event{
		Time: time.Now(), ID: rand.Text(), Server: s.name, Method: e.method, Target: e.target, Subject: e.subject,
		Source: caller.SourceAnonymous, Outcome: audit.Success, Status: http.StatusOK, Reason: e.reason,
		ClientID: e.client, Provider: e.provider,
	}
	if e.subject != "" {
		ev.Source = cmp.Or(e.source, caller.SourceJWT)
	} else {
		ev.Subject = caller.SourceAnonymous
	}
	switch e.reason {
	case "":
	case oauth.CodeServerError:
		ev.Outcome, ev.Status = audit.Error, http.StatusServiceUnavailable
	default:
		ev.Outcome, ev.Status = audit.Denied, http.StatusBadRequest
	}
	ev.Client = r.RemoteAddr
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		ev.Client = host
	}
	s.audit.Record(&ev)
}

// recordToken writes down what came of a request at the token endpoint.
func (s *Server) recordToken(req *tokenRequest, i *issue, err error) {
	e := event{method: eventToken, reason: reasonOf(err)}
	if req.form.Get("grant_type") == grantRefresh {
		e.method = eventRefresh
	}
	if req.client != nil {
		e.client = req.client.ID
	}
	if err == nil {
		e.subject, e.client, e.target = i.person.Subject, i.client, i.audience
	}
	s.record(req.http, e)
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return refused.Code
	}
	return oauth.CodeServerError
}

func errNoRoom() *oauth.Error {
	return &oauth.Error{Code: oauth.CodeServerError, Description: "it cannot be audited now, so nothing was done; try again soon", Status: http.StatusServiceUnavailable}
}

// reserve makes sure that what a request does can be written down, before it does it.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request) bool {
	err := s.audit.Reserve(r.Context())
	if err != nil {
		s.log.Error("request to the authorization server refused: it cannot be audited", "issuer", s.issuer, "path", r.URL.Path, "error", err)
		w.Header().Set("Retry-After", "5")
	}
	return err == nil
}
