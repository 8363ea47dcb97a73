//go:build cluster

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/internet"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
	"github.com/sallyport-dev/sallyport/internal/testkit/markdown"
)

// releaseImage is the one that the pages name.
const releaseImage = "registry.example.com/team/sallyport:v1.2.3"

// REQ B-20: the pages about clusters are followed word by word, with kubectl, Helm, a real API server, and pods that run as
// processes: the quick start from an empty cluster to its end; and then, from an installation by plain manifests, the
// laptop's folder, autoscaling, and several teams. What the internet has is played, so that the addresses stay as they
// are, and so is `kubectl port-forward`, for which there is no kubelet.
func TestPagesForClusters(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	w.follow("docs/quickstart-cluster.md", false)
	w.follow("docs/quickstart-cluster.md", true)
	for _, page := range []string{"laptop-to-cluster", "autoscaling", "teams"} {
		w.follow("docs/how-to/"+page+".md", false)
	}
}

// walk is where pages are followed, one after the other.
type walk struct {
	t        *testing.T
	plane    *kube.Plane
	internet *internet.Net
	nodes    map[string]*kube.Node // by namespace
	dir      string                // where files are written, and commands run
	own      *strings.Replacer     // from what a page says to what is done
	env      []string
	forwards map[string]func() // what ends them, by the address that they listen at
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{
		t: t, plane: kube.StartBare(t), internet: internet.New(t), nodes: map[string]*kube.Node{}, dir: t.TempDir(), forwards: map[string]func(){},
	}
	bin := filepath.Join(w.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{
		"kubectl": kube.Program(t, "kubectl"), "helm": kube.Program(t, "helm"), "sallyport": testkit.Binary(t),
		"example-client": testkit.Example(t, "client"), "notes-server": testkit.Example(t, "server"),
	} {
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	deploy, err := filepath.Abs(filepath.Join(root, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(deploy, filepath.Join(w.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	w.env = append(append(os.Environ(), w.internet.Env...), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+w.plane.Kubeconfig, "NO_PROXY=127.0.0.1",
		"HELM_CACHE_HOME="+w.dir, "HELM_CONFIG_HOME="+w.dir, "HELM_DATA_HOME="+w.dir, "HOME="+w.dir)
	pairs := []string{"go run ./examples/client", "example-client", "/usr/local/bin/notes-server", filepath.Join(bin, "notes-server")}
	for _, port := range []string{"8080", "8082", "8083", "9090"} {
		pairs = append(pairs, "127.0.0.1:"+port, testkit.FreeAddress(t))
	}
	w.own = strings.NewReplacer(pairs...)
	w.play()
	return w
}

// play starts what pages rest on: the servers and the provider that they name, and nodes for their namespaces.
func (w *walk) play() {
	w.t.Helper()
	for host, args := range map[string][]string{"mcp.example.com": nil, "tickets.example.com": nil, "weather.example.com": {"-api-key", "s3cret"}} {
		address := testkit.FreeAddress(w.t)
		runServer(w.t, testkit.Example(w.t, "server"), append(args, "-listen", address)...)
		w.internet.Host(host, passingOn(w.t, func() string { return address }, false))
	}
	internet.Play(w.t, w.internet, "keycloak", internet.Client{ID: "sallyport", Secret: "change-me", Redirect: w.own.Replace("http://127.0.0.1:8080/oauth/callback")})
	images := map[string]kube.Image{
		releaseImage: {
			Entrypoint: w.script("sallyportd", testkit.Daemon(w.t)),
			Programs: map[string]string{
				"/sallyportd": w.script("sallyportd", testkit.Daemon(w.t)), "/sallyport": w.script("operator", testkit.Binary(w.t), "KUBECONFIG="+w.plane.Kubeconfig),
			},
		},
		"registry.example.com/team/notes:1": {},
	}
	for _, namespace := range []string{"sallyport-system", "default", "tools", "team-a", "team-b"} {
		w.nodes[namespace] = w.plane.StartNode(w.t, namespace, images)
	}
}

// script is a program as it runs where the internet is the one that is played.
func (w *walk) script(name, program string, env ...string) (path string) {
	w.t.Helper()
	text := "#!/bin/sh\n"
	for _, v := range append(env, w.internet.Env...) {
		text += "export '" + v + "'\n"
	}
	path = filepath.Join(w.dir, name+".sh")
	if err := os.WriteFile(path, []byte(text+"exec '"+program+"' \"$@\"\n"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// fileOf is the name that a block gives a file: behind its kind, or in a comment at its beginning.
var fileOf = regexp.MustCompile(`\A# ([\w/-]+\.yaml)\n`)

// follow does what a page says. Of its console blocks those count that are for a cluster, and of these the ones that say
// what can be done instead of the block before, or the others.
func (w *walk) follow(page string, instead bool) {
	w.t.Helper()
	p := markdown.Read(w.t, root, page)
	for _, b := range p.Blocks {
		name := ""
		if m := fileOf.FindStringSubmatch(b.Text); m != nil && b.Is("yaml") {
			name = m[1]
		} else if len(b.Info) == 2 && b.Info[0] == "text" {
			name = b.Info[1]
		}
		switch {
		case instead != b.Is("console", "cluster", "instead"):
		case name != "":
			w.write(name, w.own.Replace(b.Text))
		case b.Is("sh"):
			for _, m := range added.FindAllStringSubmatch(b.Text, -1) {
				w.signIn(w.own.Replace(m[1]))
			}
		case len(b.Info) > 1 && b.Info[0] == "console" && b.Info[1] == "cluster":
			for _, c := range b.Commands() {
				w.do(c, fmt.Sprintf("%s:%d: $ %s", p.Path, b.Line, c.Line), strings.Join(b.Info[2:], " "))
			}
		}
	}
	for address, end := range w.forwards {
		end()
		delete(w.forwards, address)
	}
}

func (w *walk) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// do runs one command as its block says: once, until it prints what it shall, to be refused, or until the test ends.
func (w *walk) do(c markdown.Command, where, how string) {
	w.t.Helper()
	if w.forward(c.Line) {
		return
	}
	line, want := w.own.Replace(c.Line), w.own.Replace(c.Prints)
	switch how {
	case "", "instead", "refused":
		if err := w.run(line, want, how == "refused"); err != nil {
			w.t.Fatalf("%s: %v", where, err)
		}
	case "eventually":
		var last error
		testkit.Eventually(w.t, where+" prints what the page says", func() bool {
			if err := w.run(line, want, false); err == nil || err.Error() != fmt.Sprint(last) {
				if last = err; err != nil {
					w.t.Logf("%s: %v", where, err)
				}
			}
			return last == nil
		})
	case "background":
		w.start(line, want, where)
	default:
		w.t.Fatalf("%s: no such kind of block: %s", where, how)
	}
}

func (w *walk) command(ctx context.Context, line string) (*exec.Cmd, *testkit.Output) {
	out := &testkit.Output{}
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the shell has children
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	return cmd, out
}

// columns are what tools set apart by as many spaces as it takes.
var columns = regexp.MustCompile(`[ \t]+(\n|\S)`)

// run runs a command that ends, and compares what it prints.
func (w *walk) run(line, want string, refused bool) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 6*time.Minute) // the pages give what they wait for five
	defer cancel()
	cmd, out := w.command(ctx, line)
	if err := cmd.Run(); (err != nil) != refused {
		return fmt.Errorf("it ends with %v\n%s", cmd.ProcessState, out)
	}
	got := columns.ReplaceAllStringFunc(out.String(), func(s string) string {
		if last := s[len(s)-1:]; last == "\n" {
			return last
		}
		return " " + strings.TrimLeft(s, " \t")
	})
	if !markdown.Printed(want, false).MatchString(got) {
		return fmt.Errorf("printed:\n%s\nthe page says:\n%s", out, want)
	}
	return nil
}

// start leaves a command running until the test ends.
func (w *walk) start(line, want, where string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd, out := w.command(ctx, line)
	if err := cmd.Start(); err != nil {
		cancel()
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a signal ends it
		close(ended)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-ended
	})
	waiting, done := context.WithTimeout(w.t.Context(), testkit.Patience)
	defer done()
	if err := out.Wait(waiting, markdown.Printed(want, true).MatchString); err != nil {
		w.t.Fatalf("%s: %v: printed:\n%s\nthe page says:\n%s", where, err, out, want)
	}
}

// added is the address that a page has a client add.
var added = regexp.MustCompile(`claude mcp add --transport http \w+ (http://\S+)`)

// signIn does what a client does that is given an address, and a person with it.
func (w *walk) signIn(address string) {
	w.t.Helper()
	session, err := connect(w.t, address, w.internet)
	if err != nil {
		w.t.Fatalf("sign in at %s: %v", address, err)
	}
	defer session.Close()
	got, err := session.CallTool(w.t.Context(), &mcp.CallToolParams{Name: "headers"})
	if err != nil || !strings.Contains(got.Content[0].(*mcp.TextContent).Text, "Authorization") {
		w.t.Errorf("the server is shown no credential: %v, %v", got, err)
	}
}

// runServer runs a program until the test ends, once it has said where it serves.
func runServer(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd, out, ended := exec.Command(program, args...), &testkit.Output{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	waiting, done := context.WithTimeout(t.Context(), testkit.Patience)
	defer done()
	if err := out.Wait(waiting, func(text string) bool { return strings.Contains(text, "http://") }); err != nil {
		t.Fatal(errors.Join(err, errors.New(out.String())))
	}
}
