package clients

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// carried is a registration as the client's id carries it, sealed: nothing is stored of
// it, so that strangers fill no store, a restart forgets nobody, and the same client
// gets the same id again. What is usual is left out, to keep the id short.
type carried struct {
	Issuer   string   `json:"i"` // the beginning of its digest
	Name     string   `json:"n,omitempty"`
	Page     string   `json:"p,omitempty"`
	Redirect []string `json:"r,omitempty"`
	Grants   []string `json:"g,omitempty"` // none for code and refresh token
	Method   string   `json:"m,omitempty"` // none for none
	Scope    string   `json:"s,omitempty"`
	Web      bool     `json:"w,omitempty"`
	KeysAt   string   `json:"k,omitempty"`
	Secret   []byte   `json:"c,omitempty"`
	Access   []byte   `json:"a,omitempty"`
	At       int64    `json:"t,omitempty"`
}

const (
	carriedPurpose = "client id"
	maxCarried     = 1024 // longer ids are too much for addresses and tokens
	maxID          = 2048
)

// carriedID is the id that carries a registration; "" when there is too much to carry.
func (r *Registry) carriedID(rec *record) string {
	m := &rec.Metadata
	if m.JWKS != nil {
		return ""
	}
	c := carried{
		Issuer: r.scope[:8], Name: m.Name, Page: m.URI, Redirect: m.RedirectURIs, Grants: m.GrantTypes, Scope: m.Scope,
		Web: m.ApplicationType == Web, KeysAt: m.JWKSURI, Secret: rec.Secret, Access: rec.Access,
	}
	if slices.Equal(m.GrantTypes, usualGrants()) {
		c.Grants = nil
	}
	if m.AuthMethod != oauth.AuthNone {
		c.Method = m.AuthMethod
	}
	if rec.Access != nil {
		c.At = rec.Registered.Unix()
	}
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	if id := r.cfg.Ring.SealSame(carriedPurpose, text); len(id) <= maxCarried {
		return id
	}
	return ""
}

func usualGrants() []string { return []string{grantCode, grantRefresh} }

// carriedBy reads a registration out of a client's id; nil for an id that carries none,
// or one that could not be registered any more.
func (r *Registry) carriedBy(id string) *record {
	text, ok := r.cfg.Ring.Open(carriedPurpose, id)
	var c carried
	if !ok || json.Unmarshal(text, &c) != nil || c.Issuer != r.scope[:8] || r.cfg.Registration.Disabled || r.elsewhere(c.Redirect) != "" {
		return nil
	}
	rec := &record{
		ID: id, Carried: true, Secret: c.Secret, Access: c.Access, Registered: time.Unix(c.At, 0),
		Metadata: metadata{
			Name: c.Name, URI: c.Page, RedirectURIs: c.Redirect, GrantTypes: c.Grants, AuthMethod: c.Method, Scope: c.Scope,
			ApplicationType: Native, JWKSURI: c.KeysAt,
		},
	}
	m := &rec.Metadata
	if m.GrantTypes == nil {
		m.GrantTypes = usualGrants()
	}
	if m.AuthMethod == "" {
		m.AuthMethod = oauth.AuthNone
	}
	if c.Web {
		m.ApplicationType = Web
	}
	if slices.Contains(m.GrantTypes, grantCode) {
		m.ResponseTypes = []string{responseCode}
	}
	return rec
}

// elsewhere is the first host of redirect URIs that clients which register themselves
// may not send answers to; "" for none. The person's own machine is no host.
func (r *Registry) elsewhere(uris []string) string {
	for _, uri := range uris {
		if to, err := parseRedirect(uri); err != nil || to != targetWeb {
			continue
		}
		if u, err := url.Parse(uri); err != nil || !allowedHost(r.cfg.Registration.RedirectHosts, strings.ToLower(u.Host)) {
			return u.Host
		}
	}
	return ""
}
