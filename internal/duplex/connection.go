package duplex

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// connection is the connection of one session, or the one that all sessionless clients
// share, over all the links it has one after the other: a link that ended is
// opened again when the next request wants one. The connection knows which requests are
// in flight and brings each its answer.
type connection struct {
	connectionConfig
	log  *slog.Logger
	user user

	ctx    context.Context // ends when the connection is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu         sync.Mutex       // guards what follows, and what users say it guards
	generation *generation      // the link from its opening to its end; nil while there is none
	starts     int              // how many were begun, this one included
	up         bool             // generation was greeted and takes requests
	starting   *starting        // nil while nothing is being opened
	closed     *backend.Failure // what whoever still comes is told; nil while open
	calls      map[string]*call
	serial     uint64 // of the last call
	ids        uint64 // the last id that was given to a request
	strange    bool   // the server has answered what it was never asked, and the log has it
	back       backoff
	busy       int       // exchanges and streams that hold the connection
	used       time.Time // when the last of them ended
	idle       *time.Timer
}

type connectionConfig struct {
	name     string // of the server, for messages
	opener   opener
	first    outbound        // opens every link
	answer   time.Duration   // the longest wait for the head of an answer
	rest     time.Duration   // without anything going on, before user.idle
	metrics  backend.Metrics // may be nil
	patience time.Duration   // with a client that reads too slowly; see queue.put
}

// user is what makes a connection a session or a shared connection. Methods with
// "locked" in their comment are called with connection.mu held.
type user interface {
	// greet starts the conversation over a new link.
	greet(ctx context.Context) *backend.Failure
	// begun sees a call before anything can answer it; locked.
	begun(c *call)
	// untold takes back what was put into the stream of a call that failed before it
	// had one; locked.
	untold(rest []event)
	// answered sees the response to c, and makes of it what the client gets, with
	// its HTTP status; locked.
	answered(c *call, m message) (raw []byte, status int)
	// unasked takes a message that is no response.
	unasked(m message)
	// cancellation is what tells the server that nobody waits for c any more; nil
	// when it must not be told.
	cancellation(c *call) []byte
	// alone reports whether nobody but one caller has ever used the link; locked.
	alone() bool
	// interrupted says that the link has ended unasked.
	interrupted()
	// idled says that nothing has gone on for the time of rest.
	idled()
}

// starting is the opening of a link, which several requests may wait for.
type starting struct {
	done    chan struct{}
	failure *backend.Failure // read after done
}

func newConnection(cfg connectionConfig, log *slog.Logger, user user) *connection {
	conn := &connection{connectionConfig: cfg, log: log, user: user, calls: make(map[string]*call)}
	conn.ctx, conn.cancel = context.WithCancel(context.Background())
	conn.idle = time.AfterFunc(cfg.rest, conn.checkIdle)
	conn.idle.Stop() // until leave
	return conn
}

// ready waits until there is a link that takes requests, and opens one if there is
// none.
func (conn *connection) ready(ctx context.Context) *backend.Failure {
	conn.mu.Lock()
	switch {
	case conn.closed != nil:
		defer conn.mu.Unlock()
		return conn.closed
	case conn.up:
		conn.mu.Unlock()
		return nil
	}
	s := conn.starting
	if s == nil {
		wait := conn.back.wait(time.Now())
		if wait > maxBackoffWait {
			conn.mu.Unlock()
			return comeAgain(conn.name, wait, "the server keeps ending; see the gateway's log")
		}
		s = &starting{done: make(chan struct{})}
		conn.starting = s
		conn.tasks.Go(func() { conn.start(s, wait) })
	}
	conn.mu.Unlock()
	select {
	case <-s.done:
		return s.failure
	case <-ctx.Done():
		return backend.Ended(ctx, conn.name)
	}
}

// comeAgain is the Failure of a request in a back-off that it is not worth waiting
// for.
func comeAgain(name string, wait time.Duration, why string) *backend.Failure {
	f := backend.Fail(name, http.StatusServiceUnavailable, backend.ReasonCrashed, nil,
		fmt.Sprintf("%s; the next attempt is in %s", why, wait.Round(time.Second)))
	f.RetryAfter = wait
	return f
}

func (conn *connection) start(s *starting, wait time.Duration) {
	ctx, cancel := context.WithTimeout(conn.ctx, conn.answer)
	defer cancel()
	s.failure = conn.open(ctx, wait)
	conn.mu.Lock()
	switch {
	case conn.closed != nil:
		s.failure = conn.closed
	case s.failure == nil && conn.generation == nil:
		s.failure = backend.Fail(conn.name, http.StatusBadGateway, backend.ReasonCrashed, nil, "the server ended as soon as it had started; see the gateway's log")
	case s.failure == nil:
		conn.up = true
	}
	conn.starting = nil
	conn.mu.Unlock()
	close(s.done)
}

