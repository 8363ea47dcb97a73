package inside_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/doctor/inside"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/store/sealed"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// at is how a Redis at an address is reached by the user of testkit.
func at(address string) store.RedisConfig {
	return store.RedisConfig{
		Addresses: []string{address}, Username: testkit.RedisUser, Password: secret.New(testkit.RedisPassword),
		DialTimeout: testkit.Patience, Timeout: testkit.Patience,
	}
}

func ring(t *testing.T, b byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing([]byte(strings.Repeat(string(b), seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// redisTLS is the TLS address of a Redis, with the authority of its certificate.
func redisTLS(t *testing.T) (address string, a *testkit.Authority) {
	t.Helper()
	a = testkit.NewAuthority(t, "redis")
	cert, key := a.Server(t, time.Now().Add(time.Hour))
	dir := t.TempDir()
	for name, text := range map[string]string{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address = testkit.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	testkit.StartRedis(t, "tls-port "+port, "tls-cert-file "+dir+"/cert.pem", "tls-key-file "+dir+"/key.pem", "tls-auth-clients no")
	return address, a
}

var seconds = regexp.MustCompile(`^1[0-9]{9}\r\n$`)

// lateClock passes everything on to a Redis, and puts its clock ten minutes back.
func lateClock(t *testing.T, redis string) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", redis)
			if err != nil {
				client.Close()
				return
			}
			go func() {
				_, _ = io.Copy(server, client)
				server.Close()
			}()
			go func() {
				defer client.Close()
				for lines := bufio.NewReader(server); ; {
					line, err := lines.ReadString('\n')
					if seconds.MatchString(line) {
						n, _ := strconv.Atoi(strings.TrimSpace(line))
						line = strconv.Itoa(n-600) + "\r\n"
					}
					if _, werr := io.WriteString(client, line); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestStores plants faults in the Redis that state is kept in, and in how it is reached,
// and finds each named with what to change.
func TestStores(t *testing.T) {
	t.Parallel()
	backend := testkit.StartBackend(t, testkit.Stateless)
	redis := testkit.StartRedis(t,
		"user least on >least ~sallyport:* +@read +@write +@scripting +@connection +time",
		"user timeless on >timeless ~sallyport:* +@read +@write +@scripting +@connection",
		"user reader on >reader ~sallyport:* +@read +@connection +time",
		"user elsewhere on >elsewhere ~other:* +@all",
	)
	as := func(user string) store.RedisConfig {
		cfg := at(redis.Address)
		cfg.Username, cfg.Password = user, secret.New(user)
		return cfg
	}
	encrypted, authority := redisTLS(t)
	over := func(address string, roots *testkit.Authority) store.RedisConfig {
		cfg := at(address)
		cfg.TLS = &tls.Config{RootCAs: roots.Pool()}
		return cfg
	}
	silent := over(redis.Address, authority)
	silent.DialTimeout = 2 * time.Second // Redis waits for more of what it takes for a line
	_, port, _ := net.SplitHostPort(redis.Address)
	follower := testkit.StartRedis(t, "replicaof 127.0.0.1 "+port, "masteruser "+testkit.RedisUser, "masterauth "+testkit.RedisPassword)
	node := testkit.StartRedis(t, "cluster-enabled yes")
	sentinel := testkit.StartSentinel(t, redis)
	unknown := at(sentinel.Address)
	unknown.Master = "nobody"
	owned := testkit.StartRedis(t)
	inner, err := store.NewRedis(at(owned.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	if err := sealed.New(inner, ring(t, 'a')).Put(t.Context(), "kept", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cfg  store.RedisConfig
		ring *seal.Ring
		want string // level: check: words of it, in this order
	}{
		{"nothing", at(redis.Address), nil, "ok: store: --store: Redis does all that the gateway needs"},
		{"over TLS", over(encrypted, authority), nil, "ok: store: --store: Redis does all"},
		{"no more rights than the documented ones", as("least"), nil, "ok: store: --store: Redis does all"},
		{"the same keys", at(owned.Address), ring(t, 'a'), "ok: store keys: --store: the keys open what is kept there"},
		{"nobody listens", at(testkit.FreeAddress(t)), nil, "failure: store: --store: what needs state fails connect: refused change: the address whether Redis runs there"},
		{"no such name", at("redis.invalid:6379"), nil, "failure: store: connect: no such host change: the address"},
		{"a wrong password", as("nobody"), nil, "failure: store: connect: WRONGPASS change: SALLYPORT_REDIS_PASSWORD"},
		{"a certificate of nobody", over(encrypted, testkit.NewAuthority(t, "another")), nil, "failure: store: connect: certificate change: SSL_CERT_FILE"},
		{"TLS to one that speaks none", silent, nil, "failure: store: connect: change: redis:// in place of rediss://"},
		{"no TLS to one that wants it", at(encrypted), nil, "failure: store: connect: change: rediss:// in place of redis://"},
		{"a user that may not write", as("reader"), nil, "failure: store: write: permissions change: +@read +@write +@scripting +@connection +time"},
		{"a user that may not ask for the time", as("timeless"), nil, "failure: store: connect: permissions 'time' change: +@read +@write +@scripting +@connection +time"},
		{"a user for other keys", as("elsewhere"), nil, "failure: store: write: permissions change: keys sallyport:*"},
		{"a copy", at(follower.Address), nil, "failure: store: write: read only replica change: the address of the master"},
		{"a part of a cluster", at(node.Address), nil, "failure: store: write: CLUSTERDOWN change: no part of a cluster"},
		{"a master that Sentinels do not know", unknown, nil, "failure: store: connect: change:"},
		{"another clock", at(lateClock(t, redis.Address)), nil, "failure: clocks: --store: the clock of Redis is 10m0s behind the one here change: time synchronisation"},
		{"keys of others", at(owned.Address), ring(t, 'b'), "failure: store keys: of 1 values that were looked at, 1 were sealed change: --store-key-file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, remote("docs", backend.URL), 0o600, func(o *inside.Options) { o.Redis, o.StoreKeys = &tt.cfg, tt.ring })
			wantFinding(t, r, tt.want)
			if text := r.String(); strings.Contains(text, testkit.RedisPassword) {
				t.Errorf("the password is told:\n%s", text)
			}
		})
	}
	if n, err := owned.Command(t, "DBSIZE"); err != nil || n != ":1" {
		t.Errorf("it left something behind: %s, %v", n, err)
	}
}

// wantFinding looks for one: level: check: words of it, in this order.
func wantFinding(t *testing.T, r *doctor.Report, want string) {
	t.Helper()
	parts := strings.SplitN(want, ": ", 3)
	for _, f := range r.Findings {
		if string(f.Level) == parts[0] && f.Check == parts[1] && testkit.InOrder(f.String(), strings.Fields(parts[2])) {
			return
		}
	}
	t.Errorf("nothing says %q:\n%s", want, r)
}

// TestStoreOfAuthServer names the line of the manifest where an authorization server has a
// Redis of its own, and looks at one that several share once.
func TestStoreOfAuthServer(t *testing.T) {
	t.Parallel()
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	secrets := ""
	for name, value := range map[string]string{"signing": string(key), "hmac": strings.Repeat("k", 32), "password": "canary-password"} {
		secrets += fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {k: %q}\n", name, value)
	}
	const origin = "http://127.0.0.1:8080"
	idp := provider(t, origin+"/oauth/callback")
	people := signIn(origin, idp.URL) + strings.Join([]string{
		"    signingKeySecretRefs: [{name: signing, key: k}]", "    hmacSecretRefs: [{name: hmac, key: k}]",
		"    storage: {type: redis, redis: {addr: \"" + testkit.FreeAddress(t) + "\", aclUserConfig: {passwordSecretRef: {name: password, key: k}}}}", "",
	}, "\n")
	backend := testkit.StartBackend(t, testkit.Stateless)
	r := examine(t, people+remote("docs", backend.URL, "authServerRef: {name: people}")+secrets, 0o600, nil)
	wantFinding(t, r, "failure: store: people: what needs state fails connect: refused change: site.yaml:13: MCPExternalAuthConfig/people: spec.embeddedAuthServer.storage.redis change: the address")
	if text := r.String(); strings.Contains(text, "canary") {
		t.Errorf("a secret is told:\n%s", text)
	}
}
