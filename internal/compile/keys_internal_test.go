package compile

import (
	"net"
	"testing"
)

// Waiting mends a name server that does not answer, and no name that does not exist.
func TestHopeless(t *testing.T) {
	t.Parallel()
	if !hopeless(&net.DNSError{IsNotFound: true}) || hopeless(&net.DNSError{}) || hopeless(nil) {
		t.Error("a name that does not exist, and one that cannot be asked for, are confused")
	}
}
