package authserver

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// family is all that one sign-in of a client gave: a line of refresh tokens, of which
// the last one is good, and the access tokens. It ends as a whole.
//
// A refresh token is the family and a generation, sealed: nothing is looked up for
// what somebody made up, and the successor of a token can be made again. The token
// before the last one gets that same successor again while nobody can have received
// it, and for the overlap after that: processes that share a token stay signed in
// (REQ D-10). Later it is a near miss, which ends the line and leaves access tokens to
// their time; shown once more, or a token that is older still, it shows that somebody
// else has it too, and everything ends (RFC 9700 §4.14.2).
type family struct {
	Client     string    `json:"c,omitempty"`
	Person     identity  `json:"p"`
	At         time.Time `json:"t"`          // when the person was authenticated
	Began      time.Time `json:"b,omitzero"` // when the code was redeemed
	Audience   string    `json:"a,omitempty"`
	Scopes     []string  `json:"o,omitempty"`
	Generation int       `json:"g,omitempty"`
	Answered   time.Time `json:"d"` // when the client got this generation; zero if not, as far as is known
	Ended      bool      `json:"e,omitempty"`
	Missed     bool      `json:"m,omitempty"` // ended by a near miss: its access tokens go on
}

const refreshPurpose = "authserver refresh"

func (s *Server) newFamilyID() string { return s.era + oauth.NewVerifier()[:22] }

func (s *Server) familyKey(id string) string { return s.records.Key("family", id) }

func (s *Server) sealRefresh(id string, generation int) string {
	return s.records.Ring.SealSame(refreshPurpose, []byte(s.issuer+"\n"+id+"\n"+strconv.Itoa(generation)))
}

func (s *Server) openRefresh(token string) (id string, generation int, ok bool) {
	plain, ok := s.records.Ring.Open(refreshPurpose, token)
	if !ok {
		return "", 0, false
	}
	parts := strings.Split(string(plain), "\n")
	if len(parts) != 3 || parts[0] != s.issuer {
		return "", 0, false
	}
	generation, err := strconv.Atoi(parts[2])
	return parts[1], generation, err == nil
}

// current tells whether a generation may be used by a request that arrived then: the
// last one, or the one before while processes that share it may still have it.
func (s *Server) current(id string, f *family, generation int, arrived time.Time) bool {
	if generation != f.Generation-1 {
		return generation == f.Generation
	}
	at := f.Answered
	if at.IsZero() {
		at = s.answered.at(id, f.Generation)
	}
	return at.IsZero() || arrived.Before(at.Add(s.lifespans.Overlap))
}

// reused ends the sign-in of a refresh token that should not be about any more, as far
// as that shows that somebody else has it.
func (s *Server) reused(req *tokenRequest, id string, f *family, generation int) error {
	by := req.client.ID
	reason, what := "reused", "refresh token used again long after it was replaced; its sign-in ends"
	switch {
	case f.Client != by:
		reason, what = "other_client", "refresh token used by another client; its sign-in ends"
	case !f.Ended && generation == f.Generation-1:
		reason, what = "near_miss", "refresh token used again after refreshOverlap; the application has to sign in again, and its access tokens end by themselves"
	}
	s.log.Warn(what, "issuer", s.issuer, "client", oauth.Printable(by, 200), "subject", f.Person.Subject)
	s.record(req.http, event{method: eventReuse, subject: f.Person.Subject, client: by, target: f.Audience, reason: reason})
	ctx := req.http.Context()
	if reason == "near_miss" {
		return s.records.Put(ctx, s.familyKey(id), family{Client: f.Client, Person: f.Person, Ended: true, Missed: true}, s.lifespans.Refresh)
	}
	return s.endFamily(ctx, id)
}

// endFamily ends the refresh tokens of a family, and its access tokens at every
// endpoint. The record stays, so that a code whose redemption is under way finds the
// place taken.
func (s *Server) endFamily(ctx context.Context, id string) error {
	if err := s.records.Put(ctx, s.familyKey(id), family{Ended: true}, s.lifespans.Refresh); err != nil {
		return err
	}
	return s.revoked.Add(ctx, id)
}

// delivered notes that a client was answered: in this process before the answer is
// written, so that no request which follows it can come too early; in the store after
// it, off the client's time. Were the process to end in between, the store would say
// that the answer was lost, which at worst gives it once more.
func (s *Server) delivered(ctx context.Context, id string, generation int, before bool) {
	if before {
		s.answered.add(id, generation)
		return
	}
	defer s.answered.remove(id, generation)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var f family
	stored, err := s.records.Get(ctx, s.familyKey(id), &f)
	if err == nil && f.Generation == generation && !f.Ended {
		f.Answered = s.answered.at(id, generation)
		_, err = s.records.Swap(ctx, s.familyKey(id), stored, f, s.lifespans.Refresh)
	}
	if err != nil {
		s.log.Warn("answer not noted; the refresh token before it stays good until the new one is used", "issuer", s.issuer, "error", err)
	}
}

// answered are the answers that the store does not know of yet. The zero value is ready.
type answered struct {
	mu  sync.Mutex
	all map[string]answer
}

type answer struct {
	generation int
	at         time.Time
}

// at is when a client got a generation; zero when it did not, or the store knows.
func (a *answered) at(id string, generation int) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found := a.all[id]; found.generation == generation {
		return found.at
	}
	return time.Time{}
}

// add keeps the first time, when the same generation is answered twice.
func (a *answered) add(id string, generation int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]answer{}
	}
	if a.all[id].generation != generation {
		a.all[id] = answer{generation, time.Now()}
	}
}

func (a *answered) remove(id string, generation int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[id].generation == generation {
		delete(a.all, id)
	}
}
