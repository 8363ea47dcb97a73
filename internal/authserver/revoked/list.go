package revoked

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/store"
)

// List is the sign-ins of one server that ended. It is safe for concurrent use.
//
// In the store it is a value per ten minutes, to which ids are appended, so that a
// look is two or three reads whatever else the store holds. Ids are no secrets.
type List struct {
	cfg     Config
	changes atomic.Uint64
	looked  atomic.Int64 // when the store was last read, in Unix nanoseconds; 0 for never
	looking sync.Mutex   // held by who reads the store

	mu       sync.RWMutex
	ended    map[string]time.Time // id → when its last access token has expired
	watchers map[*watcher]struct{}
	unpoll   context.CancelFunc // nil while nobody watches
}

const (
	lookEvery  = 2 * time.Second
	lookWithin = 5 * time.Second // after that a request waits for the look
	lookLimit  = 30 * time.Second
	bucketSpan = 10 * time.Minute
)

// Config describes a List.
type Config struct {
	Store store.Store
	Key   func(bucket string) string // the store's key for a part of the list
	Life  time.Duration              // of an access token
	Log   *slog.Logger
}

// New makes a list. The store is read when somebody asks first.
func New(cfg Config) *List { return &List{cfg: cfg, ended: map[string]time.Time{}} }

func bucketOf(t time.Time) int64 { return t.Unix() / int64(bucketSpan/time.Second) }

func (l *List) bucketKey(n int64) string { return l.cfg.Key(strconv.FormatInt(n, 10)) }

// Add ends a sign-in: here at once, and in the store.
func (l *List) Add(ctx context.Context, id string) error {
	now := time.Now()
	l.note([]string{id}, now)
	key, st, life := l.bucketKey(bucketOf(now)), l.cfg.Store, l.cfg.Life+2*bucketSpan
	for range 64 {
		before, err := st.Get(ctx, key)
		done := false
		switch {
		case errors.Is(err, store.ErrNotFound):
			done, err = st.Add(ctx, key, []byte(id+"\n"), life)
		case err == nil && strings.Contains(string(before), id+"\n"):
			done = true
		case err == nil:
			done, err = st.Swap(ctx, key, before, append(before[:len(before):len(before)], id+"\n"...), life)
		}
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		if done {
			return nil
		}
	}
	return errors.New("revoke: too many at the same time")
}

// note takes ids into the list of this process.
func (l *List) note(ids []string, at time.Time) {
	until := at.Add(l.cfg.Life + bucketSpan)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if _, known := l.ended[id]; !known && id != "" {
			l.ended[id] = until
			l.changes.Add(1)
			l.tell(id)
		}
	}
}

// age is how old the list may be.
func (l *List) age() time.Duration {
	at := l.looked.Load()
	if at == 0 {
		return 365 * 24 * time.Hour
	}
	return time.Since(time.Unix(0, at))
}

// refresh keeps the list young enough: in the background, or, after nobody asked for
// a while, before the request goes on.
func (l *List) refresh() {
	age := l.age()
	switch {
	case age < lookEvery:
	case age >= lookWithin:
		l.looking.Lock()
		defer l.looking.Unlock()
		if l.age() >= lookWithin {
			l.look()
		}
	case l.looking.TryLock():
		go func() {
			defer l.looking.Unlock()
			l.look()
		}()
	}
}

// look reads what the store has, from as far back as access tokens live, and then
// only what may be new. looking is held.
func (l *List) look() {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	now := time.Now()
	from := now.Add(-l.cfg.Life)
	if at := l.looked.Load(); at != 0 {
		from = time.Unix(0, at)
	}
	for n := bucketOf(from) - 1; n <= bucketOf(now)+1; n++ { // clocks of replicas differ
		list, err := l.cfg.Store.Get(ctx, l.bucketKey(n))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			l.cfg.Log.Warn("revoked tokens not read", "error", err)
			return
		}
		l.note(strings.Split(string(list), "\n"), now)
	}
	l.mu.Lock()
	for id, until := range l.ended {
		if now.After(until) {
			delete(l.ended, id)
		}
	}
	l.mu.Unlock()
	l.looked.Store(now.UnixNano())
}

// ErrUnknown means that nobody knows now which tokens are revoked.
var ErrUnknown = errors.New("the store that knows which tokens are revoked cannot be read")

// Has tells whether a sign-in has ended. The error is ErrUnknown, when the store has
// not answered for a while.
func (l *List) Has(id string) (bool, error) {
	l.mu.RLock()
	_, ended := l.ended[id]
	l.mu.RUnlock()
	if !ended && l.age() > lookLimit {
		return false, ErrUnknown
	}
	return ended, nil
}

// Generation changes whenever tokens that were good may be good no more. It is for
// every request to ask, costs a load, and keeps the list young.
func (l *List) Generation() uint64 {
	l.refresh()
	n := l.changes.Load()
	if l.age() > lookLimit {
		return ^n // nothing that was verified counts until the store answers
	}
	return n
}
