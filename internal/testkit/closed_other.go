//go:build !linux

package testkit

import (
	"net"
	"testing"
)

// CloseSeen closes a connection.
func CloseSeen(_ testing.TB, conn net.Conn) { conn.Close() }
