package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/seal"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, seal.KeySize) }

func newRing(t testing.TB, keys ...[]byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("long "), 1000), make([]byte, seal.MaxPlain)} {
		s := r.Seal("session", plain)
		if len(s) > seal.MaxSealed {
			t.Errorf("%d bytes seal to %d", len(plain), len(s))
		}
		// Good as a session id: visible ASCII (MCP 2025-11-25 transports).
		if i := strings.IndexFunc(s, func(c rune) bool { return c < 0x21 || c > 0x7e }); i >= 0 {
			t.Errorf("sealed text has %q", s[i])
		}
		got, ok := r.Open("session", s)
		if !ok || !bytes.Equal(got, plain) {
			t.Errorf("Open(Seal(%d bytes)) = %d bytes, %v", len(plain), len(got), ok)
		}
		if s == r.Seal("session", plain) {
			t.Error("the same text sealed twice looks the same")
		}
		same := r.SealSame("session", plain)
		if got, ok := r.Open("session", same); !ok || !bytes.Equal(got, plain) || same != r.SealSame("session", plain) || same == r.SealSame("cursor", plain) {
			t.Errorf("SealSame(%d bytes) does not open, or is not the same twice", len(plain))
		}
	}
	if s := r.Seal("session", make([]byte, seal.MaxPlain+1)); s != "" {
		t.Errorf("sealed %d bytes, which nobody could open", seal.MaxPlain+1)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := newRing(t, key(1))
	good := r.Seal("session", []byte("plain"))
	tests := map[string]string{
		"empty":      "",
		"short":      good[:8],
		"cut":        good[:len(good)-1],
		"no base64":  "*" + good[1:],
		"padded":     good + "=",
		"line break": good[:4] + "\n" + good[4:],
		"too long":   strings.Repeat("A", seal.MaxSealed+1),
		"other key":  newRing(t, key(2)).Seal("session", []byte("plain")),
		"other use":  r.Seal("cursor", []byte("plain")),
	}
	for name, s := range tests {
		if plain, ok := r.Open("session", s); ok {
			t.Errorf("%s: opened to %q", name, plain)
		}
	}
	for i := range good { // every single character counts
		b := []byte(good)
		b[i] ^= 1
		if plain, ok := r.Open("session", string(b)); ok && string(b) != good {
			t.Errorf("character %d changed: opened to %q", i, plain)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	old, next := newRing(t, key(1)), newRing(t, key(2), key(1))
	s := old.Seal("session", []byte("before"))
	if got, ok := next.Open("session", s); !ok || string(got) != "before" {
		t.Errorf("the new ring opens the old key's text: %q, %v", got, ok)
	}
	s = next.Seal("session", []byte("after"))
	if _, ok := old.Open("session", s); ok {
		t.Error("the new ring still seals with the old key")
	}
	if got, ok := newRing(t, key(2)).Open("session", s); !ok || string(got) != "after" {
		t.Errorf("the first key seals: %q, %v", got, ok)
	}
}

func TestRandomRingsDiffer(t *testing.T) {
	t.Parallel()
	if _, ok := newRing(t).Open("p", newRing(t).Seal("p", []byte("x"))); ok {
		t.Error("two random rings share a key")
	}
}

func TestNewRingKeepsItsKeys(t *testing.T) {
	t.Parallel()
	k := key(1)
	r := newRing(t, k)
	clear(k)
	s := r.Seal("p", []byte("x"))
	got, ok := newRing(t, key(1)).Open("p", s)
	if diff := cmp.Diff("x", string(got)); !ok || diff != "" {
		t.Errorf("the caller's change reached the ring: %v %s", ok, diff)
	}
}

func TestNewRingRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"short": {key(1)[:31]},
		"long":  {append(key(1), 1)},
		"empty": {nil},
		"zero":  {key(0)},
		"later": {key(1), key(2)[:16]},
	} {
		if _, err := seal.NewRing(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// sealed is "plain", sealed for "p" with key(1) by the first release. What people
// hold has to open after an upgrade.
const sealed = "pvdBo7tojzXv9BhJOL78bo5QwI7FbXsyM6d-GZKftC8M"

func TestFormatStays(t *testing.T) {
	t.Parallel()
	if got, ok := newRing(t, key(2), key(1)).Open("p", sealed); !ok || string(got) != "plain" {
		t.Errorf("%q, %v", got, ok)
	}
}

func FuzzOpen(f *testing.F) {
	r := newRing(f, key(1), key(2))
	f.Add(sealed)
	f.Add("")
	f.Add(sealed + "=")
	f.Add(sealed[:20] + "\n" + sealed[20:])
	f.Add(strings.Repeat("A", 40))
	f.Fuzz(func(t *testing.T, s string) {
		plain, ok := r.Open("p", s)
		if ok != (s == sealed) || (ok && string(plain) != "plain") {
			t.Errorf("Open(%q) = %q, %v", s, plain, ok)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	r := newRing(b)
	s := r.Seal("session", make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Open("session", s); !ok {
			b.Fatal("did not open")
		}
	}
}

// Names tell keys apart, in their order, and are the same wherever a key is; nothing of a
// key is in its name.
func TestNames(t *testing.T) {
	t.Parallel()
	names := newRing(t, key('a'), key('b')).Names()
	if want := append(newRing(t, key('a')).Names(), newRing(t, key('b')).Names()...); !cmp.Equal(names, want) || names[0] == names[1] {
		t.Errorf("names %v, want %v", names, want)
	}
	if strings.Contains(names[0], strings.Repeat("61", 4)) || len(names[0]) != 16 {
		t.Errorf("name %s", names[0])
	}
	if made := newRing(t); cmp.Equal(made.Names(), newRing(t).Names()) {
		t.Error("two keys that were made by chance have one name")
	}
}
