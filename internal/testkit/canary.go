package testkit

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Canaries are distinct random values, planted where secrets go and looked for
// where they must not arrive. The zero value is ready to use.
type Canaries struct {
	mu     sync.Mutex
	values map[string]string // name → value
}

// Value returns the canary of that name, the same each time. It is made of
// letters and digits only, so that no encoding of a URL or a header changes it.
func (c *Canaries) Value(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[string]string{}
	}
	if _, ok := c.values[name]; !ok {
		c.values[name] = "canary" + rand.Text()
	}
	return c.values[name]
}

// Find returns the names of the canaries that text contains, sorted: as they
// are, in any case, as hex, or inside something base64-encoded.
func (c *Canaries) Find(text string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lower := strings.ToLower(text)
	var found []string
	for name, value := range c.values {
		if strings.Contains(lower, strings.ToLower(value)) || strings.Contains(lower, hex.EncodeToString([]byte(value))) ||
			slices.ContainsFunc(base64Cores(value), func(core string) bool { return strings.Contains(text, core) }) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// Check fails the test when text, got at the place where, contains a canary
// that is not allowed there.
func (c *Canaries) Check(t testing.TB, where, text string, allowed ...string) {
	t.Helper()
	for _, name := range c.Find(text) {
		if !slices.Contains(allowed, name) {
			t.Errorf("the canary %q is in %s", name, where)
		}
	}
}

// base64Cores returns what value looks like inside a longer base64 text, for
// each of the three places it can have in a group: without the first and last
// characters, which depend on the neighbours. The alphabets for URLs and for
// mail agree on letters and digits except in two characters, so both are tried.
func base64Cores(value string) []string {
	var cores []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("x", shift) + value))
			cores = append(cores, text[4:len(text)-2])
		}
	}
	return cores
}
