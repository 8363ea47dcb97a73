package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/keyring"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
)

// keyringMark is what the key file says when the key itself is in the keyring.
const keyringMark = "keyring"

// signIns is the vault of this person's sign-ins at remote servers.
func signIns() (oauthclient.Vault, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder for sign-ins: %w", err)
	}
	dir = filepath.Join(dir, "sallyport", "sign-ins")
	return oauthclient.NewFolder(dir, func(ctx context.Context) ([]byte, error) { return signInKey(ctx, dir) }), nil
}

// keptKey is this person's key for what clients carry about for a gateway that keeps
// nothing: the ids that they were registered under are good after a restart.
func keptKey() ([]byte, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder for keys: %w", err)
	}
	return oauthclient.KeyFile(filepath.Join(dir, "sallyport", "client-ids.key"))(context.Background())
}

// signInKey is the key of the vault. Where it is kept is decided once, when it is
// made, and written into the folder: a session that does not reach the keyring would
// otherwise make a second key, and lock the first one out.
func signInKey(ctx context.Context, dir string) ([]byte, error) {
	file := filepath.Join(dir, "key")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newSignInKey(ctx, file)
	}
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(text)) != keyringMark {
		return oauthclient.DecodeKey(string(text))
	}
	encoded, err := keyring.Get(ctx, os.Getenv, file, oauthclient.NewKey)
	if err != nil {
		return nil, fmt.Errorf("it is in this machine's keyring: %w; remove %s to begin anew, without the sign-ins", err, dir)
	}
	return oauthclient.DecodeKey(encoded)
}

func newSignInKey(ctx context.Context, file string) ([]byte, error) {
	if os.Getenv("SALLYPORT_KEYRING") != "off" {
		encoded, err := keyring.Get(ctx, os.Getenv, file, oauthclient.NewKey)
		if err == nil {
			if err := os.WriteFile(file, []byte(keyringMark+"\n"), 0o600); err != nil {
				return nil, err
			}
			return oauthclient.DecodeKey(encoded)
		}
		if !errors.Is(err, keyring.ErrNone) {
			return nil, err
		}
	}
	return oauthclient.KeyFile(file)(ctx)
}
