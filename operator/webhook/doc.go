// Package webhook answers the API server's question whether a change of a resource of
// sallyport.dev may be made: the API server asks before it stores the change.
//
// What is decided, and how, is in review.go: a change that is plainly wrong is refused, one
// that waits for something else is let through with a warning, and whoever cannot judge
// says so by an error of HTTP, so that the failure policy has the word. What is wrong with a
// resource the operator says, through [Judge], in the words of its conditions; it is shown
// the cluster as that would be after the change (world.go).
//
// The package also owns the certificate that the API server knows the webhook by: an
// authority in a Secret that all replicas share, and a certificate that each makes for
// itself (keeper.go), or files that somebody else renews.
//
// It does not own the rules, nor what a resource means. It may import internal/manifest
// and api/v1alpha1, and knows nothing of the operator.
package webhook
