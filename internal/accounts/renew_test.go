package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// renewing runs a test in time of its own, with alice's account linked a moment ago
// for an hour.
func renewing(t *testing.T, test func(t *testing.T, w *world, b *accounts.Book)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), newProvider(time.Hour))
		b := w.replica()
		link(t, b, "alice", "hub", w.provider.signIn())
		test(t, w, b)
		w.store.set(nil)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// REQ D-8: tokens are renewed ahead of expiry, and nobody waits for it.
func TestAheadOfExpiry(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		pass(50 * time.Minute)
		wantToken(t, b, "alice", "hub", "access-1")
		synctest.Wait()
		if n := w.provider.count(); n != 0 {
			t.Fatalf("renewed %d times ten minutes before the end", n)
		}
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		pass(6 * time.Minute)
		for range 10 {
			began := time.Now()
			wantToken(t, b, "alice", "hub", "access-1")
			if took := time.Since(began); took > 0 {
				t.Errorf("waited %v for a provider that hangs, with a good token", took)
			}
			pass(time.Second)
		}
		close(hangs)
		synctest.Wait()
		wantToken(t, b, "alice", "hub", "access-2")
		if diff := cmp.Diff(map[string]int{"hub success": 1}, w.seen); diff != "" || w.provider.count() != 1 {
			t.Errorf("renewals: %d %s", w.provider.count(), diff)
		}
		other := w.replica()
		defer other.Close()
		wantToken(t, other, "alice", "hub", "access-2")
	})
}

// With a token that has ended callers wait for one renewal, together.
func TestExpired(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		pass(2 * time.Hour)
		got := make(chan string, 10)
		for range cap(got) {
			go func() {
				tokens, err := b.Token(context.Background(), "alice", "hub")
				if err != nil {
					t.Error(err)
				}
				got <- reveal(tokens)
			}()
		}
		for range cap(got) {
			if s := <-got; s != "access-2" {
				t.Errorf("got %q", s)
			}
		}
		if n := w.provider.count(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// REQ D-8: a grant that the provider ended leads to a new sign-in, once and for all.
func TestRevokedGrant(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		w.provider.set(func(p *provider) { p.grants["refresh-1"].ended = true })
		pass(2 * time.Hour)
		for range 3 {
			_, err := b.Token(t.Context(), "alice", "hub")
			wantNotLinked(t, err, true)
		}
		if n := w.provider.count(); n != 1 {
			t.Errorf("a grant that ended was tried %d times", n)
		}
		list, err := b.List(t.Context(), "alice")
		if err != nil || len(list) != 1 || !list[0].Ended || list[0].CanRefresh {
			t.Errorf("the account shows as %+v, %v", list, err)
		}
		if diff := cmp.Diff(map[string]int{"hub revoked": 1}, w.seen); diff != "" {
			t.Error(diff)
		}
		link(t, b, "alice", "hub", w.provider.signIn())
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// A provider that is down is no end: the good token goes on, and attempts are few.
func TestProviderDown(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		w.provider.set(func(p *provider) { p.fails = errDown })
		pass(56 * time.Minute)
		for range 200 {
			wantToken(t, b, "alice", "hub", "access-1")
			pass(time.Second)
		}
		if n := w.provider.count(); n < 2 || n > 10 {
			t.Errorf("%d attempts in 200 s", n)
		}
		pass(time.Hour)
		before := w.provider.count()
		for range 200 {
			_, err := b.Token(t.Context(), "alice", "hub")
			wantUnavailable(t, err)
			if !errors.Is(err, errDown) {
				t.Errorf("the cause is not told: %v", err)
			}
			pass(100 * time.Millisecond)
		}
		if n := w.provider.count() - before; n < 3 || n > 6 {
			t.Errorf("%d attempts in 20 s, with callers who wait", n)
		}
		w.provider.set(func(p *provider) { p.fails = nil })
		pass(5 * time.Second)
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// A caller that goes away does not take a refresh token along that the provider has
// exchanged already.
func TestCallerGoesAway(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		pass(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Token(ctx, "alice", "hub"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller got %v", err)
		}
		close(hangs)
		synctest.Wait()
		wantToken(t, b, "alice", "hub", "access-2")
		if w.provider.reused > 0 {
			t.Error("a refresh token was used twice")
		}
	})
}

// A store that fails after the provider has answered costs nobody their sign-in, if
// it comes back.
func TestStoreDownAfterRotation(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		pass(2 * time.Hour)
		w.store.set(func(op, key string) bool { return op == "swap" && strings.HasPrefix(key, "account/") })
		began := time.Now()
		wantToken(t, b, "alice", "hub", "access-2")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the caller waited %v for the store", took)
		}
		pass(20 * time.Second)
		w.store.set(nil)
		pass(2 * time.Second)
		other := w.replica()
		defer other.Close()
		wantToken(t, other, "alice", "hub", "access-2")
		pass(2 * time.Hour)
		wantToken(t, other, "alice", "hub", "access-3")
	})
}

