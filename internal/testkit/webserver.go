package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// This file runs real web servers of Debian before the gateway.

// nginxFrame is around what a test says of a server. Nothing is kept outside DIR.
const nginxFrame = `daemon off;
worker_processes 1;
pid %DIR%/pid;
error_log stderr warn;
%USER%
events {}
http {
	access_log off;
	client_body_temp_path %DIR%/body;
	proxy_temp_path %DIR%/proxy;
	fastcgi_temp_path %DIR%/fastcgi;
	uwsgi_temp_path %DIR%/uwsgi;
	scgi_temp_path %DIR%/scgi;
	proxy_http_version 1.1;
	proxy_buffering off;
	proxy_read_timeout 1h;
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
	%SERVER%
}
`

// TLSFront is nginx as many have it before a service: it ends TLS, takes a path prefix
// off, and says so in X-Forwarded-Proto, -Host and -Prefix.
type TLSFront struct {
	URL    string       // with the prefix
	CA     *Authority   // of its certificate
	Client *http.Client // trusts it
}

// TLSProxy starts a [TLSFront], and returns its address and client.
func TLSProxy(t testing.TB, upstream, prefix string) (string, *http.Client) {
	t.Helper()
	f := StartTLSFront(t, upstream, prefix)
	return f.URL, f.Client
}

// StartTLSFront starts one before upstream, which need not listen yet.
func StartTLSFront(t testing.TB, upstream, prefix string) *TLSFront {
	t.Helper()
	f := StartNginx(t, time.Now().Add(time.Hour), `server {
		listen 127.0.0.1:%PORT% ssl;
		ssl_certificate %DIR%/cert.pem;
		ssl_certificate_key %DIR%/key.pem;
		proxy_set_header X-Forwarded-Proto https;
		proxy_set_header X-Forwarded-Host $http_host;
		proxy_set_header X-Forwarded-Prefix "%PREFIX%";
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
		location %PREFIX%/ { proxy_pass %UPSTREAM%/; }
		location ~ ^/\.well-known/[^/]+%PREFIX%(/|$) { proxy_pass %UPSTREAM%; }
	}`, "%UPSTREAM%", upstream, "%PREFIX%", prefix)
	f.URL += prefix
	return f
}

// StartNginx starts nginx with server blocks of the test's own. They find the certificate
// and its key, good until then, as %DIR%/cert.pem and %DIR%/key.pem, and the port that
// they have to listen at as %PORT%; names and values in turn are filled in too.
func StartNginx(t testing.TB, until time.Time, servers string, values ...string) *TLSFront {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	ca, client := selfSigned(t, dir, until)
	startNginx(t, dir, port, servers, values...)
	return &TLSFront{"https://127.0.0.1:" + port, ca, client}
}

// AuthProxy is nginx with auth_request: check answers 200 with the person's name in
// X-User, or 401. The person reaches upstream in X-Authenticated-User, whatever a
// client wrote there.
func AuthProxy(t testing.TB, upstream, check string) string {
	t.Helper()
	port := freePort(t)
	startNginx(t, t.TempDir(), port, `server {
		listen 127.0.0.1:%PORT%;
		location = /check {
			internal;
			proxy_pass %CHECK%;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
		}
		location / {
			auth_request /check;
			auth_request_set $user $upstream_http_x_user;
			proxy_set_header X-Authenticated-User $user;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_pass %UPSTREAM%;
		}
	}`, "%UPSTREAM%", upstream, "%CHECK%", check)
	return "http://127.0.0.1:" + port
}

// startNginx runs a server; names and values in turn are filled in.
func startNginx(t testing.TB, dir, port, server string, values ...string) {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the workers write into DIR
	}
	conf := strings.Replace(nginxFrame, "%SERVER%", server, 1)
	conf = strings.NewReplacer(append(values, "%USER%", user, "%DIR%", dir, "%PORT%", port)...).Replace(conf)
	path := writeFile(t, dir, "nginx.conf", conf)
	StartServer(t, port, Command(t, "nginx", "nginx"), "-p", dir, "-c", path, "-e", "stderr")
}

