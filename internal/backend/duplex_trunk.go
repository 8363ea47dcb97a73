package backend

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// trunk is the connection of one session, or the one that all sessionless clients
// share, over all the links it has one after the other: a link that ended is
// opened again when the next request wants one. The trunk knows which requests are
// in flight and brings each its answer.
type trunk struct {
	trunkConfig
	log  *slog.Logger
	user trunkUser

	ctx    context.Context // ends when the trunk is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex // guards what follows, and what users say it guards
	life     *life      // the link from its opening to its end; nil while there is none
	lives    int        // how many were begun, this one included
	up       bool       // life was greeted and takes requests
	starting *starting  // nil while nothing is being opened
	closed   *Failure   // what whoever still comes is told; nil while open
	calls    map[string]*call
	serial   uint64 // of the last call
	back     backoff
	busy     int       // exchanges and streams that hold the trunk
	used     time.Time // when the last of them ended
	idle     *time.Timer
}

type trunkConfig struct {
	name     string // of the server, for messages
	opener   opener
	first    outbound      // opens every link
	answer   time.Duration // the longest wait for the head of an answer
	rest     time.Duration // without anything going on, before user.idle
	patience time.Duration // with a client that reads too slowly; see mailbox.put
}

// trunkUser is what makes a trunk a session or a shared connection. Methods with
// "locked" in their comment are called with trunk.mu held.
type trunkUser interface {
	// greet starts the conversation over a new link.
	greet(ctx context.Context) *Failure
	// begun sees a call before anything can answer it; locked.
	begun(c *call)
	// untold takes back what was put into the stream of a call that failed before it
	// had one; locked.
	untold(rest []letter)
	// answered sees the response to c, and makes of it what the client gets, with
	// its HTTP status; locked.
	answered(c *call, m message) (raw []byte, status int)
	// unasked takes a message that is no response.
	unasked(m message)
	// cancellation is what tells the server that nobody waits for c any more; nil
	// when it must not be told.
	cancellation(c *call) []byte
	// interrupted says that the link has ended unasked.
	interrupted()
	// idled says that nothing has gone on for the time of rest.
	idled()
}

// starting is the opening of a link, which several requests may wait for.
type starting struct {
	done    chan struct{}
	failure *Failure // read after done
}

func newTrunk(cfg trunkConfig, log *slog.Logger, user trunkUser) *trunk {
	t := &trunk{trunkConfig: cfg, log: log, user: user, calls: make(map[string]*call)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.idle = time.AfterFunc(cfg.rest, t.checkIdle)
	t.idle.Stop() // until leave
	return t
}

// ready waits until there is a link that takes requests, and opens one if there is
// none.
func (t *trunk) ready(ctx context.Context) *Failure {
	t.mu.Lock()
	switch {
	case t.closed != nil:
		defer t.mu.Unlock()
		return t.closed
	case t.up:
		t.mu.Unlock()
		return nil
	}
	s := t.starting
	if s == nil {
		wait := t.back.wait(time.Now())
		if wait > maxBackoffWait {
			t.mu.Unlock()
			return comeAgain(t.name, wait, "the server keeps ending; see the gateway's log")
		}
		s = &starting{done: make(chan struct{})}
		t.starting = s
		t.tasks.Go(func() { t.start(s, wait) })
	}
	t.mu.Unlock()
	select {
	case <-s.done:
		return s.failure
	case <-ctx.Done():
		return ended(ctx, t.name)
	}
}

// comeAgain is the Failure of a request in a back-off that it is not worth waiting
// for.
func comeAgain(name string, wait time.Duration, why string) *Failure {
	f := fail(name, http.StatusServiceUnavailable, ReasonCrashed, nil,
		fmt.Sprintf("%s; the next attempt is in %s", why, wait.Round(time.Second)))
	f.RetryAfter = wait
	return f
}

func (t *trunk) start(s *starting, wait time.Duration) {
	ctx, cancel := context.WithTimeout(t.ctx, t.answer)
	defer cancel()
	s.failure = t.open(ctx, wait)
	t.mu.Lock()
	switch {
	case t.closed != nil:
		s.failure = t.closed
	case s.failure == nil && t.life == nil:
		s.failure = fail(t.name, http.StatusBadGateway, ReasonCrashed, nil, "the server ended as soon as it had started; see the gateway's log")
	case s.failure == nil:
		t.up = true
	}
	t.starting = nil
	t.mu.Unlock()
	close(s.done)
}

func (t *trunk) open(ctx context.Context, wait time.Duration) *Failure {
	if !sleep(ctx, wait) {
		return ended(ctx, t.name)
	}
	l := &life{t: t, since: time.Now()}
	t.mu.Lock()
	t.lives++
	t.mu.Unlock()
	conn, f := t.opener.open(ctx, t.first, l)
	if f != nil {
		if f.RetryAfter == 0 { // else there was no attempt
			t.mu.Lock()
			t.back.failed(time.Now(), 0)
			t.mu.Unlock()
		}
		return f
	}
	t.mu.Lock()
	l.link = conn
	over, closed := l.over, t.closed
	switch {
	case closed != nil:
		l.detached = true
	case over == nil:
		t.life = l
	}
	t.mu.Unlock()
	if closed != nil {
		conn.close()
		return closed
	}
	if over != nil {
		return over
	}
	if f := t.user.greet(ctx); f != nil {
		t.mu.Lock()
		t.detach(l)
		t.mu.Unlock()
		conn.close()
		return f
	}
	return nil
}

// detach takes the trunk's hand off a link that is still there; locked.
func (t *trunk) detach(l *life) {
	l.detached = true
	if t.life == l {
		t.life, t.up = nil, false
	}
}

// close ends the trunk for good and waits until nothing is left of it. Whoever
// waits for an answer is told f.
func (t *trunk) close(f *Failure) {
	t.mu.Lock()
	if t.closed == nil {
		t.closed = f
	}
	calls := t.calls
	t.calls = nil
	l := t.life
	if l != nil {
		t.detach(l)
	}
	t.idle.Stop()
	t.mu.Unlock()
	t.cancel()
	for _, c := range calls {
		_ = c.box.put(letter{failure: f}, 0) // closed: the client went first
	}
	if l != nil {
		l.link.close()
	}
	t.tasks.Wait()
}

// enter notes that something goes on until leave; false when the trunk is closed.
func (t *trunk) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil {
		return false
	}
	t.busy++
	return true
}

