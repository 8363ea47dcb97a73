package plan

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Optimizer is a search for the tools of an endpoint, in place of them.
type Optimizer struct {
	Most      int
	Share     float64    // of meaning in the ranking
	Farthest  float64    // distance in meaning
	Embedding *Embedding // nil for words alone
}

// Embedding is a service that makes vectors of texts.
type Embedding struct {
	URL          *url.URL // of the endpoint
	Model        string
	Key          secret.Value // empty for none
	Headers      map[string]string
	Timeout      time.Duration
	AllowPrivate bool
	Pool         string // equal for equal settings
}

// keyVariable is where ToolHive's users have the key of their embedding service.
const keyVariable = "OPENAI_API_KEY"

// optimizer plans a search for tools; nil for none.
func (c one) optimizer(o *v1alpha1.Optimizer) *Optimizer {
	if o == nil {
		return nil
	}
	number := func(text, otherwise string) float64 {
		f, _ := strconv.ParseFloat(cmp.Or(text, otherwise), 64) // the schema lets numbers through alone
		return f
	}
	out := &Optimizer{
		Most: int(cmp.Or(o.MaxToolsToReturn, 8)), Share: number(o.HybridSearchSemanticRatio, "0.5"), Farthest: number(o.SemanticDistanceThreshold, "1.0"),
	}
	if o.EmbeddingService == "" {
		return out
	}
	const field = "spec.config.optimizer."
	u, err := url.Parse(strings.TrimRight(o.EmbeddingService, "/") + "/embeddings")
	if err != nil {
		c.problem(field+"embeddingService", "is no URL; write it like https://api.openai.com/v1")
		return out
	}
	e := &Embedding{
		URL: u, Model: o.EmbeddingModel, Headers: map[string]string{}, Timeout: cmp.Or(o.EmbeddingServiceTimeout, "30s").Duration(), AllowPrivate: o.AllowPrivateIPs,
	}
	for name, value := range o.EmbeddingHeaders {
		e.Headers[http.CanonicalHeaderKey(name)] = string(value)
	}
	if o.EmbeddingKeyRef != nil {
		e.Key, _ = c.headerSecret(field+"embeddingKeyRef", *o.EmbeddingKeyRef)
	} else {
		key, _ := c.process.LookupEnv(keyVariable)
		c.view.Note(manifest.Use{Kind: "environment", Name: keyVariable}, key)
		e.Key = secret.New(strings.TrimSpace(key))
	}
	c.reachable(field+"embeddingService", u, TokenPolicy(u.String(), o.AllowPrivateIPs))
	e.Pool = c.key("embedding", e.URL.String(), e.Model, e.Headers, e.Timeout, e.AllowPrivate, e.Key.Reveal())
	out.Embedding = e
	return out
}
