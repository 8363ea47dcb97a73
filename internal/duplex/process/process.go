package process

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/lines"
)

// How long a process is given at each step of its end.
const (
	graceAfterEOF  = 2 * time.Second // stdin is closed: the polite request of MCP
	graceAfterTerm = 3 * time.Second // then SIGTERM; after that SIGKILL
	// graceForPipes is how long output is read on after the process and its group
	// are gone. Only who left the group can still hold it open.
	graceForPipes = time.Second
)

// Command is a program that can be run, any number of times at once.
type Command struct {
	Args []string // the program and its arguments; no shell is between
	// Env are NAME=VALUE lines beside the few variables that are inherited. They may
	// hold secrets: values are taken out of what is logged.
	Env []string
	Dir string // working directory; "" is the gateway's

	MaxLine  int           // bytes of one line
	Patience time.Duration // with a command that does not read its stdin
	Log      *slog.Logger

	once   sync.Once
	hide   *strings.Replacer
	stderr throttle // over all processes of the command
}

// Receiver takes what comes out of a process. One goroutine calls it, in the order of
// the lines.
type Receiver interface {
	// Line takes one line, which is the receiver's to keep, and reports whether it
	// was one that it understands.
	Line(line []byte) bool
	// Long says that a line was longer than the limit and was thrown away but for its
	// beginning and its end.
	Long(head, tail []byte)
	// Ended is the last call.
	Ended(how End)
}

// End is how a process ended.
type End struct {
	State string // as the system says it, or why the gateway ended it
	// Words are what it last wrote to stderr, where it ended before it had written a
	// line that the receiver understood. Values of Env are taken out.
	Words string
}

// Process is a command that runs.
type Process struct {
	command *Command
	cmd     *exec.Cmd
	to      Receiver
	log     *slog.Logger // with the pid
	mark    string       // in the environment of it and all that it starts
	in      *os.File     // the command's stdin
	out     *os.File     // its stdout
	errs    *stderrLog
	spoke   bool // a line was understood; written before silent is closed

	writes chan *write
	silent chan struct{} // closed when stdout has ended
	exited chan struct{} // closed when the process has ended
	gone   chan struct{} // closed when nothing is left

	stopOnce sync.Once
	stop     chan struct{} // closed to end the process
	mu       sync.Mutex
	wanted   bool  // Close was called
	broken   error // why the gateway ends it
}

type write struct {
	line []byte
	done chan error // takes one
}

// ErrUnsent is a line that the process has seen nothing of.
var ErrUnsent = errors.New("line was not sent")

// markVariable is how what a command has started is found again, wherever it went.
const markVariable = "SALLYPORT_PROCESS"

// Start starts the command in a process group of its own.
func (c *Command) Start(to Receiver) (*Process, error) {
	c.once.Do(func() { c.hide = hider(c.Env) })
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
	mark := markVariable + "=" + rand.Text()
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	//nolint:forbidigo // nothing is configured by it: it is what every child process gets, cut down
	cmd.Dir, cmd.Env = c.Dir, append(environment(os.Environ(), c.Env), mark)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, errWrite
	ownGroup(cmd)
	err = cmd.Start()
	closeAll(inRead, outWrite, errWrite)
	if err != nil {
		closeAll(in, out, errRead)
		return nil, err
	}
	log := c.Log.With("pid", cmd.Process.Pid)
	p := &Process{
		command: c, cmd: cmd, to: to, log: log, mark: mark, in: in, out: out,
		errs:   &stderrLog{r: errRead, log: log, hide: c.hide, throttle: &c.stderr, done: make(chan struct{})},
		writes: make(chan *write), silent: make(chan struct{}), exited: make(chan struct{}),
		gone: make(chan struct{}), stop: make(chan struct{}),
	}
	log.Debug("command was started")
	go p.read()
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
func (p *Process) run() {
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
	killStrays(p.mark)
	_ = p.cmd.Wait() // ProcessState tells
	soon := time.Now().Add(graceForPipes)
	_ = p.out.SetReadDeadline(soon)
	p.errs.end(soon)
	<-p.silent
	closeAll(p.out)
	p.to.Ended(p.how())
	close(p.gone)
}

// exits waits for the process to end by itself.
func (p *Process) exits(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// how says to the log and to the receiver how the process ended.
func (p *Process) how() End {
	p.mu.Lock()
	wanted, broken := p.wanted, p.broken
	p.mu.Unlock()
	end := End{State: "state unknown"}
	if s := p.cmd.ProcessState; s != nil {
		end.State = s.String()
	}
	if !p.spoke {
		end.Words = p.errs.last
	}
	switch {
	case wanted:
		p.log.Debug("command was ended", "state", end.State)
	case broken != nil:
		p.log.Warn("command was ended by the gateway", "state", end.State, "error", broken)
		end.State = broken.Error()
	default:
		p.log.Warn("command ended unexpectedly", "state", end.State)
	}
	return end
}

// Close ends the process, and returns when nothing is left of it and the receiver has
// heard of the end. It must not be called from a receiver's method.
func (p *Process) Close() {
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	p.stopOnce.Do(func() { close(p.stop) })
	<-p.gone
}

// ending reports whether the end has begun.
func (p *Process) ending() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// breakOff ends the process for a reason of the gateway's.
func (p *Process) breakOff(err error) {
	p.mu.Lock()
	if p.broken == nil {
		p.broken = err
	}
	p.mu.Unlock()
	p.stopOnce.Do(func() { close(p.stop) })
}

// Send writes one message as a line, and returns once the process's stdin has taken
// it. Its error is ErrUnsent when the process certainly has nothing of it.
func (p *Process) Send(ctx context.Context, message []byte) error {
	w := &write{line: toLine(message), done: make(chan error, 1)}
	select {
	case p.writes <- w:
	case <-p.stop:
		return ErrUnsent
	case <-ctx.Done():
		return ErrUnsent
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
func (p *Process) write() {
	for {
		select {
		case <-p.stop:
			return
		case w := <-p.writes:
			// Commands that do one thing at a time read late. What takes longer than any
			// request waits is not late, it hangs.
			_ = p.in.SetWriteDeadline(time.Now().Add(p.command.Patience))
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

// read takes lines from stdout until it ends.
func (p *Process) read() {
	defer close(p.silent)
	from := lines.NewReader(p.out, p.command.MaxLine)
	level := slog.LevelWarn
	for {
		line, err := from.Next()
		long, tooLong := errors.AsType[*lines.TooLong](err)
		switch {
		case tooLong:
			p.to.Long(long.Head, long.Tail)
		case err != nil:
			if err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
				p.log.Warn("output of command cannot be read", "error", err)
			}
			return
		case len(bytes.TrimSpace(line)) == 0:
		case p.to.Line(line):
			p.spoke = true
		default:
			const shown = 200
			text := p.command.hide.Replace(string(line[:min(len(line), maxLogLine)]))
			p.log.Log(context.Background(), level, "command wrote to stdout what is no message; what is meant for people belongs on stderr",
				"text", text[:min(len(text), shown)])
			level = slog.LevelDebug
		}
	}
}
