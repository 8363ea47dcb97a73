package keep_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

func by(who string) func() string { return func() string { return who } }

// What is read comes back whole, whatever its length and however it was announced.
func TestBudgetReads(t *testing.T) {
	t.Parallel()
	const limit = 300_000
	b := keep.NewBudget(1<<20, 1<<20, time.Minute)
	for _, n := range []int{0, 1, 4096, 4097, 65_536, 65_537, 131_072, limit, limit + 1} {
		text := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		for _, announced := range []int64{int64(n), -1} {
			got, held, err := b.Read(t.Context(), iotestReader{bytes.NewReader(text)}, announced, limit, by("a"))
			switch {
			case n > limit:
				if !errors.Is(err, keep.ErrTooLarge) {
					t.Errorf("%d bytes, announced %d: %v", n, announced, err)
				}
			case err != nil || !bytes.Equal(got, text):
				t.Errorf("%d bytes, announced %d: %d, %v", n, announced, len(got), err)
			}
			held.Release()
		}
	}
	if _, _, err := b.Read(t.Context(), strings.NewReader("short"), 70_000, limit, by("a")); err == nil {
		t.Error("less than announced was taken")
	}
	// Nothing is held any more: all of it is there at once.
	_, held, err := b.Read(t.Context(), io.LimitReader(zeros{}, 700_000), 700_000, 1<<20, by("a"))
	if err != nil {
		t.Error(err)
	}
	held.Release()
}

// iotestReader gives little at a time.
type iotestReader struct{ io.Reader }

func (r iotestReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1000)]) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// stuck sends some bytes and then nothing.
type stuck struct {
	left int
	end  chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	if s.left == 0 {
		<-s.end
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// FINDING S2; REQ G-2: one sender who holds all it may have is no obstacle to others,
// large ones leave room for small ones, and what ends makes room.
func TestBudgetIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const mb = 1 << 20
		b := keep.NewBudget(64*mb, 16*mb, 5*time.Second)
		end := make(chan struct{})
		read := func(who string, size int) error {
			_, held, err := b.Read(t.Context(), io.LimitReader(zeros{}, int64(size)), int64(size), 8*mb, by(who))
			held.Release()
			return err
		}
		hang := func(who string) {
			go func() {
				_, _, _ = b.Read(t.Context(), &stuck{8*mb - 1, end}, 8*mb, 8*mb, by(who))
			}()
			synctest.Wait()
		}
		hang("mallory")
		hang("mallory")
		begun := time.Now()
		if err := read("mallory", 5000); !errors.Is(err, keep.ErrNoRoom) || time.Since(begun) != 5*time.Second {
			t.Errorf("who holds its share: %v after %v", err, time.Since(begun))
		}
		if err := read("alice", 8*mb); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		for _, who := range []string{"m2", "m2", "m3", "m3"} {
			hang(who)
		}
		if err := read("alice", mb); !errors.Is(err, keep.ErrNoRoom) {
			t.Errorf("large, where there is only room for small ones: %v", err)
		}
		if err := read("alice", 64<<10); err != nil {
			t.Errorf("small: %v", err)
		}
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, _, err := b.Read(ctx, zeros{}, mb, mb, by("alice")); !errors.Is(err, context.Canceled) {
			t.Errorf("who leaves: %v", err)
		}
		got := make(chan error)
		go func() { got <- read("alice", 8*mb) }()
		close(end)
		if err := <-got; err != nil {
			t.Errorf("when the others are gone: %v", err)
		}
	})
}
