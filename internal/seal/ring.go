package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32
	// MaxSealed is the length of the longest string that Open looks at, in bytes.
	MaxSealed = 16 << 10
	// MaxPlain is the most that fits into it, in bytes.
	MaxPlain = MaxSealed*3/4 - overhead

	overhead = 12 + 16 // AES-GCM's nonce and tag
)

// Ring seals and opens. It is safe for concurrent use.
//
// AES-256-GCM with random nonces: a key is good for 2^32 seals per purpose
// (NIST SP 800-38D §8.3).
type Ring struct {
	keys  [][]byte
	aeads sync.Map // purpose → []cipher.AEAD, in the order of keys
}

// NewRing makes a ring of keys of KeySize bytes each; the first one seals, all of
// them open. Without keys it makes a random one, which no other process shares.
func NewRing(keys ...[]byte) (*Ring, error) {
	if len(keys) == 0 {
		key := make([]byte, KeySize)
		_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
		keys = [][]byte{key}
	}
	r := &Ring{}
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("read sealing key %d: it has %d bytes and needs %d", i+1, len(k), KeySize)
		}
		if strings.Trim(string(k), "\x00") == "" {
			return nil, fmt.Errorf("read sealing key %d: %w", i+1, errZeroKey)
		}
		r.keys = append(r.keys, append([]byte(nil), k...))
	}
	return r, nil
}

var errZeroKey = errors.New("all its bytes are zero")

// Seal encrypts plain for one purpose: what was sealed for another does not open.
// The result is base64url text without padding. It is "" when plain is longer
// than MaxPlain, since nothing would open that.
func (r *Ring) Seal(purpose string, plain []byte) string {
	if len(plain) > MaxPlain {
		return ""
	}
	buf := make([]byte, 0, len(plain)+overhead)
	buf = r.purpose(purpose)[0].Seal(buf, nil, plain, nil)
	return base64.RawURLEncoding.EncodeToString(buf)
}

// SealSame seals as Seal does, but the same text to the same string: its nonce is made
// of the text (as in RFC 8452). Whoever sees two such strings knows whether they are of
// one text.
func (r *Ring) SealSame(purpose string, plain []byte) string {
	if len(plain) > MaxPlain {
		return ""
	}
	mac := hmac.New(sha256.New, derive(r.keys[0], "nonce "+purpose))
	mac.Write(plain)
	nonce := mac.Sum(nil)[:12]
	aead, err := cipher.NewGCM(block(r.keys[0], purpose))
	if err != nil {
		panic("seal: make cipher: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, nil))
}

// Open returns what was sealed for purpose with any key of the ring, and false
// for everything else, however it is broken.
func (r *Ring) Open(purpose, sealed string) ([]byte, bool) {
	// The decoder would skip line breaks: one plain text, one string.
	if len(sealed) > MaxSealed || strings.ContainsAny(sealed, "\r\n") {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, false
	}
	for _, a := range r.purpose(purpose) {
		if plain, err := a.Open(nil, nil, raw, nil); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// SealValue encrypts a value of any size that stays with us, as Seal does for what a
// stranger holds. It opens for the same place alone: values cannot be exchanged by
// whoever can write where they are kept.
func (r *Ring) SealValue(purpose, place string, plain []byte) []byte {
	buf := make([]byte, 0, len(plain)+overhead)
	return r.purpose(purpose)[0].Seal(buf, nil, plain, []byte(place))
}

// OpenValue returns what SealValue sealed for purpose and place with any key of the
// ring, and false for everything else.
func (r *Ring) OpenValue(purpose, place string, sealed []byte) ([]byte, bool) {
	for _, a := range r.purpose(purpose) {
		if plain, err := a.Open(nil, nil, sealed, []byte(place)); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// Names tell the keys apart, in the order of the ring, and nothing of them: processes with
// the same key have the same name for it.
func (r *Ring) Names() []string {
	var names []string
	for _, k := range r.keys {
		names = append(names, hex.EncodeToString(derive(k, "what it is called")[:8]))
	}
	return names
}

// purpose returns the ciphers for one purpose. Purposes are constants of the
// program, so their number is small.
func (r *Ring) purpose(name string) []cipher.AEAD {
	if a, ok := r.aeads.Load(name); ok {
		return a.([]cipher.AEAD)
	}
	aeads := make([]cipher.AEAD, 0, len(r.keys))
	for _, k := range r.keys {
		aeads = append(aeads, newAEAD(k, name))
	}
	a, _ := r.aeads.LoadOrStore(name, aeads)
	return a.([]cipher.AEAD)
}

// newAEAD derives the cipher of one key for one purpose. None of the steps can
// fail with a key that NewRing accepted.
func newAEAD(key []byte, purpose string) cipher.AEAD {
	aead, err := cipher.NewGCMWithRandomNonce(block(key, purpose))
	if err != nil {
		panic("seal: make cipher: " + err.Error())
	}
	return aead
}

func block(key []byte, purpose string) cipher.Block {
	b, err := aes.NewCipher(derive(key, purpose))
	if err != nil {
		panic("seal: make cipher: " + err.Error())
	}
	return b
}

func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, "sallyport seal v1 "+purpose, KeySize)
	if err != nil {
		panic("seal: derive key: " + err.Error())
	}
	return derived
}
