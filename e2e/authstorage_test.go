package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// An authorization server keeps sign-ins in a Redis of its own, whatever the process
// keeps: another process goes on with them, and in Redis nothing can be read.
func TestAuthServerWithARedisOfItsOwn(t *testing.T) {
	t.Parallel()
	idp, redis := testkit.StartIdP(t), testkit.StartRedis(t)
	backend := testkit.Record(t, sessionBackend("s"))
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	docs := authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"},
		"signingKeySecretRefs: [{name: signing, key: key}]", "hmacSecretRefs: [{name: hmac, key: key}]",
		"storage:", "  type: redis", "  redis:", "    addr: "+redis.Address,
		"    aclUserConfig: {usernameSecretRef: {name: redis-user, key: name}, passwordSecretRef: {name: redis-password, key: password}}") +
		secretObject("signing", "key", string(key)) + secretObject("hmac", "key", strings.Repeat("k", 32)) +
		secretObject("redis-user", "name", testkit.RedisUser) + secretObject("redis-password", "password", testkit.RedisPassword) +
		remote("docs", backend.URL, "authServerRef: {name: people}")

	first := serve(t, docs, "--listen", address)
	client := register(t, issuer)
	try := client.attempt(issuer + "/servers/docs/mcp")
	done := goes(t, testkit.NewBrowser(t), try.address, appRedirect)
	code := done.URL.Query().Get("code")
	if code == "" {
		t.Fatalf("signed in: %v, %d %s", done.URL, done.Status, done.Body)
	}
	if n, err := redis.Command(t, "DBSIZE"); err != nil || n == ":0" {
		t.Errorf("Redis holds %s values, %v", n, err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := serve(t, docs, "--listen", address)
	got := client.token(try.form(code))
	if got.Status != http.StatusOK || !opens(t, at(second, "docs"), got.Access) {
		t.Errorf("another process: %+v", got)
	}
	if text := first.Stderr.String() + second.Stderr.String(); strings.Contains(text, testkit.RedisPassword) {
		t.Error("the password of Redis is in the log")
	}
}
