package audit

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sallyport-dev/sallyport/internal/ownfile"
)

// headNote is a file beside the audit file that says where the chain ends: its number
// and its head. With it the chain goes on when somebody (logrotate) moved the file away
// while no gateway ran. It is written over in place and not synced: what a crash leaves
// is the file itself, and that counts more. A nil headNote keeps nothing.
type headNote struct {
	file *os.File
	log  *slog.Logger
}

// noteForm has one length, so that writing over it leaves nothing of before.
const noteForm = "%010d %s\n"

// notePath is out of the way of patterns that find the audit files.
func notePath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".head")
}

// openHeadNote opens or makes the note. Where that is not possible the chain does without.
func openHeadNote(path string, log *slog.Logger) *headNote {
	file, err := os.OpenFile(notePath(path), os.O_RDWR|os.O_CREATE|ownfile.NoFollow, 0o600)
	if err != nil {
		log.Warn("the audit chain's head cannot be kept beside the file; if that is moved away while no gateway runs, a new chain begins", "cause", err)
		return nil
	}
	return &headNote{file, log}
}

// last is what was noted.
func (n *headNote) last() (number int, head Link, ok bool) {
	if n == nil {
		return 0, Link{}, false
	}
	var digits string
	text, err := io.ReadAll(io.NewSectionReader(n.file, 0, 1<<10))
	if err == nil {
		_, err = fmt.Sscanf(string(text), noteForm, &number, &digits)
	}
	if err == nil {
		head, err = ParseLink(digits)
	}
	if err != nil || number < 1 {
		return 0, Link{}, false // a new one
	}
	return number, head, true
}

// keep notes where the chain ends now.
func (n *headNote) keep(number int, head Link) {
	if n == nil {
		return
	}
	if _, err := n.file.WriteAt(fmt.Appendf(nil, noteForm, number, head), 0); err != nil {
		n.log.Debug("the audit chain's head is not kept", "cause", err) // a full disk, which the log knows of
	}
}

func (n *headNote) close() {
	if n != nil {
		_ = n.file.Close() // nothing waits in it
	}
}
