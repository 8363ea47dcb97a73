package otlp

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "7": 7 * time.Second, "99999999999999999999": 0, "86400": 5 * time.Minute,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0, "Mon, 02 Jan 2126 15:04:05 GMT": 5 * time.Minute,
	} {
		if got := retryAfter(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}
