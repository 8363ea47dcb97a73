package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) {
	if binary := os.Getenv(driverVariable); binary != "" {
		if err := drive(binary, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m)
}
