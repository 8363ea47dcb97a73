package process

import (
	"os/exec"
	"strings"
)

// inherited reports the variables of the gateway that a command sees too.
func inherited(name string) bool {
	switch strings.ToUpper(name) {
	case "PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP", "USERNAME", "USERPROFILE",
		"HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)",
		"PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS", "LANG", "TZ":
		return true
	}
	return false
}

func ownGroup(*exec.Cmd) {}

// signalGroup ends the command. Windows has no signals and no process groups of
// this kind: what the command has started is left to it.
func signalGroup(cmd *exec.Cmd, kill bool) {
	if kill {
		_ = cmd.Process.Kill() // an ended process is what is wanted
	}
}
