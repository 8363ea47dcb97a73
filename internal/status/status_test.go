package status_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/status"
)

// What is not ready, and what was last, is what is told of several exchanges, whatever their order.
func TestExchanges(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	early, late := &status.LastExchange{At: time.Unix(1, 0)}, &status.LastExchange{At: time.Unix(2, 0), Error: "refused"}
	for name, c := range map[string]struct {
		all  []status.Exchange
		want status.Exchange
	}{
		"none":             {nil, status.Exchange{}},
		"one is not asked": {[]status.Exchange{{}, {Ready: &yes}}, status.Exchange{Ready: &yes}},
		"one is not ready": {[]status.Exchange{{Ready: &no, Message: "away"}, {Ready: &yes}}, status.Exchange{Ready: &no, Message: "away"}},
		"and the other":    {[]status.Exchange{{Ready: &yes}, {Ready: &no, Message: "away"}}, status.Exchange{Ready: &no, Message: "away"}},
		"the last":         {[]status.Exchange{{Last: early}, {Last: late}}, status.Exchange{Last: late}},
		"the last first":   {[]status.Exchange{{Last: late}, {Last: early}}, status.Exchange{Last: late}},
	} {
		var got status.Exchange
		for i := range c.all {
			got.Add(&c.all[i])
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
