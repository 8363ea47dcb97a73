package clients

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// The limits of fetching. Whoever can name a URL makes this server ask for it, so
// that what one answer costs, how often a host is asked, and how many are asked at
// once are all bounded.
const (
	maxDocument   = 16 << 10
	fetchTimeout  = 5 * time.Second
	dialTimeout   = 3 * time.Second
	maxFetches    = 32 // at once
	maxShare      = 8  // at once for one who asks
	freshLeast    = time.Minute
	freshMost     = 24 * time.Hour
	freshDefault  = 5 * time.Minute
	failureKept   = 30 * time.Second
	failureSpell  = 5 * time.Second // when trying again may soon help
	documentsKept = 256
)

// fetcher gets documents that strangers publish, and keeps them.
type fetcher struct {
	secure, plain *http.Client
	usual         time.Duration // how long a document is fresh that does not say
	log           *slog.Logger
	hosts         *ratelimit.Limiter // by name, as the URL has it, and who asks
	addresses     *ratelimit.Limiter // by the address that is dialled: names are free to make
	// Apart, so that whoever asks for what is not there pushes out nothing that is.
	kept, failed *keep.Cache[*document]

	mu    sync.Mutex
	going map[string]*flight
	begun []*flight // those for documents that were not had before, in order
}

// document is a fetched body, or why there is none.
type document struct {
	body    []byte
	err     *fetchError
	fetched time.Time
	fresh   time.Time // until when nobody is asked again
	strict  bool      // not to be used any longer than fresh
}

// fetchError is why a document could not be had.
type fetchError struct {
	reason string
	soon   bool // it may work in a moment: the document may be fine
}

func (e *fetchError) Error() string { return e.reason }

type flight struct {
	done chan struct{}
	doc  *document
	from string // who asked first
	stop context.CancelCauseFunc
}

func newFetcher(cfg Documents, log *slog.Logger) *fetcher {
	f := &fetcher{
		usual: cfg.FreshFor, log: log, going: map[string]*flight{},
		hosts:     ratelimit.New(ratelimit.Rate{Burst: 10, Period: time.Minute}),
		addresses: ratelimit.New(ratelimit.Rate{Burst: 60, Period: time.Minute}),
		kept:      keep.NewCache[*document](cmp.Or(max(cfg.CacheSize, 0), documentsKept)),
		failed:    keep.NewCache[*document](documentsKept),
	}
	if f.usual <= 0 {
		f.usual = freshDefault
	}
	const setting = "cimd.allowPrivateIPs"
	f.secure = f.client(netguard.Policy{AllowPrivate: cfg.AllowPrivate, Setting: setting, Proxies: cfg.Proxies}, cfg.Roots, cfg.Resolver)
	f.plain = f.client(netguard.Policy{AllowPrivate: true, PlainOnlyPrivate: true, Setting: setting, Proxies: cfg.Proxies}, nil, cfg.Resolver)
	return f
}

// client makes a client that checks each address when it dials, uses no proxy,
// keeps no connection, and follows no redirect: the document is at its address or
// nowhere.
func (f *fetcher) client(policy netguard.Policy, roots *x509.CertPool, resolver *net.Resolver) *http.Client {
	dialer := policy.Dialer(dialTimeout)
	guard := dialer.Control
	dialer.Resolver = resolver
	dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := guard(network, address, c); err != nil {
			return err
		}
		if ap, err := netip.ParseAddrPort(address); err == nil {
			if _, ok := f.addresses.Take(ctx, ap.Addr().String(), time.Now()); !ok {
				return errTooOften
			}
		}
		return nil
	}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errTooOften = errors.New("it was asked too often")

// fetchable tells whether the address of a document may be fetched at all.
func fetchable(address string, plainLoopback bool) error {
	u, err := parseURI(address)
	if err != nil {
		return err
	}
	if u.Scheme == "https" {
		return nil
	}
	if _, _, ok := splitLoopback(address); ok && plainLoopback {
		return nil
	}
	return errors.New("is not https")
}

// get returns a document from the cache, or fetches it; callers that want the same
// one share a fetch. When newer is set, one that is older is fetched again.
func (f *fetcher) get(ctx context.Context, address, from string, newer time.Time) (*document, error) {
	key := keep.HashOf(address)
	now := time.Now()
	old, ok := f.kept.Get(key, now)
	if !ok {
		old, _ = f.failed.Get(key, now)
	}
	if old != nil && now.Before(old.fresh) && !old.fetched.Before(newer) {
		return old.result()
	}
	f.mu.Lock()
	g := f.going[address]
	if g == nil {
		flying, stop := context.WithCancelCause(context.WithoutCancel(ctx))
		g = &flight{done: make(chan struct{}), from: from, stop: stop}
		f.going[address] = g
		if !old.good() { // a document that is known is renewed in any case
			f.begin(g)
		}
		go f.fly(flying, address, old, g)
	}
	f.mu.Unlock()
	select {
	case <-g.done:
		return g.doc.result()
	case <-ctx.Done():
		return nil, &fetchError{reason: "the request has ended", soon: true}
	}
}

func (d *document) good() bool { return d != nil && d.err == nil }

// begin makes room for one more fetch, which waits for nobody: who has as many under
// way as one may have gives up the newest of them, and where there are too many in all
// whoever has the most does. mu is held.
func (f *fetcher) begin(g *flight) {
	shares := map[string]int{}
	for _, other := range f.begun {
		shares[other.from]++
	}
	loser := g.from
	if shares[loser] < maxShare {
		if len(f.begun) < maxFetches {
			f.begun = append(f.begun, g)
			return
		}
		for from, n := range shares {
			if n > shares[loser] {
				loser = from
			}
		}
	}
	for i, other := range slices.Backward(f.begun) {
		if other.from == loser {
			other.stop(errPushedOut)
			f.begun = slices.Delete(f.begun, i, i+1)
			break
		}
	}
	f.begun = append(f.begun, g)
}

