package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// follow sends a request and goes after redirects, as far as they may be followed
// (REQ ). It returns the first answer that is none.
func (b *HTTP) follow(ctx context.Context, req *Request) (Raw, *Failure) {
	h := &hop{
		method: req.Method, to: b.target, agent: b.agent,
		public: req.Header, private: req.Private, body: req.Body,
		repeatable: req.Repeatable || req.Message != nil && req.Message.Kind == mcp.KindRequest && mcp.Repeatable(req.Message.Method),
		deadline:   time.Now().Add(b.limits.AnswerTimeout), sent: req.Sent,
	}
	places, f := b.places(ctx, req.Session)
	if f != nil {
		return Raw{}, f
	}
	if len(places) > 0 {
		h.to = places[0]
	}
	// The session id goes to its issuer, and not back there once the issuer has
	// sent the exchange elsewhere: who comes next chooses the URL.
	session := req.Session
	own := true          // until a hop leads elsewhere
	shown := req.Private // of the last hop to the backend itself
	var seen []string
	for {
		if own && req.Signing != nil {
			h.private = req.Signing.of(h, req.Private)
			shown = h.private
		}
		h.session = ""
		if session.Origin == h.to.origin {
			h.session = session.ID
		}
		resp, f := b.sendToOne(ctx, h, places, session)
		if f != nil {
			return Raw{}, f
		}
		places = nil
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return Raw{Response: resp, by: b, from: h.to, shown: shown}, nil
		}
		seen = append(seen, h.to.key())
		next, f := b.redirect(h.to, resp, seen)
		discard(resp.Body)
		if f != nil {
			return Raw{}, f
		}
		next = b.samePlace(next, h.to)
		b.log.WarnContext(ctx, "backend redirects", "from", h.to.shown, "to", next.shown, "status", resp.StatusCode)
		if b.metrics != nil {
			b.metrics.Redirected(resp.StatusCode)
		}
		if req.Redirected != nil {
			req.Redirected(next.origin, resp.StatusCode)
		}
		if next.origin != h.to.origin {
			h.private, own = nil, false // for good: see above
			if h.session != "" {
				session = Session{}
			}
		}
		h.to = next
	}
}

// redirect judges a 3xx answer: where it leads, or why it is not followed. seen
// are the targets so far, the one that answered included.
func (b *HTTP) redirect(from *target, resp *http.Response, seen []string) (*target, *Failure) {
	refuse := func(cause, text string) (*target, *Failure) {
		err := fmt.Errorf("follow redirect %d from %s: %s", resp.StatusCode, from.shown, cause)
		return nil, Fail(b.name, http.StatusBadGateway, ReasonRedirect, err, text)
	}
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		// Method and body stay: an MCP POST turned into a GET is another message.
	default:
		return refuse("not a status that keeps the method", fmt.Sprintf(
			"the backend answered %d, a redirect that cannot keep the request as it is; check that remoteUrl is right", resp.StatusCode))
	}
	location := resp.Header["Location"]
	if len(location) != 1 || location[0] == "" {
		return refuse("no Location, or several", "the backend redirects without saying where; check that remoteUrl is right")
	}
	next, err := from.parseTarget(location[0])
	if err != nil {
		return refuse(err.Error(), "the backend redirects to an address that is not a plain http or https URL; check that remoteUrl is right")
	}
	same := func(host string) bool { return strings.EqualFold(host, next.host) }
	switch {
	case !slices.ContainsFunc(b.redirects.AllowedHosts, same):
		return refuse("host "+next.host+" is not allowed",
			"the backend redirects to another host, which is not followed; the gateway's log names it, and redirects.allowedHosts admits it")
	case from.scheme == "https" && next.scheme == "http" && !b.redirects.AllowDowngrade:
		return refuse("from https to http",
			"the backend redirects from https to http, which is not followed; redirects.allowDowngrade admits it")
	case slices.Contains(seen, next.key()):
		return refuse("in a loop", "the backend redirects in a loop; check that remoteUrl is right")
	case len(seen) > maxRedirects:
		return refuse("too many hops", fmt.Sprintf("the backend redirects more than %d times; check that remoteUrl is right", maxRedirects))
	}
	return next, nil
}

// discard reads the little that a connection needs to be used again, and closes.
func discard(body io.ReadCloser) {
	if body == http.NoBody {
		return
	}
	const little, soon = 4 << 10, 250 * time.Millisecond
	impatience := time.AfterFunc(soon, func() { closeBody(body) })
	_, _ = io.CopyN(io.Discard, body, little+1) // whatever it says, the body is closed next
	impatience.Stop()
	closeBody(body)
}

// closeBody closes a body that nobody wants to hear of any more.
func closeBody(body io.Closer) { _ = body.Close() }
