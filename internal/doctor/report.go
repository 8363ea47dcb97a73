package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Level is how good or bad a finding is.
type Level string

// From good to bad; NotTried is neither.
const (
	OK       Level = "ok"
	Warning  Level = "warning" // works, but not for everybody, or not for long
	Failure  Level = "failure"
	NotTried Level = "not tried"
)

// Finding is what was found of one thing.
type Finding struct {
	Level   Level
	Check   string           // what was looked at, in a word or two
	Message string           // what is so, and what that means
	Change  string           // which setting to change; "" where Place says it, or nothing is to be done
	Place   manifest.Problem // of a manifest, where that is the cause; the zero value for none
}

// At says which field of a manifest is the cause.
func (f Finding) At(p manifest.Problem) Finding {
	f.Place = p
	return f
}

// Report gathers findings. Its zero value is ready. It is for one goroutine at a time.
type Report struct {
	Findings []Finding
	Told     func(Finding)     // is called with each finding at once; nil for nobody
	Working  func(text string) // is called when something takes long; nil for nobody
}

// Add takes in a finding.
func (r *Report) Add(f Finding) {
	f.Message, f.Change = printable(f.Message), printable(f.Change)
	r.Findings = append(r.Findings, f)
	if r.Told != nil {
		r.Told(f)
	}
}

// OK says that something is as it should be.
func (r *Report) OK(check, format string, args ...any) {
	r.Add(Finding{Level: OK, Check: check, Message: fmt.Sprintf(format, args...)})
}

// Warn says what does not work for everybody, or not for long; change is the setting.
func (r *Report) Warn(check, change, format string, args ...any) {
	r.Add(Finding{Level: Warning, Check: check, Change: change, Message: fmt.Sprintf(format, args...)})
}

// Fail says what does not work; change is the setting.
func (r *Report) Fail(check, change, format string, args ...any) {
	r.Add(Finding{Level: Failure, Check: check, Change: change, Message: fmt.Sprintf(format, args...)})
}

// Skip says why something was not looked at.
func (r *Report) Skip(check, format string, args ...any) {
	r.Add(Finding{Level: NotTried, Check: check, Message: "because " + fmt.Sprintf(format, args...)})
}

// Say tells whoever waits what takes long.
func (r *Report) Say(format string, args ...any) {
	if r.Working != nil {
		r.Working(fmt.Sprintf(format, args...))
	}
}

// Count is how many findings have a level.
func (r *Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// String is a finding as a person reads it: a line, and below it what to change.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s  %-14s  %s\n", f.Level, f.Check, f.Message)
	change := func(what string) { fmt.Fprintf(&b, "%27schange: %s\n", "", what) }
	if at := f.Place; at.File != "" || at.Object != "" {
		at.Message = ""
		change(at.String())
	}
	if f.Change != "" {
		change(f.Change)
	}
	return b.String()
}

// printable keeps what strangers answered from breaking the line or the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// String is all findings as the command prints them.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String())
	}
	return b.String()
}

// Summary is a report in a line.
func (r *Report) Summary() string {
	failures, warnings := r.Count(Failure), r.Count(Warning)
	if failures+warnings == 0 {
		return "nothing is wrong"
	}
	return Count(failures, "failure") + ", " + Count(warnings, "warning")
}

// Count is a number of things, as people read it.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// WriteJSON writes a report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	type place struct {
		File   string `json:"file,omitempty"`
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
		Object string `json:"object,omitempty"`
		Field  string `json:"field,omitempty"`
	}
	type finding struct {
		Level   Level  `json:"level"`
		Check   string `json:"check"`
		Message string `json:"message"`
		Change  string `json:"change,omitempty"`
		Place   *place `json:"place,omitempty"`
	}
	out := []finding{}
	for _, f := range r.Findings {
		it := finding{Level: f.Level, Check: f.Check, Message: f.Message, Change: f.Change}
		if at := f.Place; at.File != "" || at.Object != "" {
			it.Place = &place{at.File, at.Line, at.Column, at.Object, at.Field}
		}
		out = append(out, it)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Failures int       `json:"failures"`
		Warnings int       `json:"warnings"`
		Findings []finding `json:"findings"`
	}{r.Count(Failure), r.Count(Warning), out})
}
