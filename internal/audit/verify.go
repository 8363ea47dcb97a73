package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"
)

// VerifyOptions say what the files are to be held against.
type VerifyOptions struct {
	Keys    [][]byte // every file has to be sealed with one of them; none: with no key
	Anchors []Link   // have to be in the chain
}

// Report is what was found to be sound.
type Report struct {
	Files  []FileReport // in the order of the chain
	Events int
	Lost   int // that lines say are missing
}

// FileReport is what there is to say about one file.
type FileReport struct {
	Name   string
	Number int
	Prev   Link // what it goes on from
	Head   Link // its last line's
	Lines  int  // the header's is one of them
	Events int
	Lost   int
	Keyed  bool
	Torn   bool // text without a line's end stands behind the last line
	Begun  time.Time
}

// Break is the first place where a chain does not hold. It is an error.
type Break struct {
	File   string
	Line   int
	Reason string
}

func (b *Break) Error() string { return b.File + ":" + strconv.Itoa(b.Line) + ": " + b.Reason }

// Verify reads files that NewFile wrote, in whatever order they are given, and
// tells whether every line is as it was written and where it was written. Its error
// is a *[Break], or that of a file that cannot be read. The report is about what
// came before.
//
// Lines that are cut off at the end of the last file leave no trace in it; only an
// anchor shows that. Without a key, whoever can write the files can make the chain
// anew.
func Verify(files []string, opts VerifyOptions) (Report, error) {
	var report Report
	keys, err := newKeyring(opts.Keys)
	if err != nil {
		return report, err
	}
	v := verifier{keys: keys, keyed: len(opts.Keys) > 0, anchors: map[Link]bool{}}
	for _, a := range opts.Anchors {
		v.anchors[a] = true
	}
	ordered, err := inOrder(files)
	if err != nil {
		return report, err
	}
	for i, name := range ordered {
		found, err := v.file(name)
		if err != nil {
			return report, err
		}
		if i > 0 {
			if b := follows(&report.Files[i-1], &found); b != nil {
				return report, b
			}
		}
		report.Files = append(report.Files, found)
		report.Events += found.Events
		report.Lost += found.Lost
	}
	for _, a := range opts.Anchors {
		if v.anchors[a] {
			last := report.Files[len(report.Files)-1]
			return report, &Break{last.Name, last.Lines, "the anchor " + a.String() + " is not in the chain: lines were cut off at the end, or the chain was made anew"}
		}
	}
	return report, nil
}

// inOrder sorts files by the number in their headers.
func inOrder(files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, errors.New("verify audit files: none given")
	}
	numbers, begun := make(map[string]int, len(files)), make(map[string]time.Time, len(files))
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("verify audit file: %w", err)
		}
		line, err := bufio.NewReader(io.LimitReader(f, 4<<10)).ReadBytes('\n')
		f.Close()
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("verify audit file: %w", err)
		}
		h, err := parseHeader(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			return nil, &Break{name, 1, err.Error()}
		}
		numbers[name], begun[name] = h.Number, h.Time
	}
	ordered := slices.Clone(files)
	slices.SortStableFunc(ordered, func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[a], numbers[b]), begun[a].Compare(begun[b]))
	})
	return ordered, nil
}

// follows tells what is wrong between two files, if anything is.
func follows(a, b *FileReport) *Break {
	switch {
	case a.Torn:
		return &Break{a.Name, a.Lines + 1, "the last line is torn, though another file follows"}
	case b.Prev == a.Head:
		return nil
	case b.Prev == Link{}:
		return &Break{b.Name, 1, "the chain begins anew here and does not go on from " + a.Name +
			": when the gateway started, that file and the note of its head were not where they belong"}
	case b.Number == a.Number:
		return &Break{b.Name, 1, fmt.Sprintf("it is number %d, as %s is: a copy, or another chain", b.Number, a.Name)}
	case b.Number > a.Number+1:
		return &Break{b.Name, 1, fmt.Sprintf("it is number %d and does not go on from %s, number %d: files in between are missing", b.Number, a.Name, a.Number)}
	}
	return &Break{b.Name, 1, "it does not go on from the last line of " + a.Name + ": lines are missing or changed at one of the two places"}
}

