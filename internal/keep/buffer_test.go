package keep_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

func TestLend(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "text", strings.Repeat("long", 1<<19)} {
		b := keep.Borrow()
		if b.Len() != 0 {
			t.Fatalf("a buffer is not empty: %d bytes", b.Len())
		}
		b.WriteString(text)
		body := keep.Lend(b)
		got, err := io.ReadAll(body)
		if err != nil || string(got) != text {
			t.Errorf("read %d bytes of %d, %v", len(got), len(text), err)
		}
		if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		b = keep.Borrow()
		b.WriteString(text)
		var written strings.Builder
		if n, err := io.Copy(&written, keep.Lend(b)); err != nil || int(n) != len(text) || written.String() != text {
			t.Errorf("written %d bytes of %d, %v", n, len(text), err)
		}
	}
}
