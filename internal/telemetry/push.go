package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// Push sends all metrics to a collector, again and again. What could not be sent
// is in the next request too, since counters only ever grow.
type Push struct {
	metrics *Metrics
	sender  *otlp.Sender
	open    string
	log     *slog.Logger
	failing bool

	stop chan struct{}
	done chan struct{}
}

// Push starts sending. It has to be called before the first Server is asked for;
// Close ends it.
func (m *Metrics) Push(cfg otlp.Config, every time.Duration, log *slog.Logger) (*Push, error) {
	sender, err := otlp.NewSender(cfg, otlp.Metrics)
	if err != nil {
		return nil, err
	}
	m.semantic = newSemantic()
	resource := otlp.AppendResource([]byte(`{"resourceMetrics":[{"resource":`), cfg.Resource)
	p := &Push{
		metrics: m, sender: sender, log: log,
		open: string(resource) + `,"scopeMetrics":[{"scope":{"name":"sallyport"},"metrics":[`,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go p.run(every)
	return p, nil
}

func (p *Push) run(every time.Duration) {
	defer close(p.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // a request under way must not hold up the last one
		select {
		case <-p.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		err := p.send(ctx)
		switch failed := err != nil && ctx.Err() == nil; {
		case failed && !p.failing:
			p.log.Warn("metrics cannot be sent", "cause", err)
			p.failing = true
		case err == nil && p.failing:
			p.log.Warn("metrics are sent again")
			p.failing = false
		}
	}
}

// Close sends the metrics a last time.
func (p *Push) Close(ctx context.Context) error {
	close(p.stop)
	<-p.done
	defer p.sender.Close()
	return p.send(ctx)
}

func (p *Push) send(ctx context.Context) error {
	body, err := p.metrics.appendOTLP([]byte(p.open), time.Now())
	if err != nil {
		return err
	}
	return p.sender.Send(ctx, append(body, `]}]}]}`...))
}

// appendOTLP adds every metric as the protocol's JSON has it: cumulative, 64-bit
// integers as strings. The names are those of /metrics, or the conventions' own.
func (m *Metrics) appendOTLP(b []byte, now time.Time) ([]byte, error) {
	first := true
	for _, from := range []struct {
		registry *prometheus.Registry
		names    naming
	}{{m.registry, naming{}}, {m.semantic.registry, semanticNaming()}} {
		families, err := from.registry.Gather()
		if err != nil {
			return nil, fmt.Errorf("gather metrics: %w", err)
		}
		for _, f := range families {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = from.names.appendFamily(b, f, m.started, now)
		}
	}
	return b, nil
}

// appendFamily adds a metric. Those that count began at started, unless they know better.
func (n naming) appendFamily(b []byte, f *dto.MetricFamily, started, now time.Time) []byte {
	b = appendJSON(append(b, `{"name":`...), n.metric(f.GetName()))
	b = appendJSON(append(b, `,"description":`...), f.GetHelp())
	b = appendJSON(append(b, `,"unit":`...), n.unit)
	const cumulative = `"aggregationTemporality":2,`
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		b = append(b, `,"sum":{`+cumulative+`"isMonotonic":true,`...)
	case dto.MetricType_HISTOGRAM:
		b = append(b, `,"histogram":{`+cumulative...)
	case dto.MetricType_SUMMARY:
		b = append(b, `,"summary":{`...)
	default: // gauges, and what has no type
		b = append(b, `,"gauge":{`...)
	}
	b = append(b, `"dataPoints":[`...)
	for i, p := range f.GetMetric() {
		if i > 0 {
			b = append(b, ',')
		}
		b = n.appendPoint(b, p, started, now)
	}
	return append(b, "]}}"...)
}

func (n naming) appendPoint(b []byte, p *dto.Metric, started, now time.Time) []byte {
	b = append(b, `{"attributes":[`...)
	first := true
	for _, l := range p.GetLabel() {
		if l.GetValue() == "" {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendJSON(append(b, `{"key":`...), n.label(l.GetName()))
		b = append(appendJSON(append(b, `,"value":{"stringValue":`...), l.GetValue()), "}}"...)
	}
	if c := p.GetCounter().GetCreatedTimestamp(); c != nil {
		started = c.AsTime()
	} else if c := p.GetHistogram().GetCreatedTimestamp(); c != nil {
		started = c.AsTime()
	}
	b = strconv.AppendInt(append(b, `],"startTimeUnixNano":"`...), started.UnixNano(), 10)
	b = strconv.AppendInt(append(b, `","timeUnixNano":"`...), now.UnixNano(), 10)
	b = append(b, `",`...)
	switch {
	case p.GetHistogram() != nil:
		b = appendHistogram(b, p.GetHistogram())
	case p.GetSummary() != nil:
		b = appendSummary(b, p.GetSummary())
	case p.GetCounter() != nil:
		b = appendFloat(append(b, `"asDouble":`...), p.GetCounter().GetValue())
	case p.GetGauge() != nil:
		b = appendFloat(append(b, `"asDouble":`...), p.GetGauge().GetValue())
	default:
		b = appendFloat(append(b, `"asDouble":`...), p.GetUntyped().GetValue())
	}
	return append(b, '}')
}

// appendHistogram adds the counts of each bucket alone; Prometheus has them with
// those of all smaller ones.
func appendHistogram(b []byte, h *dto.Histogram) []byte {
	b = strconv.AppendUint(append(b, `"count":"`...), h.GetSampleCount(), 10)
	b = appendFloat(append(b, `","sum":`...), h.GetSampleSum())
	b = append(b, `,"bucketCounts":[`...)
	var below uint64
	for _, bucket := range h.GetBucket() {
		if math.IsInf(bucket.GetUpperBound(), 1) {
			continue // the last one, which has no bound there
		}
		b = strconv.AppendUint(append(b, '"'), bucket.GetCumulativeCount()-below, 10)
		b = append(b, `",`...)
		below = bucket.GetCumulativeCount()
	}
	b = strconv.AppendUint(append(b, '"'), h.GetSampleCount()-below, 10)
	b = append(b, `"],"explicitBounds":[`...)
	for i, bucket := range h.GetBucket() {
		if math.IsInf(bucket.GetUpperBound(), 1) {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(b, bucket.GetUpperBound())
	}
	return append(b, ']')
}

func appendSummary(b []byte, s *dto.Summary) []byte {
	b = strconv.AppendUint(append(b, `"count":"`...), s.GetSampleCount(), 10)
	b = appendFloat(append(b, `","sum":`...), s.GetSampleSum())
	b = append(b, `,"quantileValues":[`...)
	for i, q := range s.GetQuantile() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(append(b, `{"quantile":`...), q.GetQuantile())
		b = append(appendFloat(append(b, `,"value":`...), q.GetValue()), '}')
	}
	return append(b, ']')
}

// appendFloat adds a double; what JSON has no number for stands in a string
// (Protocol Buffers' JSON mapping).
func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

func appendJSON(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}
