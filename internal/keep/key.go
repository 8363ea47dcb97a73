package keep

import (
	"crypto/sha256"
	"encoding/json"
)

// Key is a short text that is equal for equal settings, which are plain data. It stays
// in memory: it may be made of secrets.
func Key(settings ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, s := range settings {
		if err := enc.Encode(s); err != nil {
			panic(err) // settings are plain data
		}
	}
	return string(h.Sum(nil)[:16])
}
