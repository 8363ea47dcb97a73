package upstream

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Sharing tells apart whose calls reach the server differently: by the caller and the
// token where it is shown what is made of them, and by the headers that pass. What is
// kept of the server is shared by all others (REQ G-1).
func (u *Upstream) Sharing(caller *identity.Caller, token secret.Value, captured http.Header) [sha256.Size]byte {
	return Sharing(u.PerCaller(), caller, token, captured)
}

// Sharing does so for several servers: perCaller says that one of them is shown something
// that is made of the caller.
func Sharing(perCaller bool, caller *identity.Caller, token secret.Value, captured http.Header) (common [sha256.Size]byte) {
	if !perCaller && len(captured) == 0 {
		return common
	}
	h := sha256.New()
	write := func(s string) { _, _ = h.Write(append(strconv.AppendInt(nil, int64(len(s)), 10), ":"+s...)) }
	if perCaller {
		write(caller.Key())
		write(token.Reveal())
	}
	for _, name := range slices.Sorted(maps.Keys(captured)) {
		write(name)
		for _, v := range captured[name] {
			write(v)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// PerCaller reports whether the server is shown something that is made of the caller.
func (u *Upstream) PerCaller() bool {
	if u.Credential == nil {
		return false
	}
	_, own := u.Credential.(*credential.Account) // the gateway's, for everybody
	return !own
}

// State is the server as it is. tools is what clients see of its tools, nil for all.
func (u *Upstream) State(tools *ToolView) MemberState {
	s := MemberState{Name: u.Name, Status: u.Health.String(), Why: u.Health.Why(), Last: u.Health.Last()}
	if x, ok := u.Credential.(*credential.Exchange); ok {
		now := x.State()
		s.Exchange = &now
	}
	if u.Lock == nil {
		return s
	}
	s.Drift = u.Lock.Drift
	changed := u.Lock.Changed()
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if tools == nil || tools.Shown(name) {
			s.Changed = append(s.Changed, ToolChange{name, changed[name]})
		}
	}
	return s
}
