package oauthclient_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func folder(dir string) *oauthclient.Folder {
	return oauthclient.NewFolder(dir, oauthclient.KeyFile(filepath.Join(dir, "key")))
}

// TestVaults runs the same checks on every vault.
func TestVaults(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]oauthclient.Vault{"memory": oauthclient.NewMemory(), "folder": folder(filepath.Join(t.TempDir(), "a", "b"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load := func() string {
				t.Helper()
				kept, err := v.Load(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				return string(kept)
			}
			put := func(text []byte) error {
				return v.Update(t.Context(), "k", func([]byte) ([]byte, error) { return text, nil })
			}
			if load() != "" {
				t.Error("something is there")
			}
			var all sync.WaitGroup
			for range 20 { // none is lost
				all.Go(func() {
					err := v.Update(t.Context(), "k", func(old []byte) ([]byte, error) { return append(bytes.Clone(old), 'x'), nil })
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if load() != "xxxxxxxxxxxxxxxxxxxx" {
				t.Errorf("%q", load())
			}
			if err := v.Update(t.Context(), "k", func([]byte) ([]byte, error) { return []byte("y"), fs.ErrInvalid }); err == nil || load() == "y" {
				t.Error("an update that failed was kept")
			}
			if err := put(nil); err != nil || load() != "" {
				t.Errorf("%v, %q is still there", err, load())
			}
			if err := put(nil); err != nil {
				t.Errorf("remove what is not there: %v", err)
			}
		})
	}
}

// REQ B-19: sign-ins are kept encrypted, readable by their owner alone.
func TestFolderHidesWhatItKeeps(t *testing.T) {
	t.Parallel()
	var canaries testkit.Canaries
	dir := filepath.Join(t.TempDir(), "sign-ins")
	put := func(v oauthclient.Vault) {
		if err := v.Update(t.Context(), "k", func([]byte) ([]byte, error) { return []byte(canaries.Value("token")), nil }); err != nil {
			t.Fatal(err)
		}
	}
	put(folder(dir))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			canaries.Check(t, path, string(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Another process finds it; with another key, or cut off, it is as if nothing was there.
	if kept, err := folder(dir).Load(t.Context(), "k"); err != nil || string(kept) != canaries.Value("token") {
		t.Errorf("%q, %v", kept, err)
	}
	if kept, err := folder(dir).Load(t.Context(), "other"); err != nil || kept != nil {
		t.Errorf("%q, %v", kept, err)
	}
	other := oauthclient.NewFolder(dir, oauthclient.KeyFile(filepath.Join(t.TempDir(), "key")))
	if kept, err := other.Load(t.Context(), "k"); err != nil || kept != nil {
		t.Errorf("another key opens it: %q, %v", kept, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "k"), []byte("AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := folder(dir).Load(t.Context(), "k"); err != nil || kept != nil {
		t.Errorf("%q, %v", kept, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = folder(dir).Load(t.Context(), "k")
	mustFail(t, err, "not 32 bytes")
}

// TestTwoProcesses proves that gateways that share a folder share a sign-in, and that
// one of them refreshes: a refresh token that is used twice ends the grant.
//
// REQ B-19
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	valid := "" // the one refresh token that is good
	w.token = func(form url.Values, _ *http.Request) (int, map[string]any) {
		n := len(w.forms)
		if form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") != valid {
			return 400, map[string]any{"error": "invalid_grant"}
		}
		valid = fmt.Sprintf("refresh-%d", n)
		expires := 3600
		if n == 1 {
			expires = 0
		}
		return 200, map[string]any{"access_token": fmt.Sprintf("access-%d", n), "refresh_token": valid, "expires_in": expires}
	}
	dir := t.TempDir()
	process := func() *oauthclient.Client {
		return w.open(t, func(cfg *oauthclient.Config) { cfg.Vault = folder(dir) })
	}
	if err := process().Renew(t.Context(), secret.Value{}, challenge()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		c := process()
		for range 3 {
			all.Go(func() {
				got, err := c.Token(context.WithoutCancel(t.Context()))
				if err != nil || got.Reveal() != "access-2" {
					t.Errorf("token %q, %v", got.Reveal(), err)
				}
			})
		}
	}
	all.Wait()
	if n := len(w.seen("refresh_token")); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	if n := len(w.requests()); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil || len(files) != 2 { // the account's, and the key's
		t.Errorf("locks %v, %v", files, err)
	}
	c := process()
	if err := c.Forget(t.Context()); err != nil || !current(t, process()).Empty() {
		t.Errorf("%v; the sign-in is still there", err)
	}
}

// What another version has written is no reason to fail for ever.
func TestUnreadableAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(t, func(cfg *oauthclient.Config) { cfg.Vault = garbage{oauthclient.NewMemory()} })
	if !current(t, c).Empty() {
		t.Error("there is a token")
	}
	if err := c.Renew(t.Context(), secret.Value{}, challenge()); err != nil {
		t.Error(err)
	}
}

// garbage is a vault that begins with what nobody can read.
type garbage struct{ *oauthclient.Memory }

func (g garbage) Load(ctx context.Context, key string) ([]byte, error) {
	kept, err := g.Memory.Load(ctx, key)
	if kept == nil {
		kept = []byte(`{"access":7`)
	}
	return kept, err
}
