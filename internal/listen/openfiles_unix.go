//go:build unix

package listen

import (
	"math"
	"syscall"
)

// openFiles is how many files the process may have open. The Go runtime has raised the
// soft limit to the hard one.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt32
	}
	return uint64(limit.Cur) //nolint:unconvert,nolintlint // it is signed on FreeBSD
}
