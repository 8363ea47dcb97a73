package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU times in /proc: the kernel shows a hundredth of a
// second to everyone, whatever it counts in itself.
const tick = 10 * time.Millisecond

// stat returns the fields of /proc/PID/stat that follow the command's name.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil // it ended
	}
	s := string(b)
	return strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
}

// tree returns pid and its descendants.
func tree(pid int) []int {
	parent := make(map[int]int)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		p, err := strconv.Atoi(filepath.Base(dir))
		if f := stat(p); err == nil && len(f) > 1 {
			parent[p], _ = strconv.Atoi(f[1])
		}
	}
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		for p, of := range parent {
			if of == found[i] {
				found = append(found, p)
			}
		}
	}
	return found
}

// cpu adds up the user and system time of processes. A thread's is told in
// nanoseconds; none of the targets ends threads.
func cpu(pids []int) (used time.Duration) {
	for _, p := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/schedstat", p))
		for _, thread := range threads {
			b, err := os.ReadFile(thread)
			if err != nil {
				continue // it ended
			}
			running, _, _ := strings.Cut(string(b), " ")
			n, _ := strconv.ParseInt(running, 10, 64)
			used += time.Duration(n)
		}
	}
	return used
}

// machineCPU is the time all processors together have been busy.
func machineCPU() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var ticks int
	for i, field := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // the name, idle, waiting for disks, guests
			continue
		}
		n, _ := strconv.Atoi(field)
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// memory returns megabytes held by the processes: resident, and proportional,
// where a page that several share counts once.
func memory(pids []int) (rss, pss float64) {
	for _, p := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			kb, _ := strconv.ParseFloat(f[1], 64)
			switch f[0] {
			case "Rss:":
				rss += kb / 1024
			case "Pss:":
				pss += kb / 1024
			}
		}
	}
	return rss, pss
}

// peak returns the most megabytes that the processes have had resident since they began.
func peak(pids []int) (most float64) {
	for _, p := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), "VmHWM:")
		if f := strings.Fields(rest); len(f) > 0 {
			kb, _ := strconv.ParseFloat(f[0], 64)
			most += kb / 1024
		}
	}
	return most
}

func processors() int { return runtime.NumCPU() }

func selfPID() []int { return []int{os.Getpid()} }

// raiseFileLimit makes room for a connection per session, on both sides.
func raiseFileLimit() error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	lim.Cur = lim.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
}