// A write that went through and seemed to fail is not done twice over.
func TestStoreAnswerLost(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, _ *accounts.Book) {
		lossy := &lossyStore{Store: w.store}
		b := w.replica(func(c *accounts.Config) { c.Store = lossy })
		defer b.Close()
		pass(2 * time.Hour)
		wantToken(t, b, "alice", "hub", "access-2")
		pass(2 * time.Hour)
		wantToken(t, b, "alice", "hub", "access-3")
		if w.provider.reused > 0 {
			t.Error("a refresh token was used twice")
		}
	})
}

// lossyStore swaps, and says that it failed.
type lossyStore struct{ store.Store }

func (l *lossyStore) Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if ok, err := l.Store.Swap(ctx, key, old, value, ttl); ok || err != nil {
		return false, errStore
	}
	return false, nil
}

// While the store is down a token that was shown goes on, as long as it is good.
func TestStoreDown(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		wantToken(t, b, "alice", "hub", "access-1")
		w.store.set(always)
		pass(10 * time.Minute)
		wantToken(t, b, "alice", "hub", "access-1")
		_, err := b.Token(t.Context(), "bob", "hub")
		wantUnavailable(t, err)
		pass(time.Hour)
		_, err = b.Token(t.Context(), "alice", "hub")
		wantUnavailable(t, err)
		w.store.set(nil)
		pass(5 * time.Second)
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// killed makes a replica that ends, as by kill -9, at a moment: nothing of what it does
// later reaches the store.
func (w *world) killed(at func(op, key string) bool) (b *accounts.Book, dead chan struct{}) {
	dead = make(chan struct{})
	s := &shakyStore{Store: w.store.Store}
	gone := false
	s.set(func(op, key string) bool {
		if !gone && at(op, key) {
			gone = true
			close(dead)
		}
		return gone
	})
	return w.replica(func(c *accounts.Config) { c.Store = s }), dead
}

func atSwapOfAccount(op, key string) bool { return op == "swap" && strings.HasPrefix(key, "account/") }

// REQ D-8: a replica that is killed between the provider's answer and the store leaves
// nothing that blocks the others. Whether the person has to sign in again is then the
// provider's choice.
func TestKilledBeforeStoring(t *testing.T) {
	for name, lenient := range map[string]bool{"strict": false, "lenient": true} {
		t.Run(name, func(t *testing.T) {
			renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
				w.provider.set(func(p *provider) { p.lenient = lenient })
				victim, dead := w.killed(atSwapOfAccount)
				pass(2 * time.Hour)
				go func() { _, _ = victim.Token(context.Background(), "alice", "hub") }()
				<-dead
				began := time.Now()
				got, err := b.Token(t.Context(), "alice", "hub")
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("blocked for %v by a replica that is dead", took)
				}
				if lenient {
					if err != nil || reveal(got) != "access-3" {
						t.Errorf("got %q, %v", reveal(got), err)
					}
				} else {
					wantNotLinked(t, err, true)
				}
				_ = victim.Close()
			})
		})
	}
}

// A slow provider keeps its lease: no second replica comes with the same token.
func TestSlowProviderKeepsLease(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		other := w.replica()
		defer other.Close()
		pass(2 * time.Hour)
		got := make(chan string, 2)
		for _, replica := range []*accounts.Book{b, other} {
			go func() {
				tokens, err := replica.Token(context.Background(), "alice", "hub")
				if err != nil {
					t.Error(err)
				}
				got <- reveal(tokens)
			}()
		}
		pass(18 * time.Second)
		if n := w.provider.count(); n != 1 {
			t.Errorf("%d replicas asked", n)
		}
		close(hangs)
		if x, y := <-got, <-got; x != "access-2" || y != "access-2" {
			t.Errorf("got %s and %s", x, y)
		}
	})
}

