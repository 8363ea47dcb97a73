package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/mcp"
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

var prefixes = sync.Pool{New: func() any { b := make([]byte, readAheadLength); return &b }}

// readAhead reads the whole body if it is short, or the first readAheadLength bytes.
func (a *answer) readAhead(ctx context.Context) *Failure {
	if f := a.encoding(); f != nil {
		return f
	}
	if a.resp.ContentLength > a.limits.MaxAnswerBytes {
		return a.tooLarge()
	}
	a.head = prefixes.Get().(*[]byte)
	buf := *a.head
	for a.n < len(buf) && !a.complete {
		n, err := a.resp.Body.Read(buf[a.n:])
		a.n += n
		switch {
		case err == io.EOF:
			a.complete = true
		case err != nil:
			return a.broke(ctx, err)
		}
	}
	if text, ok := bytes.CutPrefix(buf[:a.n], []byte(mcp.BOM)); ok {
		a.n = copy(buf, text) // clients would trip over it (RFC 8259 §8.1)
		if a.resp.ContentLength > 0 {
			a.resp.ContentLength -= int64(len(mcp.BOM))
		}
	}
	return nil
}

func (a *answer) tooLarge() *Failure {
	return a.fail(http.StatusBadGateway, ReasonTooLarge, errAnswerTooLarge,
		fmt.Sprintf("the backend's answer is larger than the %d bytes that the gateway passes on", a.limits.MaxAnswerBytes))
}

// broke maps a body that ended early.
func (a *answer) broke(ctx context.Context, err error) *Failure {
	switch {
	case ctx.Err() != nil:
		return Ended(ctx, a.backend)
	case errors.Is(err, h1.ErrTimeout):
		return TimedOut(a.backend, errors.New("the answer stopped in its middle"))
	}
	return a.fail(http.StatusBadGateway, ReasonBadAnswer, fmt.Errorf("read answer: %w", Scrub(err)),
		"the backend's answer broke off; the request may have been processed")
}

func (a *answer) mustBeJSON() *Failure {
	if a.complete && a.n == 0 {
		return a.bad("empty", "the backend gave an empty answer")
	}
	text := (*a.head)[:a.n]
	var err error
	if len(text) <= checkedLength {
		err = mcp.CheckAnswer(text, a.complete)
	} else if err = mcp.CheckAnswer(text[:checkedLength], false); err == nil && a.complete && !endsAsJSON(text) {
		err = errors.New("cut off")
	}
	if err != nil {
		return a.bad("not valid JSON", "the backend's answer is not valid JSON")
	}
	return nil
}

// endsAsJSON reports whether an object or array may end as text does.
func endsAsJSON(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n")
	return len(text) > 0 && (text[len(text)-1] == '}' || text[len(text)-1] == ']')
}

// pass hands the body on: what was read ahead, and the rest behind it.
func (a *answer) pass(out *Response) {
	body := &checkedBody{head: a.head, ahead: (*a.head)[:a.n], rest: a.resp.Body, allowed: a.limits.MaxAnswerBytes - int64(a.n)}
	out.ContentLength = a.resp.ContentLength
	if a.complete {
		out.ContentLength = int64(a.n)
		body.err = io.EOF
	}
	a.head = nil
	out.Body, out.Ahead = body, body.ahead
}

// release gives the buffer of a failed answer back.
func (a *answer) release() {
	if a.head != nil {
		prefixes.Put(a.head)
		a.head = nil
	}
}
