package keep

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Budget bounds the memory that what comes from outside takes while it is there: of all
// together, and of each who sends. What is large leaves a part of it to what is small.
// It is safe for use by many goroutines.
type Budget struct {
	total, each int64
	patience    time.Duration

	mu    sync.Mutex
	taken int64
	held  map[string]int64 // by who sends
	freed chan struct{}    // closed when something was given back
}

// Reasons why a [Budget] did not let something in.
var (
	ErrNoRoom   = errors.New("there is no room for the bytes that came")
	ErrTooLarge = errors.New("there are more bytes than the limit")
)

const (
	// unheld is what is read without a look at the budget: as much as any connection has.
	unheld = 4 << 10
	// block is how much is taken at a time, as bytes come. What is announced and does not
	// come takes no more than that.
	block = 64 << 10
)

// NewBudget makes a budget of total bytes, of which each sender has at most each. Who
// finds no room waits that long for some.
func NewBudget(total, each int64, patience time.Duration) *Budget {
	return &Budget{total: total, each: each, patience: patience, held: map[string]int64{}, freed: make(chan struct{})}
}

// Held is what a sender holds of a budget. A nil one holds nothing.
type Held struct {
	of  *Budget
	who string
	n   int64
}

// Read reads r to its end: size bytes, or where that is negative up to limit. who is
// asked for who sends, if that is to be known. What was read is held until Release.
func (b *Budget) Read(ctx context.Context, r io.Reader, size, limit int64, who func() string) ([]byte, *Held, error) {
	if size > limit {
		return nil, nil, ErrTooLarge
	}
	if size >= 0 && size <= unheld {
		body := make([]byte, size)
		_, err := io.ReadFull(r, body)
		return body, nil, err
	}
	h := &Held{of: b, who: who()}
	body, err := h.read(ctx, r, size, limit)
	if err != nil {
		h.Release()
		return nil, nil, err
	}
	return body, h, nil
}

func (h *Held) read(ctx context.Context, r io.Reader, size, limit int64) ([]byte, error) {
	var blocks []*[block]byte
	defer func() {
		for _, p := range blocks {
			blockPool.Put(p)
		}
	}()
	want, total := size, int64(0)
	if size < 0 {
		want = limit + 1 // one more than may come tells
	}
	for more := true; more && total < want; {
		if err := h.take(ctx, min(block, want-total)); err != nil {
			return nil, err
		}
		p := blockPool.Get().(*[block]byte)
		blocks = append(blocks, p)
		n, err := io.ReadFull(r, p[:min(block, want-total)])
		total += int64(n)
		switch {
		case err == nil:
		case size < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF):
			more = false
		default:
			return nil, err
		}
	}
	if total > limit {
		return nil, ErrTooLarge
	}
	body := make([]byte, 0, total)
	for _, p := range blocks {
		body = append(body, p[:min(block, total-int64(len(body)))]...)
	}
	return body, nil
}

var blockPool = sync.Pool{New: func() any { return new([block]byte) }}

// take takes n bytes more, or waits for them.
func (h *Held) take(ctx context.Context, n int64) error {
	b := h.of
	var late <-chan time.Time
	for {
		b.mu.Lock()
		left := b.total - b.taken
		if h.n > 0 { // what is large leaves a quarter to what fits into a block
			left -= b.total / 4
		}
		if n <= left && b.held[h.who]+n <= b.each {
			b.taken += n
			b.held[h.who] += n
			h.n += n
			b.mu.Unlock()
			return nil
		}
		freed := b.freed
		b.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(b.patience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-freed:
		case <-late:
			return ErrNoRoom
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Release gives back what is held.
func (h *Held) Release() {
	if h == nil || h.n == 0 {
		return
	}
	b := h.of
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= h.n
	if b.held[h.who] -= h.n; b.held[h.who] == 0 {
		delete(b.held, h.who)
	}
	h.n = 0
	close(b.freed)
	b.freed = make(chan struct{})
}
