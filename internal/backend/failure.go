package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// Fail makes a Failure whose public message begins with the backend's name. Text
// must name what happened and what to do; it must not hold anything from the wire.
func Fail(backend string, status int, reason Reason, cause error, text string) *Failure {
	return &Failure{
		Public: mcp.Errorf(status, mcp.CodeInternal, "%s: %s", backend, text),
		Reason: reason,
		Cause:  cause,
	}
}

// Ended is the Failure of an exchange whose context ended.
func Ended(ctx context.Context, backend string) *Failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return TimedOut(backend, ctx.Err())
	}
	const clientClosedRequest = 499 // nobody is there to read it; the audit shows it
	return Fail(backend, clientClosedRequest, ReasonCanceled, context.Cause(ctx), "the request was cancelled")
}

// TimedOut is the Failure of an exchange that took too long.
func TimedOut(backend string, cause error) *Failure {
	return Fail(backend, http.StatusGatewayTimeout, ReasonTimeout, cause,
		"the backend did not answer in time; try again, or ask the operator whether it hangs")
}

// What the senders say went wrong, beside the errors of net, tls and x509.
var (
	errClosed   = errors.New("backend closed")
	errBodyDone = errors.New("read on closed body")
)

// sendFailure maps what a sender says to what the client is told.
func (b *HTTP) sendFailure(ctx context.Context, err error) *Failure {
	if ctx.Err() != nil {
		return Ended(ctx, b.name)
	}
	if f := b.refusal(err); f != nil {
		return f
	}
	if errors.Is(err, errClosed) {
		return Fail(b.name, http.StatusServiceUnavailable, ReasonUnreachable, err, "the backend's configuration has just changed; try again")
	}
	unreachable := func(text string) *Failure {
		return Fail(b.name, http.StatusBadGateway, ReasonUnreachable, Scrub(err), text)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			return Fail(b.name, http.StatusServiceUnavailable, ReasonOpenFiles, err,
				"the gateway may open no more connections; try again soon, and tell its operator to raise the limit of open files")
		case op.Timeout():
			return Fail(b.name, http.StatusGatewayTimeout, ReasonUnreachable, err,
				"the backend did not accept a connection in time; check that it runs and that remoteUrl is right")
		case isDNS(err):
			return unreachable("the backend's host name cannot be resolved; check remoteUrl and DNS")
		case errors.Is(err, syscall.ECONNREFUSED):
			return unreachable("the backend refused the connection; check that it runs and that remoteUrl is right")
		}
		return unreachable("the backend cannot be reached; check that it runs and that remoteUrl is right")
	}
	switch {
	case errors.Is(err, h1.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut(b.name, h1.ErrTimeout)
	case isTLS(err):
		return unreachable("no trusted TLS connection to the backend; check its certificate and that remoteUrl is right")
	}
	return unreachable("the connection to the backend broke before it answered; the request may or may not have been processed")
}

// refusal is the Failure of what the gateway itself would not do or take; nil if
// err is something else.
func (b *HTTP) refusal(err error) *Failure {
	if r, ok := errors.AsType[*netguard.RefusedError](err); ok {
		// The reason names the setting, and no address.
		return Fail(b.name, http.StatusBadGateway, ReasonRefusedAddress, err, "the backend's address is refused: "+r.Reason)
	}
	if h, ok := errors.AsType[h1.HeaderError](err); ok {
		return Fail(b.name, http.StatusBadGateway, ReasonBadHeader, err,
			"header "+string(h)+" cannot be sent: it holds a line break or another character that HTTP does not allow; check where its value comes from")
	}
	if _, ok := errors.AsType[h1.ProtocolError](err); ok {
		return Fail(b.name, http.StatusBadGateway, ReasonBadAnswer, err,
			"the backend's answer is not valid HTTP; check that remoteUrl leads to an MCP server")
	}
	return nil
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}

// Scrub cuts an error's text where it begins to quote: net/http quotes what a
// backend sent, and that may be a credential it was shown.
func Scrub(err error) error {
	text, _, quoted := strings.Cut(err.Error(), `"`)
	if !quoted {
		return err
	}
	return errors.New(strings.TrimRight(text, " :"))
}