type verifier struct {
	keys    keyring
	keyed   bool
	anchors map[Link]bool // true until it was seen
	chain   *chain
	head    Link
}

// maxLine is more than any line of ours: eleven texts of 1 KiB, six bytes for each
// byte at worst.
const maxLine = 128 << 10

// file verifies one file by itself.
func (v *verifier) file(name string) (r FileReport, err error) {
	f, err := os.Open(name)
	if err != nil {
		return r, fmt.Errorf("verify audit file: %w", err)
	}
	defer f.Close()
	r.Name = name
	err = v.read(f, &r)
	r.Head = v.head
	return r, err
}

func (v *verifier) read(f io.Reader, r *FileReport) error {
	in := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == io.EOF && r.Lines == 0:
			return &Break{r.Name, 1, errNoHeader.Error()}
		case err == io.EOF:
			r.Torn = len(line) > 0
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return &Break{r.Name, r.Lines + 1, "the line is longer than any that is written"}
		case err != nil:
			return fmt.Errorf("verify audit file: %w", err)
		}
		if reason := v.line(line[:len(line)-1], r); reason != "" {
			return &Break{r.Name, r.Lines + 1, reason}
		}
		r.Lines++
	}
}

// line verifies the next line, and returns what is wrong with it.
func (v *verifier) line(line []byte, r *FileReport) string {
	content, link, ok := splitSealed(line)
	kind := kindOf(line)
	switch {
	case r.Lines == 0 && kind != kindHeader:
		return errNoHeader.Error()
	case !ok:
		return "the line has no link of the chain"
	case kind == kindOther:
		return "the line is no audit event"
	case kind == kindHeader:
		if reason := v.header(line, r); reason != "" {
			return reason
		}
	}
	v.chain.next(&v.head, content)
	if v.head != link {
		return "the line, or where it stands, was changed: it does not follow from the one before"
	}
	delete(v.anchors, link)
	switch kind {
	case kindEvent:
		r.Events++
	case kindLost:
		r.Lost += lostIn(line)
	}
	return ""
}

// header takes the first line of a file. Files put together into one have several.
func (v *verifier) header(line []byte, r *FileReport) string {
	h, err := parseHeader(line)
	if err != nil {
		return err.Error()
	}
	if r.Lines == 0 {
		r.Number, r.Prev, r.Begun, v.head = h.Number, h.Prev, h.Time, h.Prev
		delete(v.anchors, h.Prev)
	} else if h.Prev != v.head {
		return "a file begins that does not go on from the line before"
	}
	v.chain = v.keys.chain(h)
	r.Keyed = h.Algorithm == algorithmHMAC
	switch {
	case v.chain != nil:
		return ""
	case v.keyed && !r.Keyed:
		return "it is not sealed with a key, though one was given"
	case v.keyed:
		return "it is sealed with the key " + h.KeyID + ", which is not among those given"
	}
	return "it is sealed with a key, which was not given"
}

// kind is what a line is, as far as its beginning tells.
type kind uint8

const (
	kindOther kind = iota
	kindEvent
	kindLost
	kindHeader
)

const (
	lostField = `,"lost":`
	fileField = `,"file":`
	timeSize  = len(`"2006-01-02T15:04:05.000Z"`)
)

func kindOf(line []byte) kind {
	after := len(begins) + timeSize
	if len(line) < after || !bytes.HasPrefix(line, begins) {
		return kindOther
	}
	switch line = line[after:]; {
	case bytes.HasPrefix(line, []byte(fileField)):
		return kindHeader
	case bytes.HasPrefix(line, []byte(lostField)):
		return kindLost
	case bytes.HasPrefix(line, []byte(`,"id":`)):
		return kindEvent
	}
	return kindOther
}

// lostIn is the number in a line of kindLost.
func lostIn(line []byte) int {
	digits := line[len(begins)+timeSize+len(lostField):]
	end := bytes.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(string(digits[:max(end, 0)]))
	if err != nil {
		return 0
	}
	return n
}
