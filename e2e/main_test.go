package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) {
	if binary := os.Getenv(driverVariable); binary != "" {
		end(drive(binary, os.Args[len(os.Args)-1]))
	}
	if os.Getenv(stdioVariable) != "" {
		end(serveTools())
	}
	testkit.Main(m)
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
