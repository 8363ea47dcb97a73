// Package version says which build of Sallyport this is: version, commit and date.
// It imports nothing of this module.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker on release builds, where there is no checkout to read them from:
// -ldflags "-X github.com/sallyport-dev/sallyport/internal/version.stamped=v1.2.3", and
// commit and date likewise.
var stamped, commit, date string

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
	if c := setting(info, "vcs.revision"); c != "" {
		v += "-" + short(c)
	}
	if setting(info, "vcs.modified") == "true" {
		v += "-dirty"
	}
	return v
}

// Line is what --version prints behind the program's name: version, commit and its
// date as far as they are known, toolchain and platform.
func Line() string {
	info, _ := debug.ReadBuildInfo()
	return line(Version(), info)
}

func line(version string, info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	parts := []string{}
	if c := cmp.Or(commit, setting(info, "vcs.revision")); c != "" {
		parts = append(parts, "commit "+short(c))
	}
	if d := cmp.Or(date, setting(info, "vcs.time")); d != "" {
		parts = append(parts, d)
	}
	parts = append(parts, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return fmt.Sprintf("%s (%s)", version, strings.Join(parts, ", "))
}

func short(commit string) string { return commit[:min(len(commit), 12)] }

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
