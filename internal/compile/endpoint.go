package compile

import (
	"errors"
	"log/slog"
	"net/url"
	"strconv"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/optimizer"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/target"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/trace"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// endpoint makes an endpoint. One without a policy is none: it would let everybody do
// everything.
func (c *making) endpoint(p *plan.Endpoint) {
	if !p.Policy.Unrestricted && p.Policy.Set == nil { // a plan without problems has one
		c.bad(&p.Resource, "spec.authzConfig", errors.New("no policy was planned, which is a fault of the gateway"))
		return
	}
	d := p.Door // and not the plan's, which keeps the manifests
	e := &Endpoint{Title: p.Title, About: p.About, door: &d}
	cfg := pipeline.Config{
		Name: p.Name, Kind: p.Kind, Fingerprint: p.Fingerprint,
		Link: pipeline.Link{
			Prefix: p.Link.Prefix, TrustHeaders: p.Link.TrustHeaders, Proxies: p.Link.Proxies, Resource: resourceURL(p.Link.Resource),
			Outside: pipeline.Outside(p.Link.Outside),
		},
		QueryToken: p.Door.QueryToken, ClockSkew: clockSkew,
		Rates: c.rates(p), Places: c.opts.Places, Own: c.places(p.AtOnce), Policy: p.Policy.Set, Target: c.target(p),
		Message: c.opts.Message, MaxEventBytes: c.opts.Limits.MaxEventBytes, Recent: c.opts.Recent,
		Metrics: c.opts.Metrics.Server(p.Name), Tracer: c.tracer(p.Telemetry), Log: c.log(p.Name, p.Virtual != nil && p.Virtual.Verbose),
	}
	if p.Audit {
		cfg.Audit = c.opts.Audit
	}
	if p.Virtual != nil && p.Virtual.Optimizer != nil {
		cfg.Called = optimizer.Called
	}
	cfg.Door = (&door{c, p, e, &cfg}).resolver()
	e.Endpoint = pipeline.New(cfg)
	c.parts.Endpoints = append(c.parts.Endpoints, e)
}

// log is that of one server.
func (c *making) log(name string, verbose bool) *slog.Logger {
	log := c.opts.Log.With("server", name)
	if verbose {
		log = slog.New(telemetry.Verbose{Handler: log.Handler()})
	}
	return log
}

// places are an endpoint's own; nil where it has no limit of its own.
func (c *making) places(limit *v1alpha1.Concurrency) *pipeline.Places {
	if c.opts.Places == nil { // made for nobody
		return nil
	}
	if limit == nil {
		limit = &v1alpha1.Concurrency{}
	}
	return c.opts.Places.Share(int(limit.Shared), int(limit.PerUser), c.alone)
}

// target makes what is behind an endpoint.
func (c *making) target(p *plan.Endpoint) pipeline.Target {
	if p.Virtual != nil {
		return c.virtual(p)
	}
	u := c.upstream(p.Upstreams[0])
	if p.Tools != nil {
		u.Tools = upstream.NewToolView(p.Tools)
	}
	u.Hints = p.Policy.Set != nil && p.Policy.Set.ReadsHints()
	return target.New(c.serving(p.Upstreams[0], u))
}

// serving makes an upstream of an endpoint.
func (c *making) serving(p *plan.Upstream, u *upstream.Config) *upstream.Upstream {
	made := upstream.New(*u)
	c.parts.upstreams = append(c.parts.upstreams, planned{p, made})
	return made
}

// tracer is the process's own, as the manifest says; nil traces nothing.
func (c *making) tracer(spec *v1alpha1.Telemetry) *trace.Tracer {
	if spec == nil || spec.OpenTelemetry == nil {
		return c.opts.Tracer
	}
	o := spec.OpenTelemetry
	if !o.Enabled || o.Tracing == nil || !o.Tracing.Enabled {
		return nil
	}
	share, _ := strconv.ParseFloat(o.Tracing.SamplingRate, 64) // the schema lets numbers from 0 to 1 through
	return c.opts.Tracer.With(trace.Ratio(share, true))
}

// rates makes the limits on calls of tools. Buckets that are configured the same keep
// their level over a configuration change.
func (c *making) rates(p *plan.Endpoint) (rates []pipeline.Rate) {
	r := p.Rates
	if r == nil {
		return nil
	}
	add := func(b *v1alpha1.RateBucket, tool string, perUser bool) {
		if b == nil {
			return
		}
		rt := ratelimit.Rate{Burst: int(b.MaxTokens), Period: b.RefillPeriod.Duration()}
		name := keep.Key("rate", p.Namespace, p.Kind, p.Name, tool, perUser, rt)
		limiter := acquire(c, &c.limiters, name, func() *ratelimit.Limiter {
			if shared := c.opts.SharedRates; shared != nil {
				return ratelimit.NewShared(rt, name, shared)
			}
			return ratelimit.New(rt)
		})
		rates = append(rates, pipeline.Rate{Limiter: limiter, Tool: tool, PerUser: perUser})
	}
	add(r.Shared, "", false)
	add(r.PerUser, "", true)
	for _, t := range r.Tools {
		add(t.Shared, string(t.Name), false)
		add(t.PerUser, string(t.Name), true)
	}
	return rates
}

// resourceURL is the address that a manifest gives an endpoint; nil for none.
func resourceURL(text string) *url.URL {
	if text == "" {
		return nil
	}
	u, _ := url.Parse(text) // validation has read it
	return u
}
