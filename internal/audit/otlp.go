package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// OTLPOptions are about the receiver of events.
type OTLPOptions struct {
	// Header goes with every request; it may hold credentials, and is never logged.
	Header http.Header
	// Resource are the attributes of whoever sends, such as service.name.
	Resource map[string]string
}

// OTLP is a Sink that sends events to an OpenTelemetry collector as log records, by
// OTLP/HTTP in JSON. Batches go out every second, one at a time, and again as long
// as the receiver says that it may help; events that it refuses are lost and counted.
type OTLP struct {
	*Writer
	cancel context.CancelFunc
}

const (
	otlpTimeout = 10 * time.Second // for one request
	otlpPath    = "/v1/logs"
)

// NewOTLP starts an OTLP. The endpoint is a URL; without a path it is that of a
// collector, and /v1/logs is meant.
func NewOTLP(endpoint string, opts OTLPOptions, wopts WriterOptions) (*OTLP, error) {
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if wopts.Log == nil {
		wopts.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &exporter{
		ctx: ctx, url: u.String(), header: opts.Header.Clone(), open: otlpOpen(opts.Resource),
		client: &http.Client{
			// The environment's proxies are not for the gateway's own connections.
			Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: otlpTimeout, ForceAttemptHTTP2: true},
			// A redirect would take the header, and its credentials, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if e.header == nil {
		e.header = http.Header{}
	}
	e.header.Set("Content-Type", "application/json")
	return &OTLP{cancel: cancel, Writer: newWriter(e, wopts, form{
		event: appendRecord, lost: appendLostRecord, after: time.Second, size: 256 << 10, limit: 4 << 20,
		end: func() error {
			cancel()
			e.client.CloseIdleConnections()
			return nil
		},
	})}, nil
}

// Close implements Sink. When ctx ends, so does the request under way.
func (o *OTLP) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, o.cancel)()
	return o.Writer.Close(ctx)
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL") // the text may hold a credential, and url.Parse repeats it
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("write it like http://localhost:4318")
	case u.User != nil:
		return nil, errors.New("a URL is no place for credentials; send a header")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = otlpPath
	}
	u.Fragment = ""
	return u, nil
}

// otlpOpen is the beginning of every request, up to the records.
func otlpOpen(resource map[string]string) []byte {
	b := []byte(`{"resourceLogs":[{"resource":{"attributes":[`)
	for i, key := range slices.Sorted(maps.Keys(resource)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(b, `{"key":`, key)
		b = appendField(b, `,"value":{"stringValue":`, resource[key])
		b = append(b, "}}"...)
	}
	return append(b, `]},"scopeLogs":[{"scope":{"name":"sallyport.audit"},"logRecords":[`...)
}

const otlpClose = `]}]}]}`

// exporter is what a Writer of records writes to.
type exporter struct {
	ctx    context.Context // io.Writer has none, and requests have to end with Close
	url    string
	header http.Header
	open   []byte
	client *http.Client
	body   []byte
}

// Write sends records, one a line, as one request.
func (e *exporter) Write(p []byte) (int, error) {
	e.body = append(e.body[:0], e.open...)
	for line := range bytes.Lines(p) {
		e.body = append(append(e.body, bytes.TrimSuffix(line, []byte{'\n'})...), ',')
	}
	e.body = append(bytes.TrimSuffix(e.body, []byte{','}), otlpClose...)
	ctx, cancel := context.WithTimeout(e.ctx, otlpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(e.body))
	if err != nil {
		return 0, fmt.Errorf("send audit events: %w", err)
	}
	req.Header = e.header
	res, err := e.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, whose query may hold a credential
		}
		return 0, fmt.Errorf("send audit events: %w", err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what it says of the batch is in its status
	if cap(e.body) > 1<<20 {
		e.body = nil // a burst; not kept
	}
	err = answered(res, answer)
	if err != nil && refusedOf(err) == 0 {
		return 0, err
	}
	return len(p), err
}

// answered reads the answer as the protocol defines it (OTLP/HTTP response).
func answered(res *http.Response, body []byte) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return rejected(body)
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return &laterError{after: retryAfter(res.Header.Get("Retry-After")), err: fmt.Errorf("send audit events: the receiver answers %d for now", code)}
	default:
		return fmt.Errorf("send audit events: %w: the receiver answers %d", errRefused, code)
	}
}

// rejected tells how many records of a batch the receiver did not take.
func rejected(body []byte) error {
	var answer struct {
		PartialSuccess struct {
			RejectedLogRecords json.Number // a string, too: 64-bit integers are
			ErrorMessage       string
		}
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil // Protocol Buffers, or nothing: the status says that it was taken
	}
	n, err := answer.PartialSuccess.RejectedLogRecords.Int64()
	if err != nil || n <= 0 {
		return nil
	}
	return &rejectedError{n: int(min(n, 1<<30)), why: cutTo(answer.PartialSuccess.ErrorMessage, 200)}
}

func cutTo(s string, n int) string { return s[:min(n, len(s))] }

// retryAfter reads a number of seconds or a date; 0 when it is neither.
func retryAfter(s string) time.Duration {
	const longest = 5 * time.Minute
	var d time.Duration
	if n, err := strconv.Atoi(s); err == nil {
		d = time.Duration(min(n, 3600)) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), longest)
}
