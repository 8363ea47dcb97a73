package backend

import (
	"bufio"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"
)

const (
	// maxLogLine is how much of a line of stderr is logged.
	maxLogLine = 4 << 10
	// maxLogLines is how many lines of one process are logged per second.
	maxLogLines = 100
)

// stderrLog copies a command's stderr into the log, line by line.
type stderrLog struct {
	r    *os.File
	log  *slog.Logger
	hide *strings.Replacer
	done chan struct{}

	window  time.Time // the second that is being counted
	lines   int       // in it
	dropped int
}

func (s *stderrLog) run() {
	defer close(s.done)
	// More than is shown, so that a secret at the cut is seen whole, and hidden.
	r := bufio.NewReaderSize(s.r, 2*maxLogLine)
	for inside := false; ; {
		part, err := r.ReadSlice('\n')
		// A line longer than the buffer comes in parts. The first is enough.
		if !inside && len(part) > 0 {
			s.line(string(trimEnd(part)))
		}
		inside = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inside {
			s.report()
			return
		}
	}
}

// line logs a line, unless there are too many.
func (s *stderrLog) line(text string) {
	now := time.Now()
	if now.Sub(s.window) >= time.Second {
		s.report()
		s.window, s.lines = now, 0
	}
	if s.lines++; s.lines > maxLogLines {
		s.dropped++
		return
	}
	text = s.hide.Replace(text)
	s.log.Info("stderr of command", "text", text[:min(len(text), maxLogLine)])
}

func (s *stderrLog) report() {
	if s.dropped > 0 {
		s.log.Warn("stderr of command comes too fast; some of it was not logged", "lines", s.dropped)
		s.dropped = 0
	}
}

// end stops the log no later than at the deadline, and waits for it.
func (s *stderrLog) end(deadline time.Time) {
	_ = s.r.SetReadDeadline(deadline)
	<-s.done
	closeAll(s.r)
}
