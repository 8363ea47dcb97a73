package keep

import (
	"sync"
	"time"
)

// Patience calls what waits for something once that has taken too long, the same time for
// all who wait. Most stop waiting long before: so they stand in a line that one timer is
// for, and cost no timer of their own. It is safe for use by many goroutines.
type Patience struct {
	limit time.Duration

	mu          sync.Mutex
	first, last *Waiting // who has waited for longest, and who came last
	timer       *time.Timer
	running     bool // the timer
}

// Waiting is a place in the line. Its zero value is ready; it is used once.
type Waiting struct {
	late       func()
	until      time.Time
	prev, next *Waiting
	inLine     bool
}

// NewPatience makes a line of who waits for limit at most.
func NewPatience(limit time.Duration) *Patience { return &Patience{limit: limit} }

// Wait calls late, on a goroutine of its own, unless Stop comes before.
func (p *Patience) Wait(w *Waiting, late func()) {
	w.late, w.until = late, time.Now().Add(p.limit)
	p.mu.Lock()
	defer p.mu.Unlock()
	w.inLine, w.prev = true, p.last
	if p.last == nil {
		p.first = w
	} else {
		p.last.next = w
	}
	p.last = w
	if !p.running {
		p.run(p.limit)
	}
}

// Stop ends a wait. What is late already may still be called.
func (p *Patience) Stop(w *Waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(w)
}

// run starts the timer; mu is held. It is not stopped when the line empties: it comes
// once more, and finds nobody.
func (p *Patience) run(after time.Duration) {
	p.running = true
	if p.timer == nil {
		p.timer = time.AfterFunc(after, p.look)
		return
	}
	p.timer.Reset(after)
}

// leave takes w out of the line, if it is in it; mu is held.
func (p *Patience) leave(w *Waiting) {
	if !w.inLine {
		return
	}
	w.inLine = false
	if w.prev == nil {
		p.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		p.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

// look calls who has waited for too long.
func (p *Patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
	for now := time.Now(); p.first != nil; {
		w := p.first
		if rest := w.until.Sub(now); rest > 0 {
			p.run(rest)
			return
		}
		p.leave(w)
		go w.late()
	}
}
