package wanted

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/records"
)

// life is how long after a call that lacked an account a sign-in asks for it.
const life = 10 * time.Minute

// most bounds what is noted for one provider.
const most = 16

// Clients are those whose calls lacked an account, by its provider.
type Clients map[string][]string

// Notes are one authorization server's. What cannot be noted or read is logged and left: it costs a person another
// sign-in, and no more.
type Notes struct {
	Records *records.Records
	Log     *slog.Logger
	Issuer  string
}

// Add notes that a client's call lacked its person's account at a provider.
func (n *Notes) Add(ctx context.Context, person, client, provider string) {
	noted := n.Of(ctx, person)
	if slices.Contains(noted[provider], client) || len(noted[provider]) >= most {
		return
	}
	if noted == nil {
		noted = Clients{}
	}
	noted[provider] = append(noted[provider], client)
	if err := n.Records.Put(ctx, n.key(person), noted, life); err != nil {
		n.Log.Warn("wish for an account not noted", "issuer", n.Issuer, "provider", provider, "error", err)
	}
}

// Of is what is noted for a person.
func (n *Notes) Of(ctx context.Context, person string) (c Clients) {
	if _, err := n.Records.Get(ctx, n.key(person), &c); err != nil && !errors.Is(err, records.ErrGone) {
		n.Log.Warn("wishes for accounts not read", "issuer", n.Issuer, "error", err)
	}
	return c
}

// Forget takes what is noted for a person away.
func (n *Notes) Forget(ctx context.Context, person string) { n.Records.Remove(ctx, n.key(person)) }

func (n *Notes) key(person string) string { return n.Records.Key("wanted", person) }
