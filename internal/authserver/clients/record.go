package clients

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// How long a registration lasts that is stored, and how many there may be. One that
// was never used is soon gone; one that is used is renewed. Most are not stored at all:
// their id carries them.
const (
	unusedFor   = 7 * 24 * time.Hour
	usedFor     = 90 * 24 * time.Hour
	renewEvery  = 24 * time.Hour // one write per client and day
	maxStored   = 2_000
	countEvery  = time.Minute
	settlesFor  = time.Hour // a sign-in that began with a registration is over by then
	registrants = "registered"
)

// record is a registered client, as its id carries it or as it is stored. Secrets are
// there as hashes: they have 256 bits of chance, so that a plain hash is as good as a
// slow one.
type record struct {
	ID         string    `json:"id"`
	Metadata   metadata  `json:"metadata"`
	Secret     []byte    `json:"secret,omitempty"` // SHA-256
	Access     []byte    `json:"access"`           // SHA-256 of the registration access token; none for who has none
	Registered time.Time `json:"registered"`
	Used       time.Time `json:"used,omitzero"` // when tokens were issued, to the day
	// Carried: the id carries what was registered first, and what is stored is what
	// became of it since. It stays, or the first would be good again.
	Carried bool `json:"carried,omitempty"`
	Removed bool `json:"removed,omitempty"`
}

func (rec *record) client() *Client {
	c := rec.Metadata.client(rec.ID)
	if !rec.Carried {
		c.Registered, c.used = rec.Registered, rec.Used
	}
	if len(rec.Secret) == sha256.Size {
		c.secrets = append(c.secrets, [sha256.Size]byte(rec.Secret))
	}
	return c
}

// ttl is how long the record lasts from now; 0 for always.
func (rec *record) ttl(now time.Time) time.Duration {
	switch {
	case rec.Carried:
		return 0
	case rec.Used.IsZero():
		return max(time.Second, rec.Registered.Add(unusedFor).Sub(now))
	}
	return usedFor
}

// load finds a registered client, and gives the bytes that a change needs; nil when
// nothing is stored of it.
func (r *Registry) load(ctx context.Context, id string) (*record, []byte, error) {
	if id == "" || len(id) > maxID {
		return nil, nil, unknown()
	}
	carried := r.carriedBy(id)
	if carried != nil && len(carried.Access) == 0 {
		return carried, nil, nil // nobody can change it
	}
	raw, err := r.cfg.Store.Get(ctx, r.key(registrants, id))
	if errors.Is(err, store.ErrNotFound) {
		if carried != nil {
			return carried, nil, nil
		}
		return nil, nil, unknown()
	}
	if err != nil {
		return nil, nil, r.storeFailed(err)
	}
	var rec record
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, nil, r.storeFailed(errors.New("a stored client is no JSON"))
	}
	if rec.Removed {
		return nil, nil, unknown()
	}
	return &rec, raw, nil
}

// storeFailed is the one fault that is no client's, which its code tells.
func (r *Registry) storeFailed(err error) *oauth.Error {
	r.cfg.Log.Error("client store failed", "error", err)
	refused := unavailable("the store of clients cannot be asked now; try again in a moment")
	refused.Code = oauth.CodeServerError
	return refused
}

// Used renews a registered client's registration, once a day. The token endpoint
// calls it when it has issued tokens to the client.
func (r *Registry) Used(ctx context.Context, c *Client) {
	now := time.Now()
	if c.Registered.IsZero() || now.Sub(c.used) < renewEvery {
		return
	}
	rec, raw, err := r.load(ctx, c.ID)
	if err != nil || now.Sub(rec.Used) < renewEvery {
		return
	}
	rec.Used = now
	// When another replica was faster, or the client changed meanwhile, the next
	// token renews.
	if _, err := r.swap(ctx, raw, rec); err != nil {
		r.cfg.Log.Warn("client registration not renewed", "client", c.ID, "error", err)
	}
}

// swap writes what became of a record that was read as old; nil for one that was not
// stored.
func (r *Registry) swap(ctx context.Context, old []byte, rec *record) (bool, error) {
	raw, err := json.Marshal(rec)
	if err != nil {
		return false, err
	}
	key, ttl := r.key(registrants, rec.ID), rec.ttl(time.Now())
	if old != nil {
		return r.cfg.Store.Swap(ctx, key, old, raw, ttl)
	}
	if free, err := r.makeRoom(ctx); err != nil || !free {
		return false, cmp.Or(err, error(unavailable("there are too many registered clients; try again in an hour")))
	}
	return r.cfg.Store.Add(ctx, key, raw, ttl)
}

// room counts stored clients, now and then: the exact number does not matter.
type room struct {
	mu      sync.Mutex
	taken   int
	counted time.Time
}

// makeRoom tells whether one more client fits. When none does, those go that
// registered and never came back, so that whoever fills the room with made-up
// clients shuts out nobody for longer than an hour.
func (r *Registry) makeRoom(ctx context.Context) (bool, error) {
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	now := time.Now()
	if now.Sub(r.room.counted) >= countEvery {
		if err := r.count(ctx, now); err != nil {
			return false, err
		}
	}
	if r.room.taken >= maxStored {
		return false, nil
	}
	r.room.taken++
	return true, nil
}

func (r *Registry) count(ctx context.Context, now time.Time) error {
	taken := 0
	var idle []string
	err := r.cfg.Store.Scan(ctx, r.prefix(registrants), func(key string, value []byte) bool {
		taken++
		var rec record
		if json.Unmarshal(value, &rec) == nil && !rec.Carried && rec.Used.IsZero() && now.Sub(rec.Registered) > settlesFor {
			idle = append(idle, key)
		}
		return true
	})
	if err != nil {
		return err
	}
	if taken >= maxStored {
		for _, key := range idle {
			if err := r.cfg.Store.Delete(ctx, key); err != nil {
				return err
			}
			taken--
		}
		r.cfg.Log.Warn("too many registered clients; those that were never used are gone", "removed", len(idle), "left", taken)
	}
	r.room.taken, r.room.counted = taken, now
	return nil
}

// network is the part of an address that one household has for itself.
func network(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
