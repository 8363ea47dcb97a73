// Package pack writes archives and container images: tar, zip, and OCI image layouts, without a daemon. The same content and
// date make the same bytes. It does not own what is in them (hack/release, and the tests with a real node).
package pack
