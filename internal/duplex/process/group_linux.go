package process

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command the leader of a process group, so that a signal meets
// all it has started. Should the gateway be killed, so is the command.
func ownGroup(cmd *exec.Cmd) {
	// The death signal comes when the thread that started the command ends. Go's
	// threads stay until the program does, unless a locked goroutine ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
