package oauthclient

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/ownfile"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Memory is a vault that ends with the process.
type Memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

// NewMemory makes an empty vault.
func NewMemory() *Memory { return &Memory{kept: map[string][]byte{}} }

// Load implements [Vault].
func (m *Memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[key], nil
}

// Update implements [Vault]. Other keys wait, too: a process has few accounts.
func (m *Memory) Update(_ context.Context, key string, change func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, err := change(m.kept[key])
	if err == nil {
		m.kept[key] = value
	}
	return err
}

// Folder is a vault of sealed files, one for each account, in a folder that only its
// owner may enter. Processes that share it take turns.
type Folder struct {
	path string
	key  func(ctx context.Context) ([]byte, error)

	mu   sync.Mutex
	ring *seal.Ring
}

const (
	folderMode = 0o700
	fileMode   = 0o600
	purpose    = "oauth-account"
)

// NewFolder makes a vault in a folder, which is made when it is needed. The key seals
// the files; it is asked for when there is something to read or write.
func NewFolder(path string, key func(ctx context.Context) ([]byte, error)) *Folder {
	return &Folder{path: path, key: key}
}

// Load implements [Vault]. What cannot be opened (the key is another one now) counts
// as nothing: somebody signs in again.
func (f *Folder) Load(ctx context.Context, key string) ([]byte, error) {
	sealed, err := os.ReadFile(f.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ring, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	plain, _ := ring.Open(purpose+key, strings.TrimSpace(string(sealed)))
	return plain, nil
}

// Update implements [Vault].
func (f *Folder) Update(ctx context.Context, key string, change func([]byte) ([]byte, error)) error {
	ring, err := f.open(ctx)
	if err != nil {
		return err
	}
	release, err := lockFile(ctx, f.file(key)+".lock")
	if err != nil {
		return err
	}
	defer release()
	old, err := f.Load(ctx, key)
	if err != nil {
		return err
	}
	value, err := change(old)
	if err != nil {
		return err
	}
	if value == nil {
		if err := os.Remove(f.file(key)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	sealed := ring.Seal(purpose+key, value)
	if sealed == "" {
		return fmt.Errorf("the tokens are longer than the %d bytes that are kept", seal.MaxPlain)
	}
	return writeFile(f.file(key), []byte(sealed+"\n"))
}

func (f *Folder) file(key string) string { return filepath.Join(f.path, key) }

func (f *Folder) open(ctx context.Context) (*seal.Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ring != nil {
		return f.ring, nil
	}
	if err := os.MkdirAll(f.path, folderMode); err != nil {
		return nil, err
	}
	key, err := f.key(ctx)
	if err != nil {
		return nil, fmt.Errorf("key of the stored sign-ins: %w", err)
	}
	ring, err := seal.NewRing(key)
	f.ring = ring
	return ring, err
}

// KeyFile is a key in a file of the folder, made when it is missing. Who can read the
// folder can read what is sealed: it keeps tokens out of backups of single files,
// search indexes and a careless look, and no more than that.
func KeyFile(path string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
			return nil, err
		}
		release, err := lockFile(ctx, path+".lock")
		if err != nil {
			return nil, err
		}
		defer release()
		text, err := os.ReadFile(path)
		if err == nil {
			return DecodeKey(string(text))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		encoded := NewKey()
		if err := writeFile(path, []byte(encoded+"\n")); err != nil {
			return nil, err
		}
		return DecodeKey(encoded)
	}
}

// NewKey makes a key as text, as it is kept in a file or a keyring.
func NewKey() string {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return base64.StdEncoding.EncodeToString(key)
}

// DecodeKey reads what NewKey made.
func DecodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != seal.KeySize {
		return nil, fmt.Errorf("it is not %d bytes in base64", seal.KeySize)
	}
	return key, nil
}

// writeFile replaces a file whole or not at all, readable by its owner alone.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// lockFile waits until this process alone has the lock. The file stays: removing it
// would let two processes lock two files of one name.
func lockFile(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := ownfile.TryLock(f)
		if ok {
			return func() { _ = f.Close() }, nil // which releases it
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for another process that uses %s: %w", path, ctx.Err())
		}
	}
}
