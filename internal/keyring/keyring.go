// Package keyring keeps one key in the operating system's keyring: Keychain on macOS,
// the Credential Manager on Windows, the Secret Service (GNOME Keyring, KWallet) on
// Linux.
//
// It owns when a keyring can be asked at all. It does not own what the key is for, or
// what happens without a keyring.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/zalando/go-keyring"
)

// ErrNone means that there is no keyring here, or that it cannot be reached: over ssh,
// in a container, in a service without a desktop.
var ErrNone = errors.New("there is no keyring that can be reached from here")

const (
	service = "sallyport"
	// limit is for a keyring that asks the person to unlock it.
	limit = time.Minute
)

// Get returns what is kept under a name, or makes and keeps it. Without a keyring the
// error is ErrNone. The environment says where a session bus is.
func Get(ctx context.Context, getenv func(string) string, name string, create func() string) (string, error) {
	if !reachable(getenv) {
		return "", ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // the library knows no context
		text, err := get(name, create)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the keyring: %w", ctx.Err())
	}
}

func get(name string, create func() string) (string, error) {
	text, err := keyring.Get(service, name)
	switch {
	case err == nil || create == nil:
		return text, err
	case !errors.Is(err, keyring.ErrNotFound):
		return "", ErrNone // a bus without a secret service, a headless session
	}
	text = create()
	if keyring.Set(service, name, text) != nil {
		return "", ErrNone
	}
	return text, nil
}

// reachable keeps from asking where asking does harm: without a session bus the D-Bus
// library starts one, which nobody ends.
func reachable(getenv func(string) string) bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return true
	}
	if getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	_, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus"))
	return err == nil
}
