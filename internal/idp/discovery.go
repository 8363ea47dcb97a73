package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

const (
	discoveryFresh   = time.Hour
	discoveryPause   = 2 * time.Second // after a failure; those who ask meanwhile hear of it at once
	discoveryTimeout = 10 * time.Second
)

// Discovery knows a provider's endpoints by its own word (OpenID Connect Discovery
// §4, RFC 8414). Nothing is fetched before somebody asks, so that a provider that is
// down keeps nobody from starting; what was found once goes on while the provider
// fails.
type Discovery struct {
	issuer string
	reach  Reach
	turn   chan struct{} // holds one token: whoever has it may fetch

	mu   sync.Mutex
	meta *oauth.ServerMetadata
	err  error
	next time.Time // do not fetch before
}

// NewDiscovery makes one of the issuer.
func NewDiscovery(issuer string, reach Reach) *Discovery {
	return &Discovery{issuer: issuer, reach: reach, turn: make(chan struct{}, 1)}
}

// Metadata is what the provider says of itself. It is shared, and not to be changed.
func (d *Discovery) Metadata(ctx context.Context) (*oauth.ServerMetadata, error) {
	if m, ok, err := d.known(); ok {
		return m, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m, ok, err := d.known(); ok { // somebody else had the turn
		return m, err
	}
	limited, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	m, err := d.fetch(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it was not the provider who gave up
	}
	return d.took(m, err)
}

// KeysURL is where the provider's keys are, for a token.KeySet.
func (d *Discovery) KeysURL(ctx context.Context) (string, error) {
	m, err := d.Metadata(ctx)
	if err != nil {
		return "", err
	}
	return m.JWKSURI, d.reach.check("jwks_uri", m.JWKSURI)
}

// known is what needs no fetch.
func (d *Discovery) known() (m *oauth.ServerMetadata, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !time.Now().Before(d.next) {
		return nil, false, nil
	}
	if d.meta != nil {
		return d.meta, true, nil
	}
	return nil, true, d.err
}

func (d *Discovery) took(m *oauth.ServerMetadata, err error) (*oauth.ServerMetadata, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if err != nil {
		d.next = now.Add(discoveryPause)
		d.err = err
		if d.meta != nil {
			return d.meta, nil
		}
		return nil, err
	}
	d.meta, d.err, d.next = m, nil, now.Add(discoveryFresh)
	return m, nil
}

// fetch asks at each place where an issuer's document may be, OpenID's first. One
// that is about another issuer could send people to an attacker's endpoints (RFC 8414
// §3.3), so it ends the search.
func (d *Discovery) fetch(ctx context.Context) (*oauth.ServerMetadata, error) {
	places, err := discoveryPlaces(d.issuer)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, at := range places {
		if err := d.reach.check("issuer", at); err != nil {
			return nil, err
		}
		var m oauth.ServerMetadata
		err := oauth.GetJSON(ctx, d.reach.Client, at, &m)
		switch {
		case err != nil:
			failed = append(failed, err)
			if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Status < http.StatusInternalServerError {
				continue // it answered, and has nothing there
			}
			return nil, fmt.Errorf("discover the endpoints: %w", err)
		case m.Issuer != d.issuer:
			return nil, fmt.Errorf("discover the endpoints: %s is about the issuer %q, not %q; a trailing slash counts", at, oauth.Printable(m.Issuer, 200), d.issuer)
		default:
			// A document that is of no use is fetched again, like one that is not there.
			if err := errors.Join(d.reach.check("authorization endpoint", m.AuthorizationEndpoint), d.reach.check("token endpoint", m.TokenEndpoint)); err != nil {
				return nil, fmt.Errorf("discover the endpoints: %s: %w", at, err)
			}
			return &m, nil
		}
	}
	return nil, fmt.Errorf("discover the endpoints: %w", errors.Join(failed...))
}

func discoveryPlaces(issuer string) ([]string, error) {
	all, err := oauth.ServerMetadataURLs(issuer)
	if err != nil {
		return nil, fmt.Errorf("discover the endpoints: %w", err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("discover the endpoints: %w", err)
	}
	first := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/") + "/.well-known/openid-configuration"}).String()
	places := []string{first}
	for _, at := range all {
		if at != first {
			places = append(places, at)
		}
	}
	return places, nil
}
