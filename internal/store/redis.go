package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// RedisConfig says where a Redis is: one server, a Cluster, or one that Sentinels
// watch.
type RedisConfig struct {
	Addresses []string // host:port; of the Sentinels, where Master is set
	Master    string   // the name by which Sentinels know the server; "" for none
	Cluster   bool     // Addresses are nodes of a Redis Cluster
	DB        int
	Username  string
	Password  secret.Value
	TLS       *tls.Config // nil for none

	SentinelUsername string
	SentinelPassword secret.Value
	SentinelTLS      *tls.Config // nil for none

	DialTimeout time.Duration // 0 for 5 s
	Timeout     time.Duration // of one operation; 0 for 3 s
	Prefix      string        // before every key; "" for "sallyport:"
}

// Redis is a Store that replicas share. It connects when it is first used, and
// again after the connection was lost: a Redis that is down fails operations, not
// the process.
type Redis struct {
	cfg   RedisConfig
	slots chan struct{}

	mu     sync.Mutex
	client rueidis.Client // nil until connected
	failed error          // of the last try to connect
	again  time.Time      // when to try anew
	closed bool
}

const (
	redisAtOnce    = 512 // operations under way; more wait, within their time
	reconnectEvery = time.Second
)

// NewRedis makes the store. It does not connect yet.
func NewRedis(cfg RedisConfig) (*Redis, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("open Redis: there is no address")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "sallyport:"
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = 5 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 3 * time.Second
	}
	return &Redis{cfg: cfg, slots: make(chan struct{}, redisAtOnce)}, nil
}

// ParseRedisURL reads redis://[user:password@]host:port[/db], with rediss for TLS;
// ?master_set=NAME names what the Sentinels at these addresses watch, and ?addr=
// adds addresses. Nothing of a password is in an error.
func ParseRedisURL(address string) (RedisConfig, error) {
	opt, err := rueidis.ParseURL(address)
	if err != nil {
		return RedisConfig{}, errors.New("it is no Redis address; write it like redis://user:password@host:6379/0, or rediss:// for TLS")
	}
	cfg := RedisConfig{
		Addresses: opt.InitAddress, Master: opt.Sentinel.MasterSet, DB: opt.SelectDB,
		Username: opt.Username, Password: secret.New(opt.Password), TLS: opt.TLSConfig,
		DialTimeout: opt.Dialer.Timeout, Timeout: opt.ConnWriteTimeout,
	}
	if cfg.Master != "" {
		cfg.SentinelTLS = cfg.TLS
	}
	return cfg, nil
}

// Close ends the connections.
func (r *Redis) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.client != nil {
		r.client.Close()
		r.client = nil
	}
	return nil
}

// connected is the client, connected if it can be. While it cannot, one caller a
// second tries and the rest hear what the last one heard.
func (r *Redis) connected() (rueidis.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, errors.New("the store is closed")
	case r.client != nil:
		return r.client, nil
	case time.Now().Before(r.again):
		return nil, r.failed
	}
	client, err := rueidis.NewClient(r.options())
	if err != nil {
		r.failed, r.again = err, time.Now().Add(reconnectEvery)
		return nil, err
	}
	r.client = client
	return client, nil
}

func (r *Redis) options() rueidis.ClientOption {
	c := &r.cfg
	opt := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: c.Password.Reveal(), SelectDB: c.DB, TLSConfig: c.TLS,
		ClientName: "sallyport", DisableCache: true, ShuffleInit: true, ConnWriteTimeout: c.Timeout,
		// The defaults are half a megabyte each for every connection.
		ReadBufferEachConn: 32 << 10, WriteBufferEachConn: 32 << 10, PipelineMultiplex: 1,
		ForceSingleClient: !c.Cluster && c.Master == "",
		RetryDelay:        retryDelay,
		// A connection is read all the time, so that one which Redis has closed is known
		// before something is written to it: what writes is not tried twice.
		AlwaysPipelining: true,
	}
	opt.Dialer.Timeout = c.DialTimeout
	if c.Master != "" {
		opt.Sentinel = rueidis.SentinelOption{
			MasterSet: c.Master, Username: c.SentinelUsername, Password: c.SentinelPassword.Reveal(), TLSConfig: c.SentinelTLS, ClientName: "sallyport",
		}
		opt.Sentinel.Dialer.Timeout = c.DialTimeout
	}
	return opt
}

