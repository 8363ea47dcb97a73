//go:build unix

package process

import (
	"os/exec"
	"strings"
	"syscall"
)

// inherited reports the variables of the gateway that a command sees too.
func inherited(name string) bool {
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "TERM", "SHELL":
		return true
	}
	return strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "XDG_")
}

// signalGroup asks the command and all it has started to end, or makes them.
func signalGroup(cmd *exec.Cmd, kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, sig) // nobody left is what is wanted
}
