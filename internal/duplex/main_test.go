package duplex_test

import (
	"os"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

// TestMain lets the test binary be the command of a stdio backend too, and fails
// when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if kind := os.Getenv(serverVariable); kind != "" {
		os.Exit(serveStdio(kind))
	}
	leaks.Main(m)
}
