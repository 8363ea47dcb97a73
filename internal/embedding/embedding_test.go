package embedding_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/embedding"
)

// Vectors come in any order, are asked for once, and tell near from far. A service that fails is left alone for a while.
func TestVectors(t *testing.T) {
	t.Parallel()
	meaning := map[string][]float32{"cat": {1, 0.1, 0}, "kitten": {0.9, 0.2, 0}, "invoice": {0, 0, 5}}
	var asked atomic.Int32
	var answer atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if fixed, _ := answer.Load().(string); fixed != "" {
			_, _ = w.Write([]byte(fixed))
			return
		}
		var in struct{ Input []string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		var data []map[string]any
		for i := range in.Input {
			at := len(in.Input) - 1 - i
			data = append(data, map[string]any{"index": at, "embedding": meaning[in.Input[at]]})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "usage": "any"})
	}))
	t.Cleanup(s.Close)
	client := func() *embedding.Client {
		return embedding.New(embedding.Config{URL: s.URL, Model: "m", Timeout: time.Minute, HTTP: s.Client(), Log: slog.New(slog.DiscardHandler)})
	}
	c := client()
	v, err := c.Vectors(t.Context(), []string{"cat", "kitten", "invoice"})
	if err != nil {
		t.Fatal(err)
	}
	near, far, same := v[0].Distance(v[1]), v[0].Distance(v[2]), v[2].Distance(v[2])
	if near > 0.05 || far < 0.95 || same > 0.001 || v[0].Distance(embedding.Vector{1}) != 2 {
		t.Errorf("distances %v, %v, %v", near, far, same)
	}
	if _, err := c.Vectors(t.Context(), []string{"kitten", "cat"}); err != nil || asked.Load() != 1 || c.Status() != "ready" {
		t.Errorf("asked %d times, %v, %s", asked.Load(), err, c.Status())
	}
	for _, bad := range []string{"<html>", `{"data":[]}`, `{"data":[{"index":0,"embedding":[]}]}`, `{"data":[{"index":7,"embedding":[1]}]}`, `{"data":[{"index":0,"embedding":[0,0]}]}`} {
		answer.Store(bad)
		c := client()
		before := asked.Load()
		for range 2 {
			if _, err := c.Vectors(t.Context(), []string{"dog"}); err == nil {
				t.Errorf("%s: no error", bad)
			}
		}
		if n := asked.Load() - before; n != 1 || c.Status() != "unavailable" {
			t.Errorf("%s: asked %d times, %s", bad, n, c.Status())
		}
	}
}
