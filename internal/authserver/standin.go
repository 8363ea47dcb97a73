package authserver

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// Account is a linked account, for pages.
type Account struct {
	Provider, Subject, Name, Email string
	Scopes                         []string
	Linked, Expires                time.Time
	CanRefresh                     bool
}

// Who is the person as a provider knows them.
type Who struct{ Subject, Name, Email string }

// Accounts keep what providers gave for people.
type Accounts interface {
	Link(ctx context.Context, person, provider string, who Who, t *oauth.Tokens) error
	List(ctx context.Context, person string) ([]Account, error)
	Unlink(ctx context.Context, person, provider string) error
}
