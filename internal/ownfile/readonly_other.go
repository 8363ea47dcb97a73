//go:build !linux

package ownfile

// readOnly tells whether the file system that a file is on is mounted read-only; it is
// not asked here.
func readOnly(string) bool { return false }
