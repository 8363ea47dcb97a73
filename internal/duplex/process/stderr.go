package process

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// maxLogLine is how much of a line of stderr is logged.
	maxLogLine = 4 << 10
	// maxLogLines and maxLogBytes bound what is logged per second of all processes of
	// one command together.
	maxLogLines, maxLogBytes = 100, 64 << 10
	// maxWords is how much of its last line is told of a command that did not start.
	maxWords = 300
)

// throttle lets so much per second through. Its zero value is ready.
type throttle struct {
	mu           sync.Mutex
	window       time.Time // the second that is being counted
	lines, bytes int       // in it
	dropped      int       // and not reported yet
}

// admit reports whether a line of n bytes may pass, and how many were left out before
// it that nobody was told of.
func (t *throttle) admit(n int) (ok bool, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.window) >= time.Second {
		dropped, t.dropped = t.dropped, 0
		t.window, t.lines, t.bytes = now, 0, 0
	}
	t.lines++
	t.bytes += n
	if t.lines > maxLogLines || t.bytes > maxLogBytes {
		t.dropped++
		return false, dropped
	}
	return true, dropped
}

// rest is how many were left out that nobody was told of.
func (t *throttle) rest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.dropped
	t.dropped = 0
	return n
}

// stderrLog copies a command's stderr into the log, line by line.
type stderrLog struct {
	r        *os.File
	log      *slog.Logger
	hide     *strings.Replacer
	throttle *throttle
	last     string        // the last line that was not empty; to be read after done
	done     chan struct{} // closed at the end
}

func (s *stderrLog) run() {
	defer close(s.done)
	// More than is shown, so that a secret at the cut is seen whole, and hidden.
	r := bufio.NewReaderSize(s.r, 2*maxLogLine)
	for inside := false; ; {
		part, err := r.ReadSlice('\n')
		// A line longer than the buffer comes in parts. The first is enough.
		if !inside && len(part) > 0 {
			s.line(string(bytes.TrimRight(part, "\r\n")))
		}
		inside = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inside {
			s.report(s.throttle.rest())
			return
		}
	}
}

// line logs a line, unless there are too many.
func (s *stderrLog) line(text string) {
	text = s.hide.Replace(text)
	if words := strings.TrimSpace(text); words != "" {
		s.last = words[:min(len(words), maxWords)]
	}
	text = text[:min(len(text), maxLogLine)]
	ok, dropped := s.throttle.admit(len(text))
	s.report(dropped)
	if ok {
		s.log.Info("stderr of command", "text", text)
	}
}

func (s *stderrLog) report(dropped int) {
	if dropped > 0 {
		s.log.Warn("stderr of command comes too fast; some of it was not logged", "lines", dropped)
	}
}

// end stops the log no later than at the deadline, and waits for it.
func (s *stderrLog) end(deadline time.Time) {
	_ = s.r.SetReadDeadline(deadline)
	<-s.done
	closeAll(s.r)
}
