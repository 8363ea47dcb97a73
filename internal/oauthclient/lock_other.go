//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package oauthclient

import "os"

// tryLock does nothing: these systems have no lock that ends with its process. Two
// gateways there may refresh at once, and one of them then asks for a new sign-in.
func tryLock(*os.File) (bool, error) { return true, nil }
