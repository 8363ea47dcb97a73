package console

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// track is how a server's counts of calls went, minute by minute.
type track struct{ at []telemetry.Calls } // the last one last

const (
	minutes  = 30 // that are shown
	recently = 5  // minutes of which it is told how long calls took
)

// sample reads the counts of this minute.
func (c *Console) sample() {
	now := map[string]*track{}
	moment := c.cfg.Now()
	defer moment.Release()
	for _, s := range moment.Servers {
		now[s.Name] = &track{at: []telemetry.Calls{c.cfg.Metrics.Calls(s.Name)}}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, t := range now {
		if before := c.history[name]; before != nil {
			at := before.at[max(0, len(before.at)-minutes):]
			t.at = append(slices.Clone(at), t.at...)
			if old := len(t.at) - 1 - recently; old > 0 {
				t.at[old-1] = t.at[old-1].Total() // how long those took is of no interest any more
			}
		}
	}
	c.history = now
}

// load is how much a server was called.
type load struct {
	total   uint64   // since it is counted
	minutes []uint64 // calls in each of the last minutes, the last one last
	lately  telemetry.Calls
}

func (c *Console) load(server string) load {
	now := c.cfg.Metrics.Calls(server)
	l := load{total: now.Count, lately: now}
	c.mu.Lock()
	t := c.history[server]
	c.mu.Unlock()
	if t == nil {
		return l
	}
	for i := 1; i < len(t.at); i++ {
		l.minutes = append(l.minutes, t.at[i].Since(t.at[i-1]).Count)
	}
	l.lately = now.Since(t.at[max(0, len(t.at)-recently)])
	return l
}
