package testkit

import (
	"net"
	"testing"
)

// OAuth2Proxy runs oauth2-proxy by its configuration file's text, in which it listens at address.
func OAuth2Proxy(t testing.TB, address, config string) {
	t.Helper()
	program := need(t, "SALLYPORT_TEST_OAUTH2PROXY", "oauth2-proxy")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	StartServer(t, port, program, "--config", writeFile(t, t.TempDir(), "oauth2-proxy.cfg", config))
}
