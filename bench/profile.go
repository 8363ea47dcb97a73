package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profileCPU takes a CPU profile of the target while it is measured. The returned
// function waits for its end.
func profileCPU(t *target, name string, o *options) (wait func() error) {
	if t.admin == "" {
		return func() error { return nil }
	}
	seconds := max(1, int(o.dur/time.Second))
	done := make(chan error, 1)
	go func() { done <- fetchProfile(t, fmt.Sprintf("profile?seconds=%d", seconds), name+".cpu", o) }()
	return func() error { return <-done }
}

// profileHeap writes what the target holds in memory after a collection, and what
// its goroutines wait for.
func profileHeap(t *target, name string, o *options) error {
	if t.admin == "" {
		return nil
	}
	if err := fetchProfile(t, "goroutine", name+".goroutine", o); err != nil {
		return err
	}
	return fetchProfile(t, "heap?gc=1", name+".heap", o)
}

func fetchProfile(t *target, what, name string, o *options) error {
	res, err := http.Get("http://" + t.admin + "/debug/pprof/" + what)
	if err != nil {
		return fmt.Errorf("profile %s: %w", t.name, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("profile %s: status %d", t.name, res.StatusCode)
	}
	if err := os.MkdirAll(o.profiles, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(o.profiles, name+".pprof"))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, res.Body)
	return err
}
