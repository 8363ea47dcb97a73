package bridge

import (
	"io"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// source reads the server's answer. Servers of 2025-11-25 may close a stream and have
// their client come again for the rest (MCP 2025-11-25 transports, polling): a modern
// client only sees that it takes longer.
func (c *modernCall) source(resp *backend.Response) source {
	s := c.bridge.source(resp)
	if c.at.backend.ID != "" {
		s.Again = (&comingBack{call: c}).again
	}
	return s
}

// comingBack asks for the rest of a stream.
type comingBack struct {
	call  *modernCall
	quiet time.Time // since when it has brought nothing; zero while it does
}

// Bounds of how long a server is left alone before it is asked.
const (
	resumeFirst  = 50 * time.Millisecond
	resumeUnsaid = time.Second
	resumeLast   = 30 * time.Second
)

func (r *comingBack) again(s *source) (io.ReadCloser, bool) {
	c := r.call
	if s.Heard || r.quiet.IsZero() {
		r.quiet = time.Now()
	}
	if time.Since(r.quiet) > c.bridge.Patience {
		return nil, false
	}
	wait := resumeUnsaid
	if s.Retry > 0 {
		wait = max(resumeFirst, min(s.Retry, resumeLast))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		return nil, false
	}
	resp, err := c.at.listen(c.ctx, s.LastID)
	switch {
	case err != nil:
		return nil, false
	case !resp.Stream || resp.Status != http.StatusOK:
		_ = resp.Body.Close()
		return nil, false
	}
	return resp.Body, true
}
