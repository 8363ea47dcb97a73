package idp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
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
	issuer  string
	reach   oauth.Reach
	fetches keep.Flights[struct{}, *oauth.ServerMetadata]

	mu   sync.Mutex
	meta *oauth.ServerMetadata
	err  error
	next time.Time // do not fetch before
}

// NewDiscovery makes one of the issuer.
func NewDiscovery(issuer string, reach oauth.Reach) *Discovery {
	return &Discovery{issuer: issuer, reach: reach}
}

// Metadata is what the provider says of itself. It is shared, and not to be changed.
func (d *Discovery) Metadata(ctx context.Context) (*oauth.ServerMetadata, error) {
	if m, ok, err := d.known(); ok {
		return m, err
	}
	return d.fetches.Do(ctx, struct{}{}, discoveryTimeout, func(ctx context.Context) (*oauth.ServerMetadata, error) {
		if m, ok, err := d.known(); ok { // somebody was faster
			return m, err
		}
		return d.took(d.fetch(ctx))
	})
}

// KeysURL is where the provider's keys are, for a token.KeySet.
func (d *Discovery) KeysURL(ctx context.Context) (string, error) {
	m, err := d.Metadata(ctx)
	if err != nil {
		return "", err
	}
	return m.JWKSURI, d.reach.Check("jwks_uri", m.JWKSURI)
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

// fetch asks the provider. A document that is of no use is fetched again, like one that
// is not there.
func (d *Discovery) fetch(ctx context.Context) (*oauth.ServerMetadata, error) {
	m, err := oauth.DiscoverServer(ctx, &d.reach, d.issuer, true)
	if err == nil {
		err = errors.Join(d.reach.Check("authorization endpoint", m.AuthorizationEndpoint), d.reach.Check("token endpoint", m.TokenEndpoint))
	}
	return m, err
}
