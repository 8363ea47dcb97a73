package pipeline

import "github.com/sallyport-dev/sallyport/internal/upstream"

// Target is all that a step knows of what is behind an endpoint.
type Target = upstream.Target
