package outside

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

const (
	changeBuffering = "nginx: proxy_buffering off; and no proxy_ignore_headers X-Accel-Buffering; flushpackets=on in Apache, flush_interval -1 in Caddy"
	changeTimeout   = "nginx: proxy_read_timeout 1h; longer than --heartbeat of the gateway (20s), which must not be 0"
)

// streams opens one, sees whether what the gateway says at once comes at once, and watches
// whether it stays.
func (x *exam) streams(ctx context.Context) {
	const check = "streams"
	switch {
	case !x.anonymous():
	case x.opened.status >= http.StatusInternalServerError:
		x.Skip(check, "the server does not answer")
		return
	}
	if !x.anonymous() && x.asCaller() == nil {
		x.Skip(check, "nobody is let in without a token; give one in the variable SALLYPORT_TOKEN, or by --token-file")
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tooLong := time.AfterFunc(x.Patience, func() { cancel(errSilent) })
	defer tooLong.Stop()
	// Each client is a connection of its own: a stream is open as long as it is looked at.
	client := netguard.NewClient(netguard.Policy{AllowPrivate: true, Proxies: x.Proxies}, netguard.Options{Roots: x.Roots, Whole: x.Patience + x.Alive + time.Minute})
	defer client.CloseIdleConnections()
	resp := x.open(ctx, client, check)
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	first := make([]byte, 4<<10)
	_, err := resp.Body.Read(first)
	switch {
	case !tooLong.Stop() || context.Cause(ctx) == errSilent:
		x.silent(check)
		return
	case err != nil:
		x.Fail(check, changeTimeout, "a stream ends as soon as it is open: %v", err)
		return
	}
	x.OK(check, "what the gateway says comes at once")
	x.watch(ctx, resp.Body)
}

var errSilent = errors.New("nothing came in time")

func (x *exam) silent(check string) {
	x.Fail(check, changeBuffering, "the proxy holds answers back: the gateway speaks as soon as a stream opens, and nothing came in %s", x.Patience)
}

// open opens the stream of HTTP+SSE, on which the gateway itself says something at once,
// whatever server is behind it; where the proxy does not pass that on, one of 2026-07-28.
// It is nil where it has been said why there is none.
func (x *exam) open(ctx context.Context, client *http.Client, check string) *http.Response {
	tries := []*http.Request{newRequest(ctx, x.URL.String(), "subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}})}
	if path := x.sibling("/sse"); path != "" {
		if req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.at(path), nil); err == nil {
			req.Header.Set("Accept", "text/event-stream")
			tries = append([]*http.Request{req}, tries...)
		}
	}
	status := 0
	for _, req := range tries {
		for i, as := 0, x.asCaller(); i < len(as); i += 2 {
			req.Header.Set(as[i], as[i+1])
		}
		resp, err := client.Do(req)
		switch {
		case context.Cause(ctx) == errSilent:
			x.silent(check)
			return nil
		case err != nil:
			x.Skip(check, "the request for one has no answer: %v", errors.Unwrap(err))
			return nil
		}
		status = resp.StatusCode
		if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); status == http.StatusOK && t == "text/event-stream" {
			return resp
		}
		_ = resp.Body.Close()
	}
	x.Skip(check, "the request for one is answered %d, and not with one", status)
	return nil
}

// watch reads a stream for as long as proxies take one for dead that is silent.
func (x *exam) watch(ctx context.Context, body io.Reader) {
	const check = "long streams"
	if x.Alive <= 0 {
		x.Skip(check, "--quick leaves out what takes a minute")
		return
	}
	came := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		buf := make([]byte, 4<<10)
		for {
			n, err := body.Read(buf)
			if n > 0 {
				select {
				case came <- struct{}{}:
				default:
				}
			}
			if err != nil {
				close(ended)
				return
			}
		}
	}()
	began, heard := time.Now(), false
	whole := time.NewTimer(x.Alive)
	defer whole.Stop()
	tell := time.NewTicker(max(x.Alive/4, time.Millisecond))
	defer tell.Stop()
	x.Say("watching a stream for %s", x.Alive)
	for {
		select {
		case <-came:
			heard = true
		case <-tell.C:
			if left := (x.Alive - time.Since(began)).Round(time.Second); left > 0 {
				x.Say("watching a stream, %s to go", left)
			}
		case <-ended:
			x.Fail(check, changeTimeout, "a stream was cut off after %s: clients lose what they wait for", time.Since(began).Round(time.Second))
			return
		case <-whole.C:
			f := doctor.Finding{Level: doctor.OK, Check: check, Message: "a stream was alive after " + x.Alive.String()}
			if !heard {
				f.Level, f.Change = doctor.Warning, "--heartbeat of the gateway, which must not be 0; then "+changeBuffering
				f.Message += ", and silent all the time: proxies and networks on the way take it for dead"
			}
			x.Add(f)
			return
		case <-ctx.Done():
			return
		}
	}
}
