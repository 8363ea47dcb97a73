package backend

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxMailbox is how many bytes may wait for a reader that does not keep up. One
// message alone may be longer.
const maxMailbox = 4 << 20

// letter is one thing that a stream is told.
type letter struct {
	raw     []byte
	last    bool     // the response: nothing follows
	status  int      // of HTTP, for a response that comes alone
	failure *Failure // instead of a response: nothing follows
}

// mailbox holds the messages of one stream until it is read.
type mailbox struct {
	mu      sync.Mutex
	letters []letter
	size    int           // bytes in letters
	ended   bool          // the last letter is in
	closed  error         // what take says once letters are gone; nil while open
	wake    chan struct{} // holds one token after a change that take waits for
	room    chan struct{} // holds one token after a change that put waits for
}

func newMailbox() *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// What put says of a letter that is not in the box.
var (
	errMailboxClosed = errors.New("nobody reads the stream any more")
	errMailboxFull   = errors.New("the client reads too slowly")
)

// put adds a letter. When the box is full it waits for the reader, as long as
// patience lasts since the reader last took something: that is how a server that
// talks faster than the client reads is slowed down.
func (m *mailbox) put(l letter, patience time.Duration) error {
	for {
		if done, err := m.offer(l); done {
			return err
		}
		if patience <= 0 {
			return errMailboxFull
		}
		timer := time.NewTimer(patience)
		select {
		case <-m.room:
			timer.Stop()
		case <-timer.C:
			return errMailboxFull
		}
	}
}

// offer puts a letter in if there is room. The last one is never held back, and
// nothing is put behind it.
func (m *mailbox) offer(l letter) (done bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := l.last || l.failure != nil
	switch {
	case m.closed != nil || m.ended:
		return true, errMailboxClosed
	case len(m.letters) > 0 && m.size+len(l.raw) > maxMailbox && !last:
		return false, nil
	}
	m.add(l)
	if last {
		m.ended = true
		signal(m.room) // for nothing else
	}
	return true, nil
}

// add appends without asking for room. The caller holds m.mu, or nobody else knows
// m yet.
func (m *mailbox) add(l letter) {
	m.letters = append(m.letters, l)
	m.size += len(l.raw)
	signal(m.wake)
}

// take returns the next letter, and waits for one until ctx ends or the box is
// closed. One goroutine at a time may take.
func (m *mailbox) take(ctx context.Context) (letter, error) {
	for {
		m.mu.Lock()
		if len(m.letters) > 0 {
			l := m.letters[0]
			m.letters[0] = letter{}
			m.letters = m.letters[1:]
			m.size -= len(l.raw)
			signal(m.room)
			m.mu.Unlock()
			return l, nil
		}
		closed := m.closed
		m.mu.Unlock()
		if closed != nil {
			return letter{}, closed
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			return letter{}, context.Cause(ctx)
		}
	}
}

// close ends the box with err and returns what nobody has read. Only the first
// close counts.
func (m *mailbox) close(err error) []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed != nil {
		return nil
	}
	rest := m.letters
	m.letters, m.size, m.closed = nil, 0, err
	signal(m.wake)
	signal(m.room)
	return rest
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
