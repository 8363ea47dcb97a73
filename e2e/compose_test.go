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

// compose is what the test looks at of a Compose file.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       map[string]string
		Command     []string
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Networks    map[string]map[string]string
	}
}

// REQ C-12: the examples for Docker Compose fit together as far as can be seen without
// it: the manifests pass check, the gateway's variables are those of flags and hold
// what the flags take, mounted files are there, the gateway has no published port, and
// believes the address of the proxy that the file gives it, and no other.
func TestComposeExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "examples", "compose", "*", "compose.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	proxies := map[string]string{"oauth2-proxy": "oauth2-proxy", "authelia": "traefik"}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			var c compose
			if err := yaml.Unmarshal([]byte(read(t, file)), &c); err != nil {
				t.Fatal(err)
			}
			gateway := c.Services["gateway"]
			if len(gateway.Ports) > 0 || !slices.Equal(gateway.Command, []string{"serve", "-f", "/manifests"}) {
				t.Errorf("the gateway: ports %v, command %v", gateway.Ports, gateway.Command)
			}
			if _, err := os.Stat(filepath.Join(dir, gateway.Build["context"], "go.mod")); err != nil {
				t.Errorf("the gateway is built elsewhere: %v", err)
			}
			env := []string{"SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_ADMIN_LISTEN="}
			flags := map[string]bool{}
			for _, cmd := range readCommands(t) {
				for _, f := range cmd.flags {
					flags["SALLYPORT_"+strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))] = true
				}
			}
			for name, value := range gateway.Environment {
				if !flags[name] {
					t.Errorf("%s is no flag's variable", name)
				}
				if strings.Contains(value, "://") && !strings.Contains(value, "$") {
					env = append(env, name+"="+value)
				}
			}
			manifests := filepath.Join(dir, "manifests")
			if r := testkit.RunWith(t, testkit.Options{Env: env}, "check", "-f", manifests); r.Code != 0 {
				t.Errorf("check: %s", r.Stderr)
			}
			at := c.Services[proxies[filepath.Base(dir)]].Networks["inside"]["ipv4_address"]
			if at == "" || !strings.Contains(read(t, filepath.Join(manifests, "docs.yaml")), "trustedProxies: ["+at+"/32]") {
				t.Errorf("the gateway does not believe the proxy at %q", at)
			}
			for name, s := range c.Services {
				if s.Image == "" && s.Build == nil {
					t.Errorf("%s has no image", name)
				}
				for _, v := range s.Volumes {
					from, _, _ := strings.Cut(v, ":")
					if _, err := os.Stat(filepath.Join(dir, from)); err != nil && from != "./certificates" {
						t.Errorf("%s mounts %s, which is not there", name, from)
					}
				}
			}
		})
	}
}
