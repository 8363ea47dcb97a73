// Package version says which build of Sallyport this is.
//
// It owns the version string alone. It imports nothing of this module.
package version

import "runtime/debug"

// stamped is set by the linker on release builds:
// -ldflags "-X github.com/sallyport-dev/sallyport/internal/version.stamped=v1.2.3".
var stamped string

// Version is the release ("v1.2.3"), or what the Go toolchain recorded: the module
// version, or "devel" with the commit, marked "-dirty" if the tree had changes.
func Version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return fromBuildInfo(info)
}

func fromBuildInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v += "-" + s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	return v + dirty
}
