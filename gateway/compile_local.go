package gateway

import (
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// localServer compiles a server that the gateway runs as a command.
func (c *compiler) localServer(o manifest.Item[v1alpha1.MCPServer]) {
	spec := &o.Value.Spec
	e := &Endpoint{link: link{prefix: string(spec.EndpointPrefix), trustHeaders: spec.TrustProxyHeaders}}
	cfg := backend.StdioConfig{
		Name:            o.Name,
		Dir:             spec.WorkingDir,
		AnswerTimeout:   c.server.opts.CallTimeout,
		MaxMessageBytes: c.server.opts.MaxEventBytes,
		Log:             c.server.opts.Log.With("server", o.Name),
	}
	for _, arg := range slices.Concat(spec.Command, spec.Args) {
		cfg.Command = append(cfg.Command, string(arg))
	}
	for _, v := range spec.Env {
		cfg.Env = append(cfg.Env, string(v.Name)+"="+v.Value)
	}
	for i, s := range spec.Secrets {
		value, ok := c.secret(o.Object, index("spec.secrets", i), v1alpha1.SecretKeyRef{Name: s.Name, Key: s.Key})
		if !ok {
			continue
		}
		name := string(s.TargetEnvName)
		if name == "" {
			name = string(s.Key)
		}
		cfg.Env = append(cfg.Env, name+"="+value.Reveal())
	}
	e.backendKey = digest("stdio", o.Name, cfg.Command, cfg.Dir, cfg.Env)
	e.backend = c.reach(o.Object, e.backendKey, func() (backend.Backend, error) { return backend.NewStdio(cfg) })
	if e.backend == nil {
		return
	}
	c.door(o.Object, &spec.Incoming, e)
	c.policies(o.Object, spec.AuthzConfig, spec.AuthzConfigRef, e)
	c.rateLimits(o.Object, spec.RateLimiting, e)
	c.toolConfig(o.Object, spec.ToolConfigRef, e)
	e.tracing.spec = spec.Telemetry
	c.auditing(e, spec.Audit)
	c.endpoint(o.Object, e, spec)
}
