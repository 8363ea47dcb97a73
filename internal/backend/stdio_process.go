package backend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// How long a process is given at each step of its end.
const (
	graceAfterEOF  = 2 * time.Second // stdin is closed: the polite request of MCP
	graceAfterTerm = 3 * time.Second // then SIGTERM; after that SIGKILL
	// graceForPipes is how long output is read on after the process and its group
	// are gone. Only who left the group can still hold it open.
	graceForPipes = time.Second
)

// process is a command that runs, and the link to it.
type process struct {
	cfg  *StdioConfig
	cmd  *exec.Cmd
	to   receiver
	log  *slog.Logger // with the pid
	in   *os.File     // the command's stdin
	out  *os.File     // its stdout
	errs *stderrLog

	writes chan *write
	silent chan struct{} // closed when stdout has ended
	exited chan struct{} // closed when the process has ended
	gone   chan struct{} // closed when nothing is left

	stopOnce sync.Once
	stop     chan struct{} // closed to end the process
	mu       sync.Mutex
	wanted   bool  // close was called
	broken   error // why the gateway ends it
}

type write struct {
	line []byte
	done chan error // takes one
}

var _ link = (*process)(nil)

// startProcess starts the command in a process group of its own.
func (c *command) startProcess(to receiver) (*process, error) {
	inRead, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		closeAll(inRead, in)
		return nil, err
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		closeAll(inRead, in, out, outWrite)
		return nil, err
	}
	cmd := exec.Command(c.cfg.Command[0], c.cfg.Command[1:]...)
	//nolint:forbidigo // nothing is configured by it: it is what every child process gets, cut down
	cmd.Dir, cmd.Env = c.cfg.Dir, environment(os.Environ(), c.cfg.Env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, errWrite
	ownGroup(cmd)
	err = cmd.Start()
	closeAll(inRead, outWrite, errWrite)
	if err != nil {
		closeAll(in, out, errRead)
		return nil, err
	}
	log := c.cfg.Log.With("pid", cmd.Process.Pid)
	p := &process{
		cfg: &c.cfg, cmd: cmd, to: to, log: log, in: in, out: out,
		errs:   &stderrLog{r: errRead, log: log, hide: c.hide, done: make(chan struct{})},
		writes: make(chan *write), silent: make(chan struct{}), exited: make(chan struct{}),
		gone: make(chan struct{}), stop: make(chan struct{}),
	}
	log.Debug("command was started")
	go p.read(c.hide.Replace)
	go p.errs.run()
	go p.run()
	return p, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // pipes: nothing is lost
	}
}

// run is the life of the process, to the very end.
func (p *process) run() {
	var writing sync.WaitGroup
	writing.Go(p.write)
	go func() {
		awaitExit(p.cmd)
		close(p.exited)
	}()
	select {
	case <-p.exited:
	case <-p.silent: // it can answer nothing any more
	case <-p.stop:
	}
	p.stopOnce.Do(func() { close(p.stop) })
	_ = p.in.Close() // also ends a write that hangs
	writing.Wait()
	switch {
	case p.exits(graceAfterEOF):
	default:
		signalGroup(p.cmd, false)
		if !p.exits(graceAfterTerm) {
			signalGroup(p.cmd, true)
			<-p.exited
		}
	}
	// Whatever it has started goes with it. Its own pid is not free for others
	// before Wait, so this cannot hit a stranger.
	signalGroup(p.cmd, true)
	_ = p.cmd.Wait() // ProcessState tells
	soon := time.Now().Add(graceForPipes)
	_ = p.out.SetReadDeadline(soon)
	p.errs.end(soon)
	<-p.silent
	closeAll(p.out)
	p.to.ended(p.why())
	close(p.gone)
}

// exits waits for the process to end by itself.
func (p *process) exits(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// why says how the process ended, to the log and to whoever waits for an answer.
func (p *process) why() *Failure {
	p.mu.Lock()
	wanted, broken := p.wanted, p.broken
	p.mu.Unlock()
	state := "state unknown"
	if s := p.cmd.ProcessState; s != nil {
		state = s.String()
	}
	switch {
	case wanted:
		p.log.Debug("command was ended", "state", state)
	case broken != nil:
		p.log.Warn("command was ended by the gateway", "state", state, "error", broken)
		state = broken.Error()
	default:
		p.log.Warn("command ended unexpectedly", "state", state)
	}
	return fail(p.cfg.Name, http.StatusBadGateway, ReasonCrashed, nil,
		"the command ended before it answered ("+state+"); the request may or may not have been carried out; send it again")
}

// close implements link.
func (p *process) close() {
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	p.stopOnce.Do(func() { close(p.stop) })
	<-p.gone
}

// ending reports whether the end has begun.
func (p *process) ending() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// breakOff ends the process for a reason of the gateway's.
func (p *process) breakOff(err error) {
	p.mu.Lock()
	if p.broken == nil {
		p.broken = err
	}
	p.mu.Unlock()
	p.stopOnce.Do(func() { close(p.stop) })
}

// send implements link.
func (p *process) send(ctx context.Context, out outbound) error {
	w := &write{line: toLine(out.body), done: make(chan error, 1)}
	select {
	case p.writes <- w:
	case <-p.stop:
		return errUnsent
	case <-ctx.Done():
		return errUnsent
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err() // half a line cannot be taken back: the writer finishes it
	}
}

// toLine puts a message on a line of its own. In JSON a line break can only stand
// between values, where a space does as well.
func toLine(body []byte) []byte {
	line := make([]byte, len(body), len(body)+1)
	for i, c := range body {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		line[i] = c
	}
	return append(line, '\n')
}

var errNotReading = errors.New("it does not read its input")

// write is the one goroutine that writes to stdin, so that nobody has to wait for a
// command that does not read.
func (p *process) write() {
	for {
		select {
		case <-p.stop:
			return
		case w := <-p.writes:
			// Commands that do one thing at a time read late. What takes longer than any
			// request waits is not late, it hangs.
			_ = p.in.SetWriteDeadline(time.Now().Add(p.cfg.AnswerTimeout))
			_, err := p.in.Write(w.line)
			w.done <- err
			if err == nil {
				continue
			}
			// Without a deadline passed, the gateway is ending the command, or the command
			// is ending, or it has just closed its stdin and lives on.
			if errors.Is(err, os.ErrDeadlineExceeded) || !p.ending() && !p.exits(graceForPipes) {
				p.breakOff(errNotReading)
			}
			return
		}
	}
}

// read takes messages from stdout until it ends.
func (p *process) read(hide func(string) string) {
	defer close(p.silent)
	lines := newLineReader(p.out, p.cfg.MaxMessageBytes)
	level := slog.LevelWarn
	for {
		line, err := lines.next()
		long, tooLong := errors.AsType[*longLine](err)
		switch {
		case tooLong:
			p.to.skipped(p.cfg.MaxMessageBytes, long.answers())
		case err != nil:
			if err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
				p.log.Warn("output of command cannot be read", "error", err)
			}
			return
		case len(bytes.TrimSpace(line)) == 0:
		case !p.to.received(line):
			const shown = 200
			text := hide(string(line[:min(len(line), maxLogLine)]))
			p.log.Log(context.Background(), level, "command wrote to stdout what is no message; what is meant for people belongs on stderr",
				"text", text[:min(len(text), shown)])
			level = slog.LevelDebug
		}
	}
}
