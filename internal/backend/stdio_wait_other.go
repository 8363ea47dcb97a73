//go:build !linux && !darwin

package backend

import "os/exec"

// awaitExit returns when the command has ended.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() }
