//go:build !linux && !darwin

package process

import "os/exec"

// awaitExit returns when the command has ended.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() }
