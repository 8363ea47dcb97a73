package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Digest makes one part of a key out of what strangers chose. The length of each text
// stands before it, so that no two lists of texts read the same. It has no slash, and
// a fixed length.
func Digest(texts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, t := range texts {
		binary.BigEndian.PutUint64(n[:], uint64(len(t)))
		h.Write(n[:])
		h.Write([]byte(t))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
