//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command the leader of a process group, so that a signal meets
// all it has started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
