package leaks

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// One that ends late, as goleak alone does not allow, is waited for; one that does not end is named.
func TestFind(t *testing.T) {
	look := Watch(t)
	ends := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(ends) })
	go linger(ends)
	look()

	stays := make(chan struct{})
	defer close(stays)
	go linger(stays)
	if err := find(0); err == nil || !strings.Contains(err.Error(), "leaks.linger") {
		t.Errorf("it finds %v", err)
	}
}

func linger(until <-chan struct{}) { <-until }
