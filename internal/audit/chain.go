package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"strconv"
	"time"
)

// Link is what a line of a file stands for in the chain: a hash of the link before
// it and of the line itself. It vouches for every line up to its own.
type Link [sha256.Size]byte

// String is the link as files and logs show it, in lower-case hexadecimal.
func (l Link) String() string { return hex.EncodeToString(l[:]) }

// LogValue is String: logs as JSON would have a list of numbers.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

// ParseLink reads what String wrote.
func ParseLink(s string) (Link, error) {
	var l Link
	// Only one way to write it: two spellings of a link would be a change that
	// nobody notices.
	if n, err := hex.Decode(l[:], []byte(s[:min(len(s), 2*len(l))])); err != nil || n != len(l) || l.String() != s {
		return Link{}, fmt.Errorf("read link: %q is not %d lower-case hexadecimal digits", s, 2*len(l))
	}
	return l, nil
}

// How links are made. With a key, only who has it can make them.
const (
	algorithmHash = "sha256"
	algorithmHMAC = "hmac-sha256"
)

// minKey is the least bytes of a key: below, it could be guessed.
const minKey = 32

// chain makes links by one key, or by none. It is for one goroutine.
type chain struct {
	h         hash.Hash
	algorithm string
	keyID     string // tells which key it was; "" without one
}

func newChain(key []byte) (*chain, error) {
	if key == nil {
		return &chain{h: sha256.New(), algorithm: algorithmHash}, nil
	}
	if len(key) < minKey {
		return nil, fmt.Errorf("audit key: %d bytes, want at least %d", len(key), minKey)
	}
	c := &chain{h: hmac.New(sha256.New, key), algorithm: algorithmHMAC}
	// Shorter than a link, so that it is no message that next could ever see.
	c.h.Write([]byte("sallyport audit key id"))
	c.keyID = hex.EncodeToString(c.h.Sum(nil)[:8])
	return c, nil
}

// next is the link of a line whose text, up to its chain field, is content. No
// allocations: it runs once per event.
func (c *chain) next(prev *Link, content []byte) {
	c.h.Reset()
	c.h.Write(prev[:])
	c.h.Write(content)
	c.h.Sum(prev[:0])
}

const (
	chainOpen  = `,"chain":"`
	chainClose = `"}`
	chainSize  = len(chainOpen) + 2*len(Link{}) + len(chainClose) // what stands instead of the closing brace
)

// appendSealed adds a line with its link, and moves head there. The line is an
// object in JSON, without the line's end.
func (c *chain) appendSealed(b []byte, head *Link, line []byte) []byte {
	content := line[:len(line)-1]
	c.next(head, content)
	b = append(append(b, content...), chainOpen...)
	b = hex.AppendEncode(b, head[:])
	return append(b, chainClose+"\n"...)
}

// splitSealed takes a line, without its end, apart.
func splitSealed(line []byte) (content []byte, link Link, ok bool) {
	at := len(line) - chainSize
	if at < 0 || !bytes.HasPrefix(line[at:], []byte(chainOpen)) || !bytes.HasSuffix(line, []byte(chainClose)) {
		return nil, Link{}, false
	}
	link, err := ParseLink(string(line[at+len(chainOpen) : len(line)-len(chainClose)]))
	return line[:at], link, err == nil
}

// header is the first line of a file. It ties the file to the one before.
type header struct {
	Time      time.Time
	Number    int  // counts the files of a chain, from 1
	Prev      Link // the last link of the file before; zero where a chain begins
	Algorithm string
	KeyID     string
}

// appendLine adds the header without its link.
func (h *header) appendLine(b []byte) []byte {
	b = appendTime(append(b, schemaField...), h.Time)
	b = append(b, fileField...)
	b = strconv.AppendInt(b, int64(h.Number), 10)
	b = appendField(b, `,"prev":`, h.Prev.String())
	b = appendField(b, `,"algorithm":`, h.Algorithm)
	b = appendOptional(b, `,"key":`, h.KeyID)
	return append(b, '}')
}

// begins tells a line of ours from any other text.
var begins = []byte(schemaField)

var errNoHeader = errors.New("this is not the first line of a file written by --audit-file")

// parseHeader reads the first line of a file. The link is left to whoever has the key.
func parseHeader(line []byte) (*header, error) {
	var h struct {
		Schema, Prev, Algorithm, Key string
		File                         int
		Time                         time.Time
	}
	if !bytes.HasPrefix(line, begins) || json.Unmarshal(line, &h) != nil || h.Schema != schema || h.File < 1 {
		return nil, errNoHeader
	}
	prev, err := ParseLink(h.Prev)
	if err != nil || h.Algorithm != algorithmHash && h.Algorithm != algorithmHMAC {
		return nil, errNoHeader
	}
	return &header{Time: h.Time, Number: h.File, Prev: prev, Algorithm: h.Algorithm, KeyID: h.Key}, nil
}

// keyring has a chain for every key that may have been used, and the one for none.
type keyring []*chain

// newKeyring takes keys, of which the first seals. Without keys nothing is secret.
func newKeyring(keys [][]byte) (keyring, error) {
	if len(keys) == 0 {
		c, err := newChain(nil)
		return keyring{c}, err
	}
	var ring keyring
	for _, key := range keys {
		c, err := newChain(key)
		if err != nil {
			return nil, err
		}
		ring = append(ring, c)
	}
	return ring, nil
}

// chain is the one that h's file was sealed with, if its key is here.
func (r keyring) chain(h *header) *chain {
	for _, c := range r {
		if c.algorithm == h.Algorithm && c.keyID == h.KeyID {
			return c
		}
	}
	return nil
}
