//go:build unix

package ownfile

import (
	"io/fs"
	"os"
	"syscall"
)

// NoFollow is for os.OpenFile: a link at the end of the path is an error.
const NoFollow = syscall.O_NOFOLLOW

// stranger is the owner of a file, if that is neither this process nor root.
func stranger(info fs.FileInfo) (uid uint32, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 || int(stat.Uid) == os.Geteuid() {
		return 0, false
	}
	return stat.Uid, true
}
