package idp

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
)

// Reach is how a provider's endpoints are reached.
type Reach struct {
	// Client decides which addresses may be dialled, and follows no redirect: a code
	// or a secret would go along.
	Client *http.Client
	// AllowHTTP admits plain http everywhere, AllowLoopbackHTTP on loopback.
	AllowHTTP, AllowLoopbackHTTP bool
}

// check says whether an endpoint may be used. What discovery names is checked like
// what a manifest names: its document is a stranger's, and goes to a browser.
func (r *Reach) check(what, endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case endpoint == "":
		return fmt.Errorf("there is no %s", what)
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("the %s is no URL that can be used", what)
	case u.Scheme == "https" || u.Scheme == "http" && (r.AllowHTTP || r.AllowLoopbackHTTP && loopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("the %s is plain http; insecureAllowHTTP: true admits that, and allowPrivateIPs: true admits it on loopback", what)
	}
	return fmt.Errorf("the %s is neither https nor http", what)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
