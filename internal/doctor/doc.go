// Package doctor says what is wrong with a deployment, and where to change it.
//
// It owns what is said of each thing that was looked at, the [Finding], and how a
// [Report] of them reads, for people and for programs. Below it are those who look: outside,
// as a client does through the public URL, and inside, from the manifests.
//
// It does not look at anything itself, and holds no secret: what is said of one is
// where it stands, never what it is.
package doctor