// Two replicas that both believe to be alone: the one that the provider refused does
// not end what the other got.
func TestLostLease(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		w.store.set(func(_, key string) bool { return false })
		alone := &leaselessStore{Store: w.store}
		hold := make(chan struct{})
		slow := w.replica(func(c *accounts.Config) {
			c.Store = alone
			c.Refresh = func(ctx context.Context, name string, refresh secret.Value) (*oauth.Tokens, error) {
				tokens, err := w.provider.refresh(ctx, name, refresh)
				<-hold
				return tokens, err
			}
		})
		defer slow.Close()
		pass(2 * time.Hour)
		got := make(chan string)
		go func() {
			tokens, err := slow.Token(context.Background(), "alice", "hub")
			if err != nil {
				t.Error(err)
			}
			got <- reveal(tokens)
		}()
		synctest.Wait() // the slow one has access-2, and has stored nothing
		w.provider.set(func(p *provider) { p.grants["refresh-1"].before = "" })
		_, err := b.Token(t.Context(), "alice", "hub")
		wantNotLinked(t, err, true)
		close(hold)
		if s := <-got; s != "access-2" {
			t.Errorf("the slow one has %q", s)
		}
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// leaselessStore lets everybody have every lease.
type leaselessStore struct{ store.Store }

func (l *leaselessStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if strings.HasPrefix(key, "refreshing/") {
		return true, nil
	}
	return l.Store.Add(ctx, key, value, ttl)
}

// An account that is unlinked while it is renewed stays unlinked, and the grant that
// came too late is ended.
func TestUnlinkWhileRenewing(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		pass(2 * time.Hour)
		got := make(chan error)
		go func() {
			_, err := b.Token(context.Background(), "alice", "hub")
			got <- err
		}()
		synctest.Wait()
		w.provider.set(func(p *provider) { p.grants["refresh-1"].ended = false })
		if err := b.Unlink(t.Context(), "alice", "hub"); err != nil {
			t.Fatal(err)
		}
		w.provider.set(func(p *provider) { p.grants["refresh-1"].ended = false }) // the provider has no revocation
		close(hangs)
		wantNotLinked(t, <-got, false)
		_, err := b.Token(t.Context(), "alice", "hub")
		wantNotLinked(t, err, false)
		if diff := cmp.Diff([]string{"refresh-1", "refresh-2"}, w.provider.revoked); diff != "" {
			t.Errorf("revoked: %s", diff)
		}
	})
}

// A new sign-in wins over a renewal that was under way.
func TestLinkWhileRenewing(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		pass(2 * time.Hour)
		got := make(chan string)
		go func() {
			tokens, err := b.Token(context.Background(), "alice", "hub")
			if err != nil {
				t.Error(err)
			}
			got <- reveal(tokens)
		}()
		synctest.Wait()
		link(t, b, "alice", "hub", w.provider.signIn())
		close(hangs)
		if s := <-got; s != "access-2" {
			t.Errorf("the one who waited got %q", s)
		}
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// Providers that issue a refresh token at the first sign-in only: it goes on for the
// same person, and not for another.
func TestLinkWithoutRefreshToken(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		again := w.provider.signIn()
		again.Refresh = secret.Value{}
		link(t, b, "alice", "hub", again)
		pass(2 * time.Hour)
		wantToken(t, b, "alice", "hub", "access-3")
		other := w.provider.signIn()
		other.Refresh = secret.Value{}
		if err := b.Link(t.Context(), "alice", "hub", accounts.Who{Subject: "somebody else"}, other); err != nil {
			t.Fatal(err)
		}
		wantToken(t, b, "alice", "hub", "access-4")
		pass(2 * time.Hour)
		_, err := b.Token(t.Context(), "alice", "hub")
		wantNotLinked(t, err, true)
	})
}

// A token that a backend does not take is renewed once; one that is new is not, since
// then the grant does not suffice.
func TestRefusedByBackend(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		first, err := b.Token(t.Context(), "alice", "hub")
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		second, err := b.Renew(t.Context(), "alice", "hub", first.Access)
		if err != nil || reveal(second) != "access-2" {
			t.Fatalf("renewed: %q, %v", reveal(second), err)
		}
		late, err := b.Renew(t.Context(), "alice", "hub", first.Access) // a call that was under way
		if err != nil || reveal(late) != "access-2" {
			t.Errorf("renewed: %q, %v", reveal(late), err)
		}
		_, err = b.Renew(t.Context(), "alice", "hub", second.Access)
		wantNotLinked(t, err, true)
		if n := w.provider.count(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		wantToken(t, b, "alice", "hub", "access-2")
	})
}

