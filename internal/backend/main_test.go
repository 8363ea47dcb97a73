package backend_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { leaks.Main(m) }
