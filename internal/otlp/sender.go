package otlp

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is where a signal goes, and who sends it.
type Config struct {
	// Endpoint is a URL; without a path it is that of a collector, and the signal's
	// usual path is meant.
	Endpoint string
	// Header goes with every request; it may hold credentials, and is never logged.
	Header http.Header
	// Resource are the attributes of whoever sends, such as service.name.
	Resource map[string]string

	Protobuf bool          // Protocol Buffers, in place of JSON
	Gzip     bool          // compress requests
	Timeout  time.Duration // of a request; 0 for 10 s
	TLS      *tls.Config   // nil for the system's roots and no certificate
	// Proxy finds the proxy of a request, as that of a [http.Transport]; nil for none.
	Proxy func(*http.Request) (*url.URL, error)
}

// Signal is a kind of telemetry, by the last part of its path.
type Signal string

// The signals.
const (
	Logs    Signal = "logs"
	Traces  Signal = "traces"
	Metrics Signal = "metrics"
)

const usualTimeout = 10 * time.Second

// Sender sends requests to one receiver. It is safe for use by many goroutines.
type Sender struct {
	url      string
	signal   Signal
	protobuf bool
	gzip     bool
	timeout  time.Duration
	header   http.Header
	client   *http.Client
}

// NewSender checks the endpoint; it connects to nothing yet.
func NewSender(cfg Config, signal Signal) (*Sender, error) {
	u, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/" + string(signal)
	}
	s := &Sender{
		url: u.String(), signal: signal, protobuf: cfg.Protobuf, gzip: cfg.Gzip,
		timeout: cmp.Or(cfg.Timeout, usualTimeout), header: cfg.Header.Clone(),
		client: &http.Client{
			Transport: &http.Transport{Proxy: cfg.Proxy, MaxIdleConns: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: usualTimeout, ForceAttemptHTTP2: true, TLSClientConfig: cfg.TLS},
			// A redirect would take the header, and its credentials, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.header == nil {
		s.header = http.Header{}
	}
	s.header.Set("Content-Type", "application/json")
	if s.protobuf {
		s.header.Set("Content-Type", "application/x-protobuf")
	}
	if s.gzip {
		s.header.Set("Content-Encoding", "gzip")
	}
	return s, nil
}

// Send sends one request, given in JSON. An error is a [LaterError], a [RejectedError], is
// [ErrRefused], or says that the receiver could not be reached.
func (s *Sender) Send(ctx context.Context, body []byte) error {
	body, err := s.encode(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = s.header
	res, err := s.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, whose query may hold a credential
		}
		return err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what it says of the batch is in its status
	return answered(res, answer)
}

// encode makes of a request in JSON what goes over the wire.
func (s *Sender) encode(body []byte) (_ []byte, err error) {
	if s.protobuf {
		if body, err = toProtobuf(s.signal, body); err != nil {
			return nil, err
		}
	}
	if !s.gzip {
		return body, nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(body)
	err = errors.Join(err, w.Close())
	return packed.Bytes(), err
}

// Close gives up idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("invalid URL") // the text may hold a credential, and url.Parse repeats it
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("write it like http://localhost:4318")
	case u.User != nil:
		return nil, errors.New("a URL is no place for credentials; send a header")
	}
	u.Fragment = ""
	return u, nil
}

// Under is the address of a signal below that of a collector (OpenTelemetry
// protocol exporter, endpoint URLs): the path is added to the one that is there.
func Under(endpoint string, signal Signal) string {
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return endpoint // NewSender says what is wrong with it
	}
	return u.JoinPath("v1", string(signal)).String()
}

// AppendResource adds the attributes of whoever sends, as the protocol's Resource.
func AppendResource(b []byte, resource map[string]string) []byte {
	b = append(b, `{"attributes":[`...)
	for i, key := range slices.Sorted(maps.Keys(resource)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"key":`...), key)
		b = appendQuoted(append(b, `,"value":{"stringValue":`...), resource[key])
		b = append(b, "}}"...)
	}
	return append(b, "]}"...)
}

func appendQuoted(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}

// LaterError is a failure after which the same request may be sent again.
type LaterError struct {
	After time.Duration // when the receiver said so; 0 when it did not
	err   error
}

func (e *LaterError) Error() string { return e.err.Error() }

// RejectedError is of a batch that was taken but for some of its items.
type RejectedError struct {
	N   int
	why string
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the receiver took all but %d: %s", e.N, e.why)
}

// Is makes it a kind of refusal.
func (e *RejectedError) Is(target error) bool { return target == ErrRefused }

// ErrRefused is for what the receiver will never take.
var ErrRefused = errors.New("refused")

// answered reads the answer as the protocol defines it (OTLP/HTTP response).
func answered(res *http.Response, body []byte) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300 && strings.HasPrefix(res.Header.Get("Content-Type"), "application/x-protobuf"):
		return rejectedProtobuf(body)
	case code >= 200 && code < 300:
		return rejected(body)
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return &LaterError{After: retryAfter(res.Header.Get("Retry-After")), err: fmt.Errorf("the receiver answers %d for now", code)}
	default:
		return fmt.Errorf("%w: the receiver answers %d", ErrRefused, code)
	}
}

// rejected tells how many items of a batch the receiver did not take.
func rejected(body []byte) error {
	var answer struct {
		PartialSuccess struct {
			// Numbers may be strings, too: 64-bit integers are.
			RejectedLogRecords, RejectedSpans, RejectedDataPoints json.Number
			ErrorMessage                                          string
		}
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil // Protocol Buffers, or nothing: the status says that it was taken
	}
	p := &answer.PartialSuccess
	for _, number := range []json.Number{p.RejectedLogRecords, p.RejectedSpans, p.RejectedDataPoints} {
		if n, err := number.Int64(); err == nil && n > 0 {
			return partly(n, p.ErrorMessage)
		}
	}
	return nil
}

func partly(rejected int64, why string) error {
	if rejected <= 0 {
		return nil
	}
	return &RejectedError{N: int(min(rejected, 1<<30)), why: why[:min(len(why), 200)]}
}

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
