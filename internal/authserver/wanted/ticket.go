package wanted

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Ticket lets a person link a provider to their account: nobody else, and not for long.
type Ticket struct {
	Person   string    `json:"w"`
	Provider string    `json:"p"`
	Expires  time.Time `json:"x"`
}

const (
	ticketPurpose = "authserver ticket"
	ticketLife    = time.Hour
)

// SealTicket makes a ticket of an issuer's, as text for a URL's query; "" where that cannot be.
func SealTicket(ring *seal.Ring, issuer, person, provider string) string {
	body, err := json.Marshal(Ticket{person, provider, time.Now().Add(ticketLife)})
	if err != nil { // text and a time
		return ""
	}
	return ring.Seal(ticketPurpose, append([]byte(issuer+"\n"), body...))
}

// OpenTicket reads a ticket; nil where it is another issuer's, or too old.
func OpenTicket(ring *seal.Ring, issuer, sealed string) *Ticket {
	plain, ok := ring.Open(ticketPurpose, sealed)
	of, body, _ := strings.Cut(string(plain), "\n")
	var t Ticket
	if !ok || of != issuer || json.Unmarshal([]byte(body), &t) != nil || time.Now().After(t.Expires) {
		return nil
	}
	return &t
}