// FINDING 2.1
// What is made of an account is refused although its token was renewed: it counts as
// ended where people sign in, and serves others still. REQ D-9
func TestDoubt(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		ended := func() bool {
			list, err := b.List(t.Context(), "alice")
			if err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			return list[0].Ended
		}
		doubt := func(again bool) {
			t.Helper()
			if got, err := b.Doubt(t.Context(), "alice", "hub"); got != again || err != nil {
				t.Errorf("doubted again: %v, %v, want %v", got, err, again)
			}
		}
		first, err := b.Token(t.Context(), "alice", "hub")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Renew(t.Context(), "alice", "hub", first.Access); err != nil {
			t.Errorf("a token of a new sign-in is not renewed: %v", err)
		}
		if ended() {
			t.Error("ended before there is a doubt")
		}
		doubt(false)
		doubt(false)
		pass(time.Hour)
		if !ended() {
			t.Error("an account in doubt does not count as ended")
		}
		second, err := b.Token(t.Context(), "alice", "hub")
		if err != nil {
			t.Errorf("others get no token: %v", err)
		}
		_, err = b.Renew(t.Context(), "alice", "hub", second.Access)
		wantNotLinked(t, err, true)
		link(t, b, "alice", "hub", w.provider.signIn())
		if ended() {
			t.Error("a new sign-in does not mend it")
		}
		doubt(true)
		link(t, b, "alice", "hub", w.provider.signIn())
		pass(10 * time.Minute)
		doubt(false)
		if again, err := b.Doubt(t.Context(), "nobody", "hub"); again || err != nil {
			t.Errorf("an account that is not there: %v, %v", again, err)
		}
	})
}

// What another replica unlinked or exchanged is noticed within a minute, and an account
// in use never leaves the store.
func TestOtherReplicasNotice(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, b *accounts.Book) {
		other := w.replica()
		defer other.Close()
		forever := w.provider.signIn()
		forever.Expires, forever.Refresh = time.Time{}, secret.Value{}
		link(t, b, "bob", "hub", forever)
		wantToken(t, other, "bob", "hub", "access-2")
		wantToken(t, other, "alice", "hub", "access-1")
		if err := b.Unlink(t.Context(), "alice", "hub"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		_, err := other.Token(t.Context(), "alice", "hub")
		wantNotLinked(t, err, false)
		for range 10 { // more than a year
			pass(40 * 24 * time.Hour)
			wantToken(t, other, "bob", "hub", "access-2")
		}
		if list, err := other.List(t.Context(), "bob"); err != nil || len(list) != 1 {
			t.Errorf("bob has %v, %v", list, err)
		}
		pass(200 * 24 * time.Hour)
		_, err = other.Token(t.Context(), "bob", "hub")
		wantNotLinked(t, err, false)
	})
}

// A gateway that ends stores what it got.
func TestCloseWaits(t *testing.T) {
	renewing(t, func(t *testing.T, w *world, _ *accounts.Book) {
		b := w.replica()
		hangs := make(chan struct{})
		w.provider.set(func(p *provider) { p.hangs = hangs })
		pass(2 * time.Hour)
		go func() { _, _ = b.Token(context.Background(), "alice", "hub") }()
		synctest.Wait()
		time.AfterFunc(3*time.Second, func() { close(hangs) })
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_, err := b.Token(t.Context(), "carol", "hub")
		wantNotLinked(t, err, false)
		other := w.replica()
		defer other.Close()
		wantToken(t, other, "alice", "hub", "access-2")
	})
}

// Log lines name the provider and hold no token (REQ D-6).
func TestLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(time.Hour)
		p.prefix = "canary-"
		w := newWorld(t, store.NewMemory(), p)
		b := w.replica()
		defer b.Close()
		link(t, b, "alice", "hub", p.signIn())
		pass(2 * time.Hour)
		wantToken(t, b, "alice", "hub", "canary-access-2")
		p.set(func(p *provider) { p.fails = errDown })
		pass(2 * time.Hour)
		_, err := b.Token(t.Context(), "alice", "hub")
		wantUnavailable(t, err)
		p.set(func(p *provider) { p.fails = nil; p.grants["canary-refresh-2"].ended = true })
		pass(10 * time.Second)
		_, ended := b.Token(t.Context(), "alice", "hub")
		wantNotLinked(t, ended, true)
		text := w.log.String()
		if strings.Contains(text+err.Error()+ended.Error(), "canary") {
			t.Errorf("a token is in the log or in an error:\n%s", text)
		}
		lines := strings.Split(strings.TrimSpace(text), "\n")
		for _, line := range lines {
			if !strings.Contains(line, "provider=hub") {
				t.Errorf("a line does not name the provider: %s", line)
			}
		}
		if len(lines) < 3 {
			t.Errorf("only %d lines:\n%s", len(lines), text)
		}
	})
}