// hold is another enter by whoever has entered.
func (t *trunk) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy++
}

func (t *trunk) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = time.Now()
	if t.busy--; t.busy == 0 && t.closed == nil {
		t.idle.Reset(t.rest)
	}
}

func (t *trunk) checkIdle() {
	t.mu.Lock()
	// The timer may have fired just before somebody came and went.
	idle := t.busy == 0 && t.closed == nil && time.Since(t.used) >= t.rest
	t.mu.Unlock()
	if idle {
		t.user.idled()
	}
}

// settle ends the link until the next request wants one, unless something goes on.
func (t *trunk) settle() {
	t.mu.Lock()
	l := t.life
	if t.busy > 0 || l == nil || t.closed != nil {
		t.mu.Unlock()
		return
	}
	t.detach(l)
	t.tasks.Go(l.link.close)
	t.mu.Unlock()
}

// tell sends a message that nobody answers, in the background: the one it is about
// must not wait for it, and nothing can be done if it does not arrive.
func (t *trunk) tell(out outbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life == nil || t.closed != nil {
		return
	}
	conn := t.life.link
	t.tasks.Go(func() {
		const soon = 5 * time.Second
		ctx, cancel := context.WithTimeout(t.ctx, soon)
		defer cancel()
		if err := conn.send(ctx, out); err != nil {
			t.log.Debug("message to server not sent", "error", err)
		}
	})
}

// current is the link that takes messages now; nil when there is none.
func (t *trunk) current() link {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.up {
		return nil
	}
	return t.life.link
}

// life is one link of a trunk from its opening to its end, and its receiver.
type life struct {
	t        *trunk
	since    time.Time
	link     link     // nil until opened
	over     *Failure // once ended
	detached bool     // the trunk has ended it, or had it ended: what still comes is nobody's
}

func (l *life) received(raw []byte) bool {
	known := true
	for _, one := range split(raw) {
		m, ok := readMessage(one)
		if !ok {
			known = false
			continue
		}
		l.t.mu.Lock()
		detached := l.detached
		l.t.mu.Unlock()
		switch {
		case detached:
		case m.kind == mcp.KindResponse:
			l.t.response(m)
		default:
			l.t.user.unasked(m)
		}
	}
	return known
}

func (l *life) skipped(limit int, key string) {
	t := l.t
	f := fail(t.name, http.StatusBadGateway, ReasonTooLarge, nil,
		fmt.Sprintf("the server sent a message of more than %d bytes, which the gateway does not take; ask for less, or raise the limit", limit))
	t.mu.Lock()
	calls := t.calls
	if l.detached {
		calls = nil
	} else if c := calls[key]; c != nil {
		calls = map[string]*call{key: c}
	}
	// Without a key any of them may have been the one: none must wait for ever.
	failed := make([]*call, 0, len(calls))
	for key, c := range calls {
		failed = append(failed, c)
		delete(t.calls, key)
	}
	t.mu.Unlock()
	t.log.Warn("message of server is too long and was dropped", "limit", limit, "requests_failed", len(failed))
	for _, c := range failed {
		_ = c.box.put(letter{failure: f}, 0) // closed: the client went first
	}
}

func (l *life) ended(why *Failure) {
	t := l.t
	t.mu.Lock()
	l.over = why
	var calls map[string]*call
	unasked := !l.detached
	if t.life == l {
		t.life, t.up = nil, false
		calls, t.calls = t.calls, make(map[string]*call)
	}
	if unasked {
		now := time.Now()
		t.back.failed(now, now.Sub(l.since))
	}
	t.mu.Unlock()
	for _, c := range calls {
		_ = c.box.put(letter{failure: why}, 0) // closed: the client went first
	}
	if unasked {
		t.user.interrupted()
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
