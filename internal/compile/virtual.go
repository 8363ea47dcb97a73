package compile

import (
	"log/slog"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/composite"
	"github.com/sallyport-dev/sallyport/internal/embedding"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/optimizer"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// virtual makes several upstreams one. What clients have under way goes on over a
// configuration change.
func (c *making) virtual(p *plan.Endpoint) pipeline.Target {
	v := p.Virtual
	cfg := virtual.Config{
		Name: p.Name, ServerName: v.ServerName, Whole: v.Whole,
		Naming:      names.Naming{Strategy: names.Strategy(v.Strategy), Format: v.Format, Strict: true},
		HealthEvery: v.Health.Every, HealthTimeout: v.Health.Timeout, Unhealthy: v.Health.Unhealthy,
		Memory: acquire(c, &c.memories, keep.Key("virtual", p.Namespace, p.Name), func() *virtual.Memory { return &virtual.Memory{} }),
		Ring:   c.opts.Ring, MaxEventBytes: c.opts.Limits.MaxEventBytes, Log: c.log(p.Name, v.Verbose),
	}
	if v.Breaker.Enabled {
		cfg.Breaker = virtual.Breaker{Failures: int(v.Breaker.FailureThreshold), Pause: v.Breaker.Timeout.Duration()}
	}
	for i, up := range p.Upstreams {
		m := virtual.Member{Upstream: c.serving(up, c.upstream(up)), Timeout: v.Members[i].Timeout, Hidden: v.Members[i].Hidden}
		if t := v.Members[i].Tools; t != nil {
			m.Tools = upstream.NewToolView(t)
		}
		cfg.Members, cfg.Naming.Members = append(cfg.Members, m), append(cfg.Naming.Members, up.Name)
	}
	for _, name := range v.Order {
		cfg.Naming.Order = append(cfg.Naming.Order, slices.Index(cfg.Naming.Members, name))
	}
	for _, tool := range v.Composites {
		cfg.Naming.Taken = append(cfg.Naming.Taken, tool.Name)
	}
	cfg.Beside = composite.Items(v.Composites)
	t := virtual.New(cfg)
	if !c.opts.Checking {
		t.Begin()
	}
	var outer optimizer.Inner = t
	release := t.Shutdown
	if len(v.Composites) > 0 {
		made := composite.New(composite.Config{
			Name: p.Name, Inner: t, Tools: v.Composites, MaxBytes: cfg.MaxEventBytes, Log: cfg.Log,
			Memory: acquire(c, &c.composites, keep.Key("composite", p.Namespace, p.Name), func() *composite.Memory { return &composite.Memory{} }),
		})
		outer, release = made, made.Shutdown
	}
	c.parts.releases = append(c.parts.releases, release)
	if v.Optimizer != nil {
		return c.optimizer(v.Optimizer, outer, cfg.Log)
	}
	return outer
}

// optimizer puts a search for tools before a target.
func (c *making) optimizer(o *plan.Optimizer, inner optimizer.Inner, log *slog.Logger) pipeline.Target {
	cfg := optimizer.Config{Most: o.Most, Share: o.Share, Farthest: o.Farthest}
	if e := o.Embedding; e != nil {
		cfg.Vectors = acquire(c, &c.embeddings, e.Pool, func() *embedding.Client {
			address := e.URL.String()
			client := c.tokenClient(address, e.AllowPrivate)
			client.Timeout = e.Timeout
			return embedding.New(embedding.Config{URL: address, Model: e.Model, Key: e.Key, Headers: e.Headers, Timeout: e.Timeout, HTTP: client, Log: log})
		})
	}
	t := optimizer.New(inner, cfg)
	c.parts.releases = append(c.parts.releases, t.Shutdown)
	return t
}