// apacheConf is Apache with mod_auth_openidc before UPSTREAM.
const apacheConf = `ServerRoot %DIR%
PidFile %DIR%/pid
Mutex posixsem
DefaultRuntimeDir %DIR%
ServerName 127.0.0.1
Listen 127.0.0.1:%PORT%
ErrorLog /dev/stderr
LoadModule mpm_event_module %MODULES%/mod_mpm_event.so
LoadModule authn_core_module %MODULES%/mod_authn_core.so
LoadModule authz_core_module %MODULES%/mod_authz_core.so
LoadModule authz_user_module %MODULES%/mod_authz_user.so
LoadModule proxy_module %MODULES%/mod_proxy.so
LoadModule proxy_http_module %MODULES%/mod_proxy_http.so
LoadModule auth_openidc_module %MODULES%/mod_auth_openidc.so
OIDCProviderMetadataURL %ISSUER%/.well-known/openid-configuration
OIDCClientID %ID%
OIDCClientSecret %SECRET%
OIDCRedirectURI http://127.0.0.1:%PORT%/callback
OIDCCryptoPassphrase loopback
OIDCScope "openid"
OIDCPKCEMethod S256
OIDCAuthRequestParams login_hint=%PERSON%
OIDCRemoteUserClaim sub
OIDCAuthNHeader X-Authenticated-User
<Location />
	AuthType openid-connect
	Require valid-user
	ProxyPass %UPSTREAM%/ flushpackets=on
</Location>
`

// OpenIDProxy is Apache with mod_auth_openidc: it signs a browser in at the
// provider, where it is a person, who then reaches upstream in X-Authenticated-User.
func OpenIDProxy(t testing.TB, upstream string, idp *IdP, person string) string {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	apache := Command(t, "apache2", "apache2-bin and libapache2-mod-auth-openidc")
	const modules = "/usr/lib/apache2/modules"
	if _, err := os.Stat(modules + "/mod_auth_openidc.so"); err != nil {
		lacking(t, "libapache2-mod-auth-openidc")
	}
	id, password := idp.Register(t, "http://127.0.0.1:"+port+"/callback")
	conf := strings.NewReplacer(
		"%MODULES%", modules, "%DIR%", dir, "%PORT%", port, "%UPSTREAM%", upstream,
		"%ISSUER%", idp.Issuer, "%ID%", id, "%SECRET%", password, "%PERSON%", person,
	).Replace(apacheConf)
	path := writeFile(t, dir, "apache.conf", conf)
	StartServer(t, port, apache, "-d", dir, "-f", path, "-DFOREGROUND")
	return "http://127.0.0.1:" + port
}

// StartServer runs a server in the foreground until the test ends, and waits until
// it listens at that port of 127.0.0.1.
func StartServer(t testing.TB, port, program string, args ...string) {
	t.Helper()
	cmd, out := exec.Command(program, args...), &Output{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a signal ends it
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s", program, out)
		}
	})
	Eventually(t, program+" listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", program, out)
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// Command finds a program of Debian. Without it the test is skipped.
func Command(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lacking(t, debian)
	}
	return path
}

func lacking(t testing.TB, debian string) {
	t.Helper()
	t.Skipf("needs Debian's %s: run make test", debian)
}

// handed counts the addresses that FreeAddress has given away.
var handed atomic.Uint32

// FreeAddress is a loopback address, host:port, where nobody listens. Its port is below those that the kernel gives to
// who asks for any, so that nobody has it by chance when it is used, or used again after a restart.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := Unused()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Unused is [FreeAddress] where no test runs yet.
func Unused() (address string, err error) {
	for range 100 {
		port := 10000 + (os.Getpid()*331+int(handed.Add(1)))%20000 // test processes side by side are apart
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", errors.New("no free port below the kernel's own range")
}

func freePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(FreeAddress(t))
	return port
}

func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns who signed it
// and a client that trusts that.
func selfSigned(t testing.TB, dir string, until time.Time) (*Authority, *http.Client) {
	t.Helper()
	ca := NewAuthority(t, "nginx")
	cert, key := ca.Server(t, until)
	writeFile(t, dir, "cert.pem", cert)
	writeFile(t, dir, "key.pem", key)
	return ca, ca.Trusting(t)
}
