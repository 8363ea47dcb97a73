package keyring_test

import (
	"errors"
	"runtime"
	"testing"

	mock "github.com/zalando/go-keyring"

	"github.com/sallyport-dev/sallyport/internal/keyring"
)

func bus(string) string { return "unix:path=/nowhere" }

// The tests share the library's one provider, so they are not parallel.
func TestGet(t *testing.T) {
	mock.MockInit()
	made := 0
	create := func() string { made++; return "key" }
	for range 2 {
		got, err := keyring.Get(t.Context(), bus, "name", create)
		if err != nil || got != "key" || made != 1 {
			t.Fatalf("%q, %v, made %d times", got, err, made)
		}
	}
	mock.MockInitWithError(errors.New("the bus has no secret service"))
	if _, err := keyring.Get(t.Context(), bus, "name", create); !errors.Is(err, keyring.ErrNone) || made != 1 {
		t.Errorf("%v, made %d times", err, made)
	}
}

// Without a session bus the library would start one.
func TestNoBus(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no bus")
	}
	mock.MockInit()
	t.Cleanup(func() { mock.MockInitWithError(keyring.ErrNone) })
	nothing := func(string) string { return "" }
	_, err := keyring.Get(t.Context(), nothing, "name", func() string { return "key" })
	if err != nil && !errors.Is(err, keyring.ErrNone) { // a desktop has a bus at the usual place
		t.Error(err)
	}
}
