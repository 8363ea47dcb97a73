package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// compose is what the tests look at of a Compose file.
type compose struct {
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	Image       string
	Build       map[string]string
	Command     []string
	Environment map[string]string
	Volumes     []string
	Secrets     []string
	Ports       []string
	Networks    map[string]map[string]string
}

// address is the one that the file gives a service.
func (s *composeService) address() string { return s.Networks["inside"]["ipv4_address"] }

func readCompose(t *testing.T, file string) *compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, file)), &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// REQ C-12, REQ G-11: the examples for Docker Compose fit together as far as can be seen
// without it: the manifests pass check, the gateways' variables are those of flags and hold
// what the flags take, mounted files are there, no gateway has a published port, and each
// believes the address of the proxy that the file gives it, and no other.
func TestComposeExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "examples", "compose", "*", "compose.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	proxies := map[string]string{"oauth2-proxy": "oauth2-proxy", "authelia": "traefik", "replicas": "nginx"}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			c, gateways := readCompose(t, file), 0
			for name, s := range c.Services {
				if s.Image == "" && s.Build == nil || s.address() == "" {
					t.Errorf("%s has no image, or no address", name)
				}
				for _, v := range s.Volumes {
					from, _, _ := strings.Cut(v, ":")
					if _, err := os.Stat(filepath.Join(dir, from)); err != nil && from != "./certificates" && strings.HasPrefix(from, ".") {
						t.Errorf("%s mounts %s, which is not there", name, from)
					}
				}
				for _, secret := range s.Secrets {
					if c.Secrets[secret].File != "./secrets/"+secret {
						t.Errorf("%s has the secret %s, which is in %q", name, secret, c.Secrets[secret].File)
					}
				}
				if strings.HasPrefix(name, "gateway") {
					gateways++
					composeGateway(t, dir, &s)
				}
			}
			if gateways == 0 {
				t.Error("there is no gateway")
			}
			proxy := c.Services[proxies[filepath.Base(dir)]]
			if at := proxy.address(); at == "" || !strings.Contains(read(t, filepath.Join(dir, "manifests", "docs.yaml")), "trustedProxies: ["+at+"/32]") {
				t.Errorf("the gateway does not believe the proxy at %q", at)
			}
		})
	}
}

// composeGateway looks at one gateway of an example.
func composeGateway(t *testing.T, dir string, s *composeService) {
	t.Helper()
	if len(s.Ports) > 0 || !slices.Equal(s.Command, []string{"serve", "-f", "/manifests"}) {
		t.Errorf("the gateway: ports %v, command %v", s.Ports, s.Command)
	}
	if _, err := os.Stat(filepath.Join(dir, s.Build["context"], "go.mod")); err != nil {
		t.Errorf("the gateway is built elsewhere: %v", err)
	}
	env := []string{"SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_ADMIN_LISTEN="}
	known := map[string]bool{"SALLYPORT_REDIS_PASSWORD": true, "SALLYPORT_UPSTREAM_CLIENT_SECRET_STAFF": true} // which are no flags
	for _, cmd := range readCommands(t) {
		for _, f := range cmd.flags {
			known["SALLYPORT_"+strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))] = true
		}
	}
	for name, value := range s.Environment {
		if !known[name] {
			t.Errorf("%s is no flag's variable", name)
		}
		if strings.Contains(value, "://") && !strings.Contains(value, "$") {
			env = append(env, name+"="+value)
		}
	}
	if r := testkit.RunWith(t, testkit.Options{Env: env}, "check", "-f", filepath.Join(dir, "manifests")); r.Code != 0 {
		t.Errorf("check: %s", r.Stderr)
	}
}
