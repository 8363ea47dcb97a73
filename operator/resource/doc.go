// Package resource names the resources that an operator keeps, and knows what each names and
// rests on.
//
// It does not own how they are read or what they mean (operator), nor the shape of their
// manifests (api/v1alpha1), and talks to no API server.
package resource
