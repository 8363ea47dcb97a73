package authn

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// ServiceAccounts admits tokens of a cluster's service accounts alone, and of those
// some.
type ServiceAccounts struct {
	Checker   Checker
	Namespace string // "" for any
	Name      string // "" for any
}

// Check verifies a token.
func (s ServiceAccounts) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	caller, err := s.Checker.Check(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	return s.Admit(caller)
}

// Admit is the account that a caller is, with the groups that the API server gives
// it, unless the claims say others. The error is a *token.Invalid.
func (s ServiceAccounts) Admit(caller *identity.Caller) (*identity.Caller, error) {
	account, ok := strings.CutPrefix(caller.Subject, "system:serviceaccount:")
	namespace, name, two := strings.Cut(account, ":")
	if !ok || !two || namespace == "" || name == "" || strings.Contains(name, ":") {
		return nil, &token.Invalid{Reason: "its subject is no service account"}
	}
	if s.Namespace != "" && namespace != s.Namespace || s.Name != "" && name != s.Name {
		return nil, &token.Invalid{Reason: "it is of another service account"}
	}
	c := *caller
	if c.Name == "" {
		c.Name = name
	}
	if len(c.Groups) == 0 {
		c.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
	}
	return &c, nil
}