func (conn *connection) open(ctx context.Context, wait time.Duration) *backend.Failure {
	if !sleep(ctx, wait) {
		return backend.Ended(ctx, conn.name)
	}
	g := &generation{conn: conn, since: time.Now()}
	conn.mu.Lock()
	conn.starts++
	conn.mu.Unlock()
	ln, f := conn.opener.open(ctx, conn.first, g)
	if f != nil {
		if f.RetryAfter == 0 { // else there was no attempt
			conn.mu.Lock()
			conn.back.failed(time.Now(), 0)
			conn.mu.Unlock()
		}
		return f
	}
	conn.mu.Lock()
	g.link = ln
	over, closed := g.over, conn.closed
	switch {
	case closed != nil:
		g.detached = true
	case over == nil:
		conn.generation = g
	}
	conn.mu.Unlock()
	if closed != nil {
		ln.close()
		return closed
	}
	if over != nil {
		return over
	}
	if f := conn.user.greet(ctx); f != nil {
		conn.mu.Lock()
		conn.detach(g)
		conn.mu.Unlock()
		ln.close()
		return f
	}
	return nil
}

// detach takes the connection's hand off a link that is still there; locked.
func (conn *connection) detach(g *generation) {
	g.detached = true
	if conn.generation == g {
		conn.generation, conn.up = nil, false
	}
}

// close ends the connection for good and waits until nothing is left of it. Whoever
// waits for an answer is told f.
func (conn *connection) close(f *backend.Failure) {
	conn.mu.Lock()
	if conn.closed == nil {
		conn.closed = f
	}
	calls := conn.calls
	conn.calls = nil
	g := conn.generation
	if g != nil {
		conn.detach(g)
	}
	conn.idle.Stop()
	conn.mu.Unlock()
	conn.cancel()
	for _, c := range calls {
		_ = c.queue.put(event{failure: f}, 0) // closed: the client went first
	}
	if g != nil {
		g.link.close()
	}
	conn.tasks.Wait()
}

// enter notes that something goes on until leave; false when the connection is closed.
func (conn *connection) enter() bool {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.closed != nil {
		return false
	}
	conn.busy++
	return true
}

// hold is another enter by whoever has entered.
func (conn *connection) hold() {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.busy++
}

func (conn *connection) leave() {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.used = time.Now()
	if conn.busy--; conn.busy == 0 && conn.closed == nil {
		conn.idle.Reset(conn.rest)
	}
}

func (conn *connection) checkIdle() {
	conn.mu.Lock()
	// The timer may have fired just before somebody came and went.
	idle := conn.busy == 0 && conn.closed == nil && time.Since(conn.used) >= conn.rest
	conn.mu.Unlock()
	if idle {
		conn.user.idled()
	}
}

// idling reports whether nothing goes on: no request, and no stream that somebody
// listens to.
func (conn *connection) idling() bool {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.busy == 0 && !conn.used.IsZero()
}

// lastUsed is when something last went on.
func (conn *connection) lastUsed() time.Time {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.used
}

// settle ends the link until the next request wants one, unless something goes on.
func (conn *connection) settle() {
	conn.mu.Lock()
	g := conn.generation
	if conn.busy > 0 || g == nil || conn.closed != nil {
		conn.mu.Unlock()
		return
	}
	conn.detach(g)
	conn.tasks.Go(g.link.close)
	conn.mu.Unlock()
}

// tell sends a message that nobody answers, in the background: the one it is about
// must not wait for it, and nothing can be done if it does not arrive.
func (conn *connection) tell(out outbound) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.generation == nil || conn.closed != nil {
		return
	}
	ln := conn.generation.link
	conn.tasks.Go(func() {
		const soon = 5 * time.Second
		ctx, cancel := context.WithTimeout(conn.ctx, soon)
		defer cancel()
		if err := ln.send(ctx, out); err != nil {
			conn.log.Debug("message to server not sent", "error", err)
		}
	})
}

// newID is an id that no other request has on this connection. A client's own are not
// sent: several requests may have the same one, and a late answer to the first would be
// taken for that to the next.
func (conn *connection) newID() []byte {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.ids++
	return strconv.AppendUint(nil, conn.ids, 10)
}

// issued reports whether a request ever had the id; locked.
func (conn *connection) issued(key string) bool {
	n, err := strconv.ParseUint(strings.TrimPrefix(key, "n"), 10, 64)
	return err == nil && n > 0 && n <= conn.ids
}

// dropped counts a message of the server that reaches nobody.
func (conn *connection) dropped(why string) {
	if conn.metrics != nil {
		conn.metrics.Dropped(why)
	}
}

// current is the link that takes messages now; nil when there is none.
func (conn *connection) current() link {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if !conn.up {
		return nil
	}
	return conn.generation.link
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