// retryDelay lets what only reads be tried again over a new connection, and no more:
// people wait for the answer, also for the one that Redis is away.
func retryDelay(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts > 2 {
		return -1
	}
	return 20 * time.Millisecond
}

// do runs one operation within its time.
func (r *Redis) do(ctx context.Context, run func(context.Context, rueidis.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	select {
	case r.slots <- struct{}{}: // a full ring of the client does not heed deadlines
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return fmt.Errorf("ask Redis: %w", ctx.Err())
	}
	client, err := r.connected()
	if err == nil {
		err = run(ctx, client)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("ask Redis: %w", err)
	}
	return err
}

func (r *Redis) key(key string) string { return r.cfg.Prefix + key }

// Get implements Store.
func (r *Redis) Get(ctx context.Context, key string) (value []byte, err error) {
	err = r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		value, err = c.Do(ctx, c.B().Get().Key(r.key(key)).Build()).AsBytes()
		return notFound(err)
	})
	return value, err
}

// Put implements Store.
func (r *Redis) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := fits(key, value, ttl); err != nil {
		return err
	}
	return r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		set := c.B().Set().Key(r.key(key)).Value(rueidis.BinaryString(value))
		if ttl <= 0 {
			return c.Do(ctx, set.Build()).Error()
		}
		return c.Do(ctx, set.PxMilliseconds(milliseconds(ttl)).Build()).Error()
	})
}

// Add implements Store.
func (r *Redis) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	if err := fits(key, value, ttl); err != nil {
		return false, err
	}
	err = r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		set := c.B().Set().Key(r.key(key)).Value(rueidis.BinaryString(value)).Nx()
		cmd := set.Build
		if ttl > 0 {
			cmd = set.PxMilliseconds(milliseconds(ttl)).Build
		}
		err := c.Do(ctx, cmd()).Error()
		added = err == nil
		if rueidis.IsRedisNil(err) { // there is one
			return nil
		}
		return err
	})
	return added && err == nil, err
}

// Take implements Store.
func (r *Redis) Take(ctx context.Context, key string) (value []byte, err error) {
	err = r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		value, err = c.Do(ctx, c.B().Getdel().Key(r.key(key)).Build()).AsBytes()
		return notFound(err)
	})
	return value, err
}

// Swap implements Store.
func (r *Redis) Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (swapped bool, err error) {
	if err := fits(key, value, ttl); err != nil {
		return false, err
	}
	err = r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		args := []string{rueidis.BinaryString(old), rueidis.BinaryString(value), fmt.Sprint(milliseconds(max(ttl, 0)))}
		swapped, err = swapScript.Exec(ctx, c, []string{r.key(key)}, args).AsBool()
		return err
	})
	return swapped && err == nil, err
}

// Delete implements Store.
func (r *Redis) Delete(ctx context.Context, key string) error {
	return r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Del().Key(r.key(key)).Build()).Error()
	})
}

// Scan implements Store. Each step has the time of one operation.
func (r *Redis) Scan(ctx context.Context, prefix string, each func(key string, value []byte) bool) error {
	client, err := r.connected()
	if err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	seen := map[string]bool{} // SCAN may return a key twice, and replicas have it too
	for _, node := range client.Nodes() {
		more, err := r.scanNode(ctx, node, prefix, seen, each)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (r *Redis) scanNode(ctx context.Context, node rueidis.Client, prefix string, seen map[string]bool, each func(string, []byte) bool) (more bool, err error) {
	pattern := globEscaper.Replace(r.cfg.Prefix+prefix) + "*"
	for cursor := uint64(0); ; {
		var page rueidis.ScanEntry
		err := r.do(ctx, func(ctx context.Context, _ rueidis.Client) error {
			page, err = node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(500).Build()).AsScanEntry()
			return err
		})
		if err != nil {
			return false, err
		}
		for _, full := range page.Elements {
			key := strings.TrimPrefix(full, r.cfg.Prefix)
			if seen[key] {
				continue
			}
			seen[key] = true
			value, err := r.Get(ctx, key)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil || !each(key, value) {
				return false, err
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return true, nil
		}
	}
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func notFound(err error) error {
	if rueidis.IsRedisNil(err) {
		return ErrNotFound
	}
	return err
}

// milliseconds rounds up, so that a ttl is not taken for none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// swapScript compares and swaps: ARGV are the old value, the new one, and its ttl in
// milliseconds, 0 for none.
var swapScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`)
