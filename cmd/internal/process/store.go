package process

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/ownfile"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/store/sealed"
)

// storeFlags say where state is kept that outlives a request.
type storeFlags struct {
	where   string
	keyFile string
}

func (f *storeFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.where, "store", "memory", "where sign-ins, registered clients and linked accounts are kept: memory, file:PATH (one process), or redis://USER:PASSWORD@HOST:PORT/DB (many; rediss for TLS, $SALLYPORT_REDIS_PASSWORD for a password that is not in the address)")
	fs.StringVar(&f.keyFile, "store-key-file", "", "file of base64 keys of 32 bytes, one a line, that encrypt what is kept (the first seals, all open); by default PATH.key beside a store file, which is made when it is missing")
}

// redisPassword is the environment variable for what is better not on a command line.
const redisPassword = "SALLYPORT_REDIS_PASSWORD"

// open opens the store, and sets it in the gateway's options.
func (f *storeFlags) open(opts *gateway.Options, getenv func(string) (string, bool)) error {
	path, isFile := strings.CutPrefix(f.where, "file:")
	switch {
	case f.where == "memory" || f.where == "":
		opts.Store = store.NewMemory()
		return nil
	case isFile && path != "":
		return f.openFile(path, opts)
	case f.inRedis():
		return f.openRedis(opts, getenv)
	}
	return UsageError{errors.New("--store: it is none of memory, file:PATH and redis://HOST:PORT")}
}

func (f *storeFlags) openFile(path string, opts *gateway.Options) error {
	keyFile := f.keyFile
	if keyFile == "" {
		keyFile = path + ".key"
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			keyFile = filepath.Join(path, "sallyport.key")
		}
	}
	if err := notEmptied(path, keyFile); err != nil {
		return UsageError{fmt.Errorf("--store: %w", err)}
	}
	file, err := store.OpenFile(path) // first: while it is open, nobody else makes the key
	if err != nil {
		return UsageError{fmt.Errorf("--store: %w", err)}
	}
	if f.keyFile == "" {
		err = makeKey(keyFile)
	}
	var ring *seal.Ring
	if err == nil {
		ring, err = readRing(keyFile)
	}
	if err != nil {
		return errors.Join(UsageError{err}, file.Close())
	}
	opts.Store = sealed.NewObserved(file, ring, opts.Metrics.StoreFailed)
	return nil
}

// notEmptied refuses a file that has nothing in it, though there is a key that something
// was encrypted with: what was kept is lost, and somebody should know.
func notEmptied(path, keyFile string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "sallyport.db")
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 0 {
		return nil //nolint:nilerr // a file that is not there is made; one that cannot be looked at cannot be opened
	}
	if _, err := os.Stat(keyFile); err != nil {
		return nil //nolint:nilerr // a new store
	}
	return fmt.Errorf("the file %s is empty, though its key %s is there: what was kept is lost; put a copy in its place, or remove %s to begin anew", path, keyFile, path)
}

// inRedis reports whether state is kept in a Redis.
func (f *storeFlags) inRedis() bool {
	return strings.HasPrefix(f.where, "redis://") || strings.HasPrefix(f.where, "rediss://")
}

// redis says which one, and how it is reached.
func (f *storeFlags) redis(getenv func(string) (string, bool)) (store.RedisConfig, error) {
	cfg, err := store.ParseRedisURL(f.where)
	if err != nil {
		return cfg, UsageError{fmt.Errorf("--store: %w", err)}
	}
	if p, ok := getenv(redisPassword); ok && cfg.Password.Empty() {
		cfg.Password = secret.New(p)
	}
	return cfg, nil
}

// Redis is the one that --store names, and the keys that seal what is in it; nil for none.
func (f *Flags) Redis(getenv func(string) (string, bool)) (*store.RedisConfig, *seal.Ring, error) {
	if !f.store.inRedis() {
		return nil, nil, nil
	}
	cfg, err := f.store.redis(getenv)
	if err != nil || f.store.keyFile == "" {
		return &cfg, nil, err
	}
	ring, err := readRing(f.store.keyFile)
	return &cfg, ring, wrapped("read the store's keys", err)
}

func (f *storeFlags) openRedis(opts *gateway.Options, getenv func(string) (string, bool)) error {
	cfg, err := f.redis(getenv)
	if err != nil {
		return err
	}
	if f.keyFile == "" {
		return UsageError{errors.New("--store: Redis needs --store-key-file, the same for every replica; make one with: openssl rand -base64 32 > store.key")}
	}
	ring, err := readRing(f.keyFile)
	if err != nil {
		return UsageError{err}
	}
	r, err := store.NewRedis(cfg)
	if err != nil {
		return UsageError{fmt.Errorf("--store: %w", err)}
	}
	opts.Store, opts.SharedRates = sealed.NewObserved(r, ring, opts.Metrics.StoreFailed), r
	return nil
}

func readRing(path string) (*seal.Ring, error) {
	keys, err := ReadKeys("--store-key-file", path)
	if err != nil {
		return nil, err
	}
	return seal.NewRing(keys...)
}

// makeKey makes a key file, unless there is one; and one that is there has to be as we
// make it, whoever could have put something else in its place.
func makeKey(path string) error {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	err := ownfile.Create(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"))
	if !errors.Is(err, fs.ErrExist) {
		return wrapped("make the store's key", err)
	}
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is a link, or no file; remove it, or name the key with --store-key-file", path)
	}
	if err == nil {
		err = ownfile.Check(path, ownfile.Private)
	}
	return wrapped("read the store's key", err)
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
