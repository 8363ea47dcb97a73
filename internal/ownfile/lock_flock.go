//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ownfile

import (
	"errors"
	"os"
	"syscall"
)

// TryLock takes the file for this process, until it is closed; it is false when another
// process has it.
func TryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return false, nil
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOLCK):
		return true, nil // some network file systems have no locks
	}
	return err == nil, err
}
