//go:build linux || darwin

package process

import (
	"os/exec"
	"syscall"
	"unsafe"
)

// awaitExit returns when the command has ended, and leaves it to be reaped by Wait:
// until then its pid names nobody else, and neither does its group.
func awaitExit(cmd *exec.Cmd) {
	const pPid = 1
	var info [128]byte // siginfo_t, which nobody reads
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(cmd.Process.Pid),
			uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		switch errno {
		case 0:
			return
		case syscall.EINTR:
		default: // not allowed here: then it is reaped at once
			_ = cmd.Wait()
			return
		}
	}
}
