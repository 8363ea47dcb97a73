package clients

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFreshFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
		strict bool
	}{
		"nothing":            {nil, 5 * time.Minute, false},
		"an hour":            {http.Header{"Cache-Control": {"public, max-age=3600"}}, time.Hour, false},
		"an hour, quoted":    {http.Header{"Cache-Control": {`Max-Age="3600"`}}, time.Hour, false},
		"in two lines":       {http.Header{"Cache-Control": {"public", "max-age=3600"}}, time.Hour, false},
		"half of it is over": {http.Header{"Cache-Control": {"max-age=3600"}, "Age": {"1800"}}, 30 * time.Minute, false},
		"all of it is over":  {http.Header{"Cache-Control": {"max-age=3600"}, "Age": {"7200"}}, time.Minute, false},
		"not at all":         {http.Header{"Cache-Control": {"max-age=0"}}, time.Minute, false},
		"a year":             {http.Header{"Cache-Control": {"max-age=31536000"}}, 24 * time.Hour, false},
		"more than a number": {http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 5 * time.Minute, false},
		"no-store":           {http.Header{"Cache-Control": {"no-store, max-age=3600"}}, time.Minute, true},
		"no-cache":           {http.Header{"Cache-Control": {"max-age=3600, no-cache"}}, time.Minute, true},
		"must-revalidate":    {http.Header{"Cache-Control": {"max-age=600, must-revalidate"}}, 10 * time.Minute, true},
		"expires":            {http.Header{"Expires": {now.Add(2 * time.Hour).Format(http.TimeFormat)}}, 2 * time.Hour, false},
		"expires, by its own clock": {http.Header{
			"Expires": {now.Add(26 * time.Hour).Format(http.TimeFormat)}, "Date": {now.Add(24 * time.Hour).Format(http.TimeFormat)},
		}, 2 * time.Hour, false},
		"expired":             {http.Header{"Expires": {"0"}}, time.Minute, false},
		"max-age over expiry": {http.Header{"Cache-Control": {"max-age=600"}, "Expires": {"0"}}, 10 * time.Minute, false},
	} {
		if got, strict := freshFor(c.header, 5*time.Minute, now); got != c.want || strict != c.strict {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, strict, c.want, c.strict)
		}
	}
}

// A document that cannot be renewed goes on for as long as it may be kept, unless it
// is gone or its publisher forbade that.
func TestStale(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		old  document
		good bool
	}{
		"fresh a moment ago": {document{fetched: now.Add(-time.Hour), fresh: now.Add(-time.Second)}, true},
		"yesterday's":        {document{fetched: now.Add(-25 * time.Hour), fresh: now.Add(-24 * time.Hour)}, false},
		"not to be reused":   {document{fetched: now.Add(-time.Hour), fresh: now.Add(-time.Second), strict: true}, false},
		"a failure":          {document{err: &fetchError{reason: "x"}, fetched: now.Add(-time.Hour), fresh: now.Add(-time.Second)}, false},
	} {
		f := newFetcher(Documents{}, discard())
		g := &flight{done: make(chan struct{}), stop: func(error) {}}
		f.fly(t.Context(), "https://127.0.0.1:1/down", &c.old, g) // a private address: not "soon"
		if g.doc.err == nil {
			t.Errorf("%s: an address that is refused goes on", name)
		}
		f = newFetcher(Documents{AllowPrivate: true}, discard())
		g = &flight{done: make(chan struct{}), stop: func(error) {}}
		f.fly(t.Context(), "https://127.0.0.1:1/down", &c.old, g)
		if (g.doc.err == nil) != c.good {
			t.Errorf("%s: %+v", name, g.doc)
		}
		if g.doc.err == nil && !g.doc.fresh.After(now) {
			t.Errorf("%s: it is asked for again at once", name)
		}
	}
}

// A host that is slow holds nobody for long.
func TestDocumentSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFetcher(Documents{}, discard())
		f.secure.Transport = slowHost{}
		began := time.Now()
		_, err := f.get(t.Context(), "https://slow.example/c", "", time.Time{})
		if problem, ok := errors.AsType[*fetchError](err); !ok || !problem.soon || time.Since(began) != fetchTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// FINDING S18: whoever asks for many documents of slow hosts holds up nobody else's, nor
// what is known; also not who asks from the same address.
func TestDocumentShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFetcher(Documents{}, discard())
		f.secure.Transport = slowHost{}
		began := time.Now()
		get := func(address, from string) {
			t.Helper()
			if _, err := f.get(t.Context(), address, from, time.Time{}); err != nil || time.Since(began) > 0 {
				t.Errorf("%s for %s: %v after %s", address, from, err, time.Since(began))
			}
		}
		get("https://good.example/known", "a")
		var all sync.WaitGroup
		defer all.Wait()
		for i := range 200 {
			from := fmt.Sprint("a", i/40)
			all.Go(func() {
				if _, err := f.get(t.Context(), fmt.Sprintf("https://%d.slow.example/c", i), from, time.Time{}); err == nil {
					t.Error("a slow host answered")
				}
			})
		}
		synctest.Wait()
		if n := len(f.begun); n > maxFetches {
			t.Errorf("%d fetches are under way", n)
		}
		get("https://good.example/1", "a1")
		get("https://good.example/2", "somebody else")
		get("https://good.example/known", "a1")
	})
}

// slowHost begins an answer and never ends it, but for good.example.
type slowHost struct{}

func (slowHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "good.example" {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody, Request: r}, nil
	}
	body, begin := io.Pipe()
	go func() {
		_, _ = io.WriteString(begin, `{"client_id":`)
		<-r.Context().Done()
		_ = begin.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
