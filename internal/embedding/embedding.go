// Package embedding has a service say what texts mean: it asks for vectors, which are
// near each other where texts are near in meaning, at an OpenAI-compatible
// /v1/embeddings endpoint.
//
// It owns the requests, what is kept of the answers, and what is done while the
// service fails. It does not own which addresses may be dialled (whoever makes a
// client hands in one that is guarded), or what the vectors are for.
package embedding

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Config is all of a [Client].
type Config struct {
	URL     string // of the endpoint
	Model   string
	Key     secret.Value      // bearer token; empty for none
	Headers map[string]string // that are sent besides
	Timeout time.Duration     // of one request
	HTTP    *http.Client
	Log     *slog.Logger
}

// Client asks for vectors. It is safe for use by many goroutines.
type Client struct {
	cfg Config

	mu    sync.Mutex
	young map[[sha256.Size]byte]Vector // by text; bounded, as old is
	old   map[[sha256.Size]byte]Vector
	state string
	until time.Time // the service is not asked before
}

const (
	maxKept   = 10_000 // vectors, in each of the two halves
	maxBatch  = 128    // texts in a request
	maxAnswer = 32 << 20
	pause     = 30 * time.Second // after a failure
)

// New makes a client. Nothing is asked yet.
func New(cfg Config) *Client { return &Client{cfg: cfg, state: "unknown"} }

// Close gives up the connections.
func (c *Client) Close() error {
	c.cfg.HTTP.CloseIdleConnections()
	return nil
}

// Status is ready, unavailable or unknown, as the last exchange was.
func (c *Client) Status() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

var errPaused = errors.New("the embedding service has failed and is not asked for a while")

// Vectors are those of texts, in their order. What has been asked for before is known.
func (c *Client) Vectors(ctx context.Context, texts []string) ([]Vector, error) {
	all := make([]Vector, len(texts))
	var missing []int
	c.mu.Lock()
	for i, text := range texts {
		if all[i] = c.kept(sha256.Sum256([]byte(text))); all[i] == nil {
			missing = append(missing, i)
		}
	}
	paused := time.Now().Before(c.until)
	c.mu.Unlock()
	for len(missing) > 0 {
		if paused {
			return nil, errPaused
		}
		batch := missing[:min(len(missing), maxBatch)]
		missing = missing[len(batch):]
		asked := make([]string, len(batch))
		for i, at := range batch {
			asked[i] = texts[at]
		}
		vectors, err := c.ask(ctx, asked)
		if ctx.Err() != nil {
			return nil, ctx.Err() // that says nothing of the service
		}
		c.note(err)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		for i, at := range batch {
			all[at] = vectors[i]
			c.keep(sha256.Sum256([]byte(texts[at])), vectors[i])
		}
		c.mu.Unlock()
	}
	return all, nil
}

// kept is what is known of a text; nil for nothing. c.mu is held.
func (c *Client) kept(key [sha256.Size]byte) Vector {
	if v, ok := c.young[key]; ok {
		return v
	}
	if v, ok := c.old[key]; ok {
		c.keep(key, v)
		return v
	}
	return nil
}

// keep remembers a vector. c.mu is held.
func (c *Client) keep(key [sha256.Size]byte, v Vector) {
	if c.young == nil || len(c.young) >= maxKept {
		c.old, c.young = c.young, map[[sha256.Size]byte]Vector{}
	}
	c.young[key] = v
}

// note keeps how the service is, and says when that changes.
func (c *Client) note(err error) {
	c.mu.Lock()
	before := c.state
	c.state = "ready"
	if err != nil {
		c.state, c.until = "unavailable", time.Now().Add(pause)
	}
	now := c.state
	c.mu.Unlock()
	switch {
	case before == now:
	case err != nil:
		c.cfg.Log.Warn("the embedding service fails; tools are found by their words alone until it works again", "cause", err)
	case before == "unavailable":
		c.cfg.Log.Info("the embedding service works again")
	}
}

// ask asks for the vectors of a few texts. An error says nothing of what was sent.
func (c *Client) ask(ctx context.Context, texts []string) ([]Vector, error) {
	body, err := json.Marshal(map[string]any{"model": c.cfg.Model, "input": texts, "encoding_format": "float"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range c.cfg.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	if !c.cfg.Key.Empty() {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Key.Reveal())
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var answer struct {
		Data []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return nil, errors.New("the answer is no list of embeddings")
	}
	all := make([]Vector, len(texts))
	for _, d := range answer.Data { // in any order
		if d.Index >= 0 && d.Index < len(all) {
			all[d.Index] = vector(d.Embedding)
		}
	}
	for _, v := range all {
		if len(v) == 0 || len(v) != len(all[0]) {
			return nil, errors.New("the answer lacks embeddings, or they differ in length")
		}
	}
	return all, nil
}

// Vector is a direction. A quarter of the memory of what services send, it tells
// near from far as well.
type Vector []int8

// vector makes all of what a service says but how long it is.
func vector(of []float32) Vector {
	var square float64
	for _, x := range of {
		square += float64(x) * float64(x)
	}
	if square == 0 || math.IsNaN(square) || math.IsInf(square, 0) {
		return nil
	}
	var largest float64
	for _, x := range of {
		largest = max(largest, math.Abs(float64(x)))
	}
	v := make(Vector, len(of))
	for i, x := range of {
		v[i] = int8(math.Round(float64(x) / largest * 127))
	}
	return v
}

// Distance is the cosine distance: 0 for one meaning, 1 for what has nothing in common,
// 2 for opposites.
func (v Vector) Distance(w Vector) float64 {
	if len(v) != len(w) {
		return 2
	}
	var dot, a, b int64
	for i, x := range v {
		y := w[i]
		dot, a, b = dot+int64(x)*int64(y), a+int64(x)*int64(x), b+int64(y)*int64(y)
	}
	if a == 0 || b == 0 {
		return 2
	}
	return 1 - float64(dot)/math.Sqrt(float64(a)*float64(b))
}
