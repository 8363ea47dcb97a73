package accounts_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// over runs a test over every store.
func over(t *testing.T, test func(*testing.T, store.Store)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, store.NewMemory())
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		s, err := store.OpenFile(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		test(t, s)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		s, err := store.NewRedis(store.RedisConfig{
			Addresses: []string{testkit.StartRedis(t).Address},
			Username:  testkit.RedisUser, Password: secret.New(testkit.RedisPassword),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		test(t, s)
	})
}

func TestAccount(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, s store.Store) {
		p := newProvider(time.Hour)
		w := newWorld(t, s, p)
		b, other := w.replica(), w.replica()
		defer b.Close()
		defer other.Close()
		ctx := t.Context()
		_, err := b.Token(ctx, "alice", "hub")
		wantNotLinked(t, err, false)
		link(t, b, "alice", "hub", p.signIn())
		link(t, b, "alice", "okta", p.signIn())
		link(t, b, "bob", "hub", p.signIn())
		for _, replica := range []*accounts.Book{b, other, b} {
			wantToken(t, replica, "alice", "hub", "access-1")
			wantToken(t, replica, "alice", "okta", "access-2")
			wantToken(t, replica, "bob", "hub", "access-3")
		}
		got, err := b.Token(ctx, "alice", "hub")
		if err != nil || !got.Refresh.Empty() {
			t.Errorf("a backend's token has a refresh token, or %v", err)
		}
		list, err := other.List(ctx, "alice")
		want := []accounts.Account{
			{Provider: "hub", Subject: "sub-alice", Name: "alice", Scopes: []string{"repo"}, CanRefresh: true},
			{Provider: "okta", Subject: "sub-alice", Name: "alice", Scopes: []string{"repo"}, CanRefresh: true},
		}
		if diff := cmp.Diff(want, list, cmpopts.IgnoreTypes(time.Time{})); err != nil || diff != "" {
			t.Errorf("alice's accounts: %v (-want +got)\n%s", err, diff)
		}
		if err := other.Unlink(ctx, "alice", "hub"); err != nil {
			t.Fatal(err)
		}
		if err := other.Unlink(ctx, "alice", "hub"); err != nil {
			t.Errorf("unlinking what is not there: %v", err)
		}
		_, err = other.Token(ctx, "alice", "hub")
		wantNotLinked(t, err, false)
		wantToken(t, other, "alice", "okta", "access-2")
		wantToken(t, other, "bob", "hub", "access-3")
		if list, err := b.List(ctx, "alice"); err != nil || len(list) != 1 || list[0].Provider != "okta" {
			t.Errorf("alice's accounts are %v, %v", list, err)
		}
		if diff := cmp.Diff([]string{"refresh-1"}, p.revoked); diff != "" {
			t.Errorf("revoked: %s", diff)
		}
	})
}

// REQ D-8: over all replicas and callers each refresh token is used once, and nobody
// is signed out.
func TestRotation(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, s store.Store) {
		p := newProvider(500 * time.Millisecond)
		w := newWorld(t, s, p)
		replicas := []*accounts.Book{w.replica(), w.replica(), w.replica()}
		for _, b := range replicas {
			defer b.Close()
		}
		link(t, replicas[0], "alice", "hub", p.signIn())
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		defer cancel()
		var all sync.WaitGroup
		for _, b := range replicas {
			for range 3 {
				all.Go(func() {
					for ctx.Err() == nil && p.count() < 4 {
						if _, err := b.Token(ctx, "alice", "hub"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("signed out: %v", err)
							return
						}
						<-time.After(time.Millisecond)
					}
				})
			}
		}
		all.Wait()
		if p.reused > 0 || p.count() < 3 {
			t.Errorf("%d refreshes, %d of them with a token that was used before", p.count(), p.reused)
		}
	})
}

// REQ D-6: parts of names cannot be moved from one to the next, nor records from one
// place to another, and nothing in the store can be read.
func TestNamesAndPlaces(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, s store.Store) {
		p := newProvider(time.Hour)
		p.prefix = "canary-"
		w := newWorld(t, s, p)
		b := w.replica()
		defer b.Close()
		names := [][2]string{
			{"a", "bc"},
			{"ab", "c"},
			{"a/b", "c"},
			{"a", "b/c"},
			{"a\x00b", "c"},
			{"a", "b\x00c"},
			{"", "abc"},
			{"abc", ""},
			{"a:1", "b"},
			{"a", "1:b"},
			{"\x00\x00\x00\x00\x00\x00\x00\x01b", "a"},
			{strings.Repeat("long", 1000), "a"},
			{"canary@example.com", "hub"},
		}
		for _, n := range names {
			link(t, b, n[0], n[1], p.signIn())
		}
		fresh := w.replica()
		defer fresh.Close()
		seen := map[string]bool{}
		for _, n := range names {
			got, err := fresh.Token(t.Context(), n[0], n[1])
			if err != nil || seen[reveal(got)] {
				t.Errorf("%q: %v, or another's token", n, err)
			}
			seen[reveal(got)] = true
		}
		elsewhere := w.replica(func(c *accounts.Config) { c.Issuer = issuer + "/a" })
		defer elsewhere.Close()
		_, err := elsewhere.Token(t.Context(), "a", "bc")
		wantNotLinked(t, err, false)

		stored := map[string][]byte{}
		if err := s.Scan(t.Context(), "", func(key string, value []byte) bool { stored[key] = value; return true }); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for key, value := range stored {
			if strings.Contains(key+string(value), "canary") {
				t.Errorf("%s can be read in the store", key)
			}
			if strings.HasPrefix(key, "account/") {
				keys = append(keys, key)
			}
		}
		if len(keys) != len(names) {
			t.Errorf("%d accounts have %d keys", len(names), len(keys))
		}
		for i, key := range keys { // everybody's record at the place of the next
			if err := s.Put(t.Context(), keys[(i+1)%len(keys)], stored[key], 0); err != nil {
				t.Fatal(err)
			}
		}
		later := w.replica()
		defer later.Close()
		for _, n := range names {
			_, err := later.Token(t.Context(), n[0], n[1])
			wantNotLinked(t, err, false)
		}
	})
}
