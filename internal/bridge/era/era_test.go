package era_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bridge/era"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// server is one that can be asked.
type server struct {
	modern bool
	err    error
	asked  int
}

func (s *server) ask() (bool, error) {
	s.asked++
	<-time.After(time.Second) // in a bubble: others come meanwhile
	return s.modern, s.err
}

// doubt fails the test unless the memory says this of a server, after this many questions in all.
func (s *server) doubt(t *testing.T, m *era.Memory, believed, want bool, asked int) {
	t.Helper()
	if got, err := m.Doubt(t.Context(), believed, s.ask); got != want || err != nil || s.asked != asked {
		t.Errorf("modern %v, %v after %d questions; want %v after %d", got, err, s.asked, want, asked)
	}
}

// A doubt without ground is not raised again for a minute; a change is found at once.
func TestDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, s := era.New(""), &server{modern: true}
		s.doubt(t, m, true, true, 1) // nothing was known
		s.doubt(t, m, true, true, 2)
		for range 10 {
			s.doubt(t, m, true, true, 2)
		}
		s.modern = false
		s.doubt(t, m, true, true, 2)
		<-time.After(time.Minute)
		s.doubt(t, m, true, false, 3)
		s.doubt(t, m, true, false, 3) // who sent before that was known
		s.modern = true
		s.doubt(t, m, false, true, 4)
		s.modern = false
		s.doubt(t, m, true, false, 5)
	})
}

// Of many that doubt at once, one asks: also of a server of which nothing is known.
func TestDoubtTogether(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]uint32{"nothing is known": 0, "modern": era.ModernKnown | era.ModernYes} {
		for _, modern := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				m, s := era.New(""), &server{modern: modern}
				m.Found(known)
				var all sync.WaitGroup
				for range 100 {
					all.Go(func() {
						if got, err := m.Doubt(t.Context(), true, s.ask); got != modern || err != nil {
							t.Errorf("%s: modern %v, %v", name, got, err)
						}
					})
				}
				all.Wait()
				want := 1
				if known == 0 && modern {
					want = 2 // the first one found out, and only the second one doubted
				}
				if s.asked != want {
					t.Errorf("%s, is modern %v: asked %d times, want %d", name, modern, s.asked, want)
				}
			})
		}
	}
}

// What could not be found out is asked again, and nobody waits longer than he wants to.
func TestDoubtInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, s := era.New(""), &server{modern: true, err: errors.New("refused")}
		for i := range 3 {
			if _, err := m.Doubt(t.Context(), true, s.ask); !errors.Is(err, s.err) || s.asked != i+1 {
				t.Errorf("%v after %d questions", err, s.asked)
			}
		}
		if _, known := m.Modern(); known {
			t.Error("it was learned from a server that said nothing")
		}
		go func() { _, _ = m.Doubt(t.Context(), true, s.ask) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := m.Doubt(ctx, true, s.ask); !errors.Is(err, context.DeadlineExceeded) || s.asked != 4 {
			t.Errorf("who waits for no more than a moment: %v after %d questions", err, s.asked)
		}
		<-time.After(time.Second)
	})
}

// What the manifest says is not doubted.
func TestFixed(t *testing.T) {
	t.Parallel()
	for _, speaks := range []mcp.Revision{mcp.Rev20251125, mcp.Rev20260728} {
		m, s := era.New(speaks), &server{modern: !speaks.Modern()}
		s.doubt(t, m, !speaks.Modern(), speaks.Modern(), 0)
		m.Found(era.ModernYes | era.LegacyYes)
		m.Store(0)
		if modern, known := m.Modern(); modern != speaks.Modern() || !known || !m.Fixed() {
			t.Errorf("%s: modern %v, known %v", speaks, modern, known)
		}
	}
}