var errPushedOut = errors.New("too many documents are being fetched for the same address")

func (d *document) result() (*document, error) {
	if d.err != nil {
		return nil, d.err
	}
	return d, nil
}

// fly fetches for all who wait. The caller that came first may leave: the others
// still want it. A document that cannot be renewed because its host is down goes
// on, within the day it may be kept for, unless its publisher forbade that.
func (f *fetcher) fly(ctx context.Context, address string, old *document, g *flight) {
	defer g.stop(nil)
	limited, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	now := time.Now()
	doc, err := f.fetch(limited, address, g.from, old.good())
	pushedOut := errors.Is(context.Cause(ctx), errPushedOut)
	switch {
	case err == nil:
	case pushedOut:
		doc = &document{err: &fetchError{reason: errPushedOut.Error(), soon: true}}
	case err.soon && old != nil && old.err == nil && !old.strict && now.Before(old.fetched.Add(freshMost)):
		f.log.Warn("client document not renewed; the one at hand goes on", "host", hostOf(address), "error", err.reason)
		kept := *old
		kept.fresh = now.Add(failureKept)
		doc = &kept
	default:
		f.log.Warn("client document not fetched", "host", hostOf(address), "error", err.reason)
		doc = &document{err: err, fetched: now, fresh: now.Add(failureKept)}
		if err.soon {
			doc.fresh = now.Add(failureSpell)
		}
	}
	if !pushedOut {
		f.keep(keep.HashOf(address), doc)
	}
	f.mu.Lock()
	delete(f.going, address)
	f.begun = slices.DeleteFunc(f.begun, func(other *flight) bool { return other == g })
	f.mu.Unlock()
	g.doc = doc
	close(g.done)
}

// keep remembers a document, or why there is none.
func (f *fetcher) keep(key keep.Hash, doc *document) {
	if doc.err != nil {
		f.kept.Drop(key)
		f.failed.Put(key, doc, doc.fresh)
		return
	}
	until := doc.fresh
	if !doc.strict {
		until = doc.fetched.Add(freshMost)
	}
	f.failed.Drop(key)
	f.kept.Put(key, doc, until)
}

// fetch asks a document's host. How often that may be is counted apart for each who
// asks, so that nobody uses up what others have, and not for a document that is known.
func (f *fetcher) fetch(ctx context.Context, address, from string, known bool) (*document, *fetchError) {
	if _, ok := f.hosts.Take(ctx, hostOf(address)+" "+from, time.Now()); !ok && !known {
		return nil, &fetchError{reason: "its host was asked too often; try again in a minute", soon: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &fetchError{reason: "invalid URL"}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	client := f.secure
	if req.URL.Scheme == "http" {
		client = f.plain
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, dialProblem(err)
	}
	defer resp.Body.Close()
	doc, problem := read(resp)
	if problem == nil {
		var fresh time.Duration
		fresh, doc.strict = freshFor(resp.Header, f.usual, doc.fetched)
		doc.fresh = doc.fetched.Add(fresh)
	}
	return doc, problem
}

func read(resp *http.Response) (*document, *fetchError) {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, &fetchError{reason: "it answered with a redirect, and redirects are not followed"}
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, &fetchError{reason: fmt.Sprintf("its host answered %d", resp.StatusCode), soon: true}
	case resp.StatusCode != http.StatusOK:
		return nil, &fetchError{reason: fmt.Sprintf("its host answered %d, not 200", resp.StatusCode)}
	}
	// A host that lets people upload files serves them as something else.
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media != "application/json" && !(strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")) {
		return nil, &fetchError{reason: "it is not served as application/json"}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, &fetchError{reason: "it ended too early or took too long", soon: true}
	}
	if len(body) > maxDocument {
		return nil, &fetchError{reason: fmt.Sprintf("it has more than %d bytes", maxDocument)}
	}
	return &document{body: body, fetched: time.Now()}, nil
}

// dialProblem says what a person may know of why nothing was fetched. What a
// connection met inside a private network is not for strangers to read, so that
// this server is no scanner of ports.
func dialProblem(err error) *fetchError {
	if refused, ok := errors.AsType[*netguard.RefusedError](err); ok {
		return &fetchError{reason: "its host is at an address that may not be asked: " + refused.Reason}
	}
	if errors.Is(err, errTooOften) {
		return &fetchError{reason: "its host was asked too often; try again in a minute", soon: true}
	}
	return &fetchError{reason: "its host cannot be reached, or took too long", soon: true}
}

// freshFor reads how long an answer may be kept (RFC 9111 §4.2), within bounds: a
// host may neither be asked for each request nor keep a client for weeks.
func freshFor(h http.Header, usual time.Duration, now time.Time) (fresh time.Duration, strict bool) {
	fresh, said := usual, false
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return freshLeast, true
		case "must-revalidate":
			strict = true
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age, _ := strconv.ParseUint(h.Get("Age"), 10, 31)
				fresh, said = time.Duration(n)*time.Second-time.Duration(age)*time.Second, true
			}
		}
	}
	if expires := h.Get("Expires"); expires != "" && !said {
		fresh = 0
		if at, err := http.ParseTime(expires); err == nil {
			if date, err := http.ParseTime(h.Get("Date")); err == nil {
				now = date
			}
			fresh = at.Sub(now)
		}
	}
	return min(max(fresh, freshLeast), freshMost), strict
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
