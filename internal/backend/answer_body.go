package backend

import (
	"errors"
	"io"
	"sync"
)

var errAnswerTooLarge = errors.New("answer larger than the limit")

// checkedBody is an answer whose beginning was checked. A goroutine other than the
// reader's may close it.
type checkedBody struct {
	rest    io.ReadCloser
	allowed int64 // of rest

	mu    sync.Mutex
	head  *[]byte // whose memory ahead is; nil when given back
	ahead []byte
	err   error // what follows behind ahead, when it is known
}

func (b *checkedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if len(b.ahead) > 0 {
		defer b.mu.Unlock()
		n := copy(p, b.ahead)
		if b.ahead = b.ahead[n:]; len(b.ahead) == 0 {
			b.giveBack()
		}
		return n, nil
	}
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := b.rest.Read(p)
	if b.allowed -= int64(n); b.allowed < 0 {
		closeBody(b.rest)
		return 0, errAnswerTooLarge
	}
	return n, err
}

// giveBack returns the buffer; mu is held.
func (b *checkedBody) giveBack() {
	if b.head != nil {
		prefixes.Put(b.head)
	}
	b.head, b.ahead = nil, nil
}

func (b *checkedBody) Close() error {
	b.mu.Lock()
	b.giveBack()
	if b.err == nil {
		b.err = errBodyDone
	}
	b.mu.Unlock()
	return b.rest.Close()
}
