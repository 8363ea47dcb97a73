// Package testkit is what the tests of the whole gateway share: it starts the
// real binary and waits until it serves, plays MCP backends that really speak
// the protocol, records what reaches a backend byte by byte, plants canary
// values and looks for them, and finds the real clients and the conformance
// suite.
//
// It owns no assertions about the product: those belong to the tests. It mocks
// nothing. Only tests may import it, and it may import anything.
package testkit
