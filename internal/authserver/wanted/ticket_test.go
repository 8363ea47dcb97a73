package wanted_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/wanted"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// A ticket is good for an hour, at its own issuer, as it was made.
func TestTicket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring, err := seal.NewRing()
		if err != nil {
			t.Fatal(err)
		}
		other, err := seal.NewRing()
		if err != nil {
			t.Fatal(err)
		}
		sealed := wanted.SealTicket(ring, "https://a.example", "ada", "github")
		if got := wanted.OpenTicket(ring, "https://a.example", sealed); got == nil || got.Person != "ada" || got.Provider != "github" {
			t.Errorf("the ticket says %+v", got)
		}
		for what, got := range map[string]*wanted.Ticket{
			"another issuer": wanted.OpenTicket(ring, "https://b.example", sealed),
			"another ring":   wanted.OpenTicket(other, "https://a.example", sealed),
			"a changed one":  wanted.OpenTicket(ring, "https://a.example", sealed[:len(sealed)-2]+"xx"),
			"none":           wanted.OpenTicket(ring, "https://a.example", ""),
		} {
			if got != nil {
				t.Errorf("%s: it is good: %+v", what, got)
			}
		}
		time.Sleep(time.Hour - time.Second)
		if wanted.OpenTicket(ring, "https://a.example", sealed) == nil {
			t.Error("it is too old within the hour")
		}
		time.Sleep(2 * time.Second)
		if wanted.OpenTicket(ring, "https://a.example", sealed) != nil {
			t.Error("it is good after an hour")
		}
	})
}
