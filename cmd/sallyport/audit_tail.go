package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/audit"
)

// tailFlags choose events and how they are shown.
type tailFlags struct {
	follow  bool
	last    int
	output  string
	server  string
	subject string
	outcome string
}

func tailCommand() *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail FILE",
		Short: "Show the last audit events of a file, for people or as JSON, and those to come",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := audit.OpenReader(args[0])
			if err != nil {
				return process.UsageError{Err: err}
			}
			defer r.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			t := tail{f: f, r: r, out: cmd.OutOrStdout()}
			if err := t.run(ctx); err != nil {
				return err
			}
			if n := t.others + r.TooLong(); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: %s left out: no audit events\n", count(n, "line"))
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.BoolVarP(&f.follow, "follow", "f", false, "go on with events as they are written, across rotations, until Ctrl-C")
	f.last = 10
	process.NumberVarP(fs, &f.last, "lines", "n", -1, math.MaxInt32, "how many of the last matching events; -1 for all")
	outputFlag(cmd, &f.output)
	fs.StringVar(&f.server, "server", "", "only events of this server")
	process.ChoiceVar(fs, &f.outcome, "outcome", "", "only events that ended so: success, denied or error", string(audit.Success), string(audit.Denied), string(audit.Error))
	fs.StringVar(&f.subject, "subject", "", "only events of this caller")
	return cmd
}

// oneFile wants a file as argument, and no more.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("tail shows one file; for rotated ones: cat FILES | jq")
	}
	return someFiles(cmd, args)
}

// matches tells whether an event is wanted. A word about missing ones always is: they
// may have been among them.
func (f *tailFlags) matches(l *audit.Line) bool {
	return l.Lost > 0 ||
		(f.server == "" || l.Server == f.server) &&
			(f.outcome == "" || string(l.Outcome) == f.outcome) &&
			(f.subject == "" || l.Subject == f.subject)
}

// tail shows events.
type tail struct {
	f      tailFlags
	r      *audit.Reader
	out    io.Writer
	titled bool
	others int // lines that are no events
}

const tailPoll = 200 * time.Millisecond

func (t *tail) run(ctx context.Context) error {
	if err := t.showLast(); err != nil || !t.f.follow {
		return err
	}
	ticker := time.NewTicker(tailPoll)
	defer ticker.Stop()
	for {
		if err := t.each(t.show); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// shown is an event, and its line.
type shown struct {
	event audit.Line
	text  []byte
}

// showLast shows the last matching events of what is there.
func (t *tail) showLast() error {
	var ring []shown
	next := 0 // the oldest, once the ring is full
	err := t.each(func(s shown) error {
		switch {
		case t.f.last < 0:
			return t.show(s)
		case len(ring) < t.f.last:
			ring = append(ring, shown{s.event, bytes.Clone(s.text)})
		case t.f.last > 0:
			ring[next] = shown{s.event, append(ring[next].text[:0], s.text...)}
			next = (next + 1) % t.f.last
		}
		return nil
	})
	for i := range ring {
		err = errors.Join(err, t.show(ring[(next+i)%len(ring)]))
	}
	return err
}

// each calls do with every matching event up to the end of what is there.
func (t *tail) each(do func(shown) error) error {
	for {
		line, err := t.r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := audit.ParseLine(line)
		switch {
		case errors.Is(err, audit.ErrHeader):
		case err != nil:
			t.others++
		case t.f.matches(&l):
			if err := do(shown{l, line}); err != nil {
				return err
			}
		}
	}
}

func (t *tail) show(s shown) error {
	if t.f.output == "json" {
		_, err := fmt.Fprintf(t.out, "%s\n", audit.Shown(s.text))
		return err
	}
	var b strings.Builder
	if !t.titled {
		t.titled = true
		columns(&b, "TIME", "OUTCOME", "STATUS", "TOOK", "SERVER", "SUBJECT", "METHOD", "TARGET", "REASON")
	}
	l := &s.event
	if l.Lost > 0 {
		columns(&b, cell(l.Time), "LOST", "", "", count(l.Lost, "event")+" missing here")
	} else {
		columns(&b, cell(l.Time), cell(string(l.Outcome)), strconv.Itoa(l.Status), took(l.DurationMS),
			cell(l.Server), cell(l.Subject), cell(l.Method), cell(l.Target), cell(l.Reason))
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// columns are as wide as most of what stands in them: events come one by one, and
// nobody knows what the next one holds.
func columns(b *strings.Builder, cells ...string) {
	widths := [...]int{24, 7, 6, 8, 14, 20, 16, 20, 0}
	var line strings.Builder
	for i, c := range cells {
		fmt.Fprintf(&line, "%-*s  ", widths[i], c)
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// cell makes text from outside fit into a column: it can neither look like several
// nor do anything to the terminal.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// took is a duration that is short to read.
func took(ms float64) string {
	d := time.Duration(min(max(ms, 0), 1e12) * float64(time.Millisecond))
	switch {
	case d < time.Second:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + "s"
	}
	return d.Round(time.Second).String()
}
