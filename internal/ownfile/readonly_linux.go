package ownfile

import "syscall"

// readOnly tells whether the file system that a file is on is mounted read-only.
func readOnly(path string) bool {
	const flagReadOnly = 1 // ST_RDONLY
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&flagReadOnly != 0
}
