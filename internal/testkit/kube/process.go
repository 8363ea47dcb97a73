package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// process is a container.
type process struct {
	pod  *runningPod
	spec container
	out  testkit.Output

	cmd    *exec.Cmd // nil before the first start
	ended  chan struct{}
	starts int
	next   time.Time // when it may be started again
	ready  bool
}

// start starts it, or starts it again.
func (p *process) start(ctx context.Context) error {
	line, err := p.commandLine()
	if err != nil {
		return err
	}
	env := []string{"GORACE=halt_on_error=1 atexit_sleep_ms=0"}
	values := map[string]string{}
	for _, v := range p.spec.Env {
		value, ok, err := p.pod.value(ctx, v)
		if err != nil {
			return err
		}
		if ok {
			values[v.Name] = value
			env = append(env, v.Name+"="+p.here(value))
		}
	}
	for i, arg := range line[1:] {
		line[i+1] = p.here(expand(arg, values))
	}
	p.cmd, p.ended = exec.Command(line[0], line[1:]...), make(chan struct{})
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.pod.dir, env, &p.out, &p.out
	p.cmd.WaitDelay = time.Second // somebody it started may hold its output
	p.starts++
	p.next = time.Now().Add(time.Second)
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("container %s: %w", p.spec.Name, err)
	}
	cmd, ended := p.cmd, p.ended
	go func() {
		_ = cmd.Wait() // who looks at it sees the state
		close(ended)
	}()
	return nil
}

// commandLine is what it runs, by the image and the container's command.
func (p *process) commandLine() ([]string, error) {
	image, ok := p.pod.node.images[p.spec.Image]
	if !ok {
		return nil, fmt.Errorf("container %s: there is no image %s", p.spec.Name, p.spec.Image)
	}
	if len(p.spec.Command) == 0 {
		return append([]string{image.Entrypoint}, p.spec.Args...), nil
	}
	program, ok := image.Programs[p.spec.Command[0]]
	if !ok {
		program = p.here(p.spec.Command[0]) // it may be in a volume
		if program == p.spec.Command[0] {
			return nil, fmt.Errorf("container %s: there is no %s in the image %s", p.spec.Name, program, p.spec.Image)
		}
	}
	line := append([]string{program}, p.spec.Command[1:]...)
	return append(line, p.spec.Args...), nil
}

// reference is one to a variable, as $(NAME).
var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

func expand(arg string, values map[string]string) string {
	return reference.ReplaceAllStringFunc(arg, func(ref string) string {
		if value, ok := values[ref[2:len(ref)-1]]; ok {
			return value
		}
		return ref
	})
}

// anyHost is an address to listen at, at each interface.
var anyHost = regexp.MustCompile(`(^|=)(?:0\.0\.0\.0|\[::\])?(:\d+)$`)

// here changes what is a path below a mount, or an address to listen at, to what that is on this machine.
func (p *process) here(text string) string {
	text = anyHost.ReplaceAllString(text, "${1}"+p.pod.address+"${2}")
	for _, m := range p.spec.VolumeMounts {
		below := regexp.MustCompile(`(^|[=,:\s])` + regexp.QuoteMeta(strings.TrimSuffix(m.MountPath, "/")) + `(/|,|:|\s|$)`)
		text = below.ReplaceAllString(text, "${1}"+p.pod.volumeDir(m.Name)+"${2}")
	}
	return text
}

func (p *process) hasEnded() bool {
	if p.cmd == nil {
		return true
	}
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) running() bool { return p.cmd != nil && !p.hasEnded() }

func (p *process) lastWords() string {
	text := strings.TrimSpace(p.out.String())
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (p *process) terminate() {
	if p.running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
}

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// look asks the readiness probe, where there is one.
func (p *process) look(ctx context.Context) bool {
	probe := p.spec.ReadinessProbe
	switch {
	case !p.running():
		p.ready = false
	case probe == nil || probe.HTTPGet == nil:
		p.ready = true
	default:
		p.ready = p.ask(ctx, "http://"+net.JoinHostPort(p.pod.address, p.port(probe.HTTPGet.Port))+probe.HTTPGet.Path)
	}
	return p.ready
}

// port is one by its name, or its number.
func (p *process) port(named any) string {
	for _, port := range p.spec.Ports {
		if port.Name == named {
			named = port.ContainerPort
		}
	}
	return fmt.Sprint(named)
}

func (p *process) ask(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := p.pod.node.plane.client.http.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode >= 200 && resp.StatusCode < 400
}

func (r *runningPod) volumeDir(name string) string { return filepath.Join(r.dir, name) }
