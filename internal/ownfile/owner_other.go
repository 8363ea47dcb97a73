//go:build !unix

package ownfile

import "io/fs"

// NoFollow is nothing on these systems.
const NoFollow = 0

// stranger is not known on these systems.
func stranger(fs.FileInfo) (uid uint32, ok bool) { return 0, false }
