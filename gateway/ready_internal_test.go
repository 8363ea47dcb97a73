package gateway

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Keys that never come are waited for half a minute; once ready, the gateway stays so.
//
// FINDING R10
func TestFirstKeys(t *testing.T) {
	t.Parallel()
	keys, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return "", errors.New("down") }, Client: &http.Client{}, Idle: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	without := newSnapshot(&compile.Parts{})
	with := newSnapshot(&compile.Parts{KeySets: []compile.KeySet{{Issuer: "https://idp.example.com", KeySet: keys}}})
	var f firstKeys
	start := time.Now()
	for after, want := range []bool{true, true, true} {
		if got := f.awaited(with, start.Add(time.Duration(after)*10*time.Second)); got != want {
			t.Errorf("after %d0 s: awaited %t", after, got)
		}
	}
	if f.awaited(with, start.Add(30*time.Second)) {
		t.Error("awaited for ever")
	}
	var g firstKeys
	if g.awaited(without, start) || g.awaited(with, start) {
		t.Error("a gateway that was ready is not any more")
	}
}
