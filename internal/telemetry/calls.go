package telemetry

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Calls are what clients asked of a server since it is counted: streams that only
// listen, and requests without a message, are none.
type Calls struct {
	Count   uint64
	buckets []uint64 // how many took no longer than each of durationBuckets
}

// Calls reads them from the counters of a server. They are counted for the metrics
// anyway: nothing is counted for this.
func (m *Metrics) Calls(server string) (c Calls) {
	m.mu.Lock()
	s := m.servers[server]
	m.mu.Unlock()
	c.buckets = make([]uint64, len(durationBuckets))
	if s == nil {
		return c
	}
	for i := range s.methods {
		counters := s.methods[i].Load()
		if counters == nil || slices.Contains(noCalls, counters.label) {
			continue
		}
		metric, ok := counters.duration.(prometheus.Metric)
		var now dto.Metric
		if !ok || metric.Write(&now) != nil {
			continue
		}
		c.Count += now.GetHistogram().GetSampleCount()
		for i, b := range now.GetHistogram().GetBucket() {
			if i < len(c.buckets) {
				c.buckets[i] += b.GetCumulativeCount()
			}
		}
	}
	return c
}

// noCalls are labels of what stays open for as long as a client likes.
var noCalls = []string{"GET", "DELETE", "subscriptions/listen", otherMethod}

// Since is what came after an earlier reading. Where the server was forgotten in between,
// that is all there is.
func (c Calls) Since(before Calls) Calls {
	if before.Count > c.Count {
		return c
	}
	d := Calls{Count: c.Count - before.Count}
	for i := range min(len(c.buckets), len(before.buckets)) {
		d.buckets = append(d.buckets, c.buckets[i]-before.buckets[i])
	}
	return d
}

// Within is the time within which a share of the calls was answered, as the end of the
// bucket that it is in: no finer than those. It is 0 where there were no calls, and
// negative where it was longer than the last bucket.
func (c Calls) Within(share float64) time.Duration {
	if c.Count == 0 {
		return 0
	}
	want := uint64(math.Ceil(share * float64(c.Count)))
	for i, n := range c.buckets {
		if n >= want {
			return time.Duration(durationBuckets[i] * float64(time.Second))
		}
	}
	return -1
}

// Total is the count without how long the calls took.
func (c Calls) Total() Calls { return Calls{Count: c.Count} }
