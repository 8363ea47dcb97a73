package testkit

import (
	"fmt"
	"os"

	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

// Main runs the tests of a package that uses [Start] or [Run], fails when they
// leave a goroutine behind, and removes the binary that was built for them:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
func Main(m leaks.Tests) {
	if kind := os.Getenv(stdioVariable); kind != "" {
		if err := serveStdio(kind); err != nil {
			fmt.Fprintln(os.Stderr, "serve on stdio:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := leaks.Run(m)
	os.RemoveAll(buildDir())
	os.Exit(code)
}
