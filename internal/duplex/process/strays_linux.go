package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killStrays ends what a command has started that left its process group, such as a
// daemon in a session of its own. It is known by the mark in its environment.
func killStrays(mark string) {
	own := os.Getpid()
	// A stray may start another while it is looked for.
	for range 5 {
		found := false
		names, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
		for _, name := range names {
			env, err := os.ReadFile(name)
			if err != nil || !marked(env, mark) {
				continue // gone, or somebody else's
			}
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if pid <= 1 || pid == own {
				continue
			}
			found = true
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone is what is wanted
			// Where the gateway is the first process of a container, it has become its
			// parent, and nobody else would reap it.
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		if !found {
			return
		}
	}
}

func marked(env []byte, mark string) bool {
	for _, line := range bytes.Split(env, []byte{0}) {
		if string(line) == mark {
			return true
		}
	}
	return false
}
