package outside

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// exposed looks for what is the operators' alone, at the origin and below the prefix
// that the gateway has there.
func (x *exam) exposed(ctx context.Context) {
	const check = "not public"
	prefix, _, _ := strings.Cut(x.base, "/servers/")
	bases := []string{""}
	if prefix != "" && prefix != x.base {
		bases = append(bases, prefix)
	}
	clean := true
	for _, base := range bases {
		for _, it := range []struct{ path, mark, what string }{
			{"/metrics", "# TYPE ", "metrics"},
			{"/status", `"servers":`, "state of the servers"},
			{"/console", "'/console/events'", "console, with the people who call"},
			{"/debug/pprof/", "goroutine", "profiles of the process, which hold what is in its memory"},
		} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.at(base+it.path), nil)
			if err != nil {
				continue // the URL was parsed
			}
			a, err := netguard.Send(x.client, req, 8<<20)
			if err != nil {
				continue
			}
			switch {
			case a.Status == http.StatusOK && bytes.Contains(a.Body, []byte(it.mark)):
				clean = false
				x.Fail(check, "the proxy: pass "+base+it.path+" to nobody; and --admin-token-file of the gateway, if others reach its admin address",
					"everybody can read %s%s: the %s", base, it.path, it.what)
			case a.Status == http.StatusUnauthorized && adminsOwn(a.Header):
				clean = false
				x.Warn(check, "the proxy: pass "+base+it.path+" to nobody", "the admin address is reached by %s%s; its token alone keeps people out", base, it.path)
			}
		}
	}
	if clean {
		x.OK(check, "/metrics, /status, /console and /debug/pprof/ are not there")
	}
}

// adminsOwn reports whether it is the admin listener that asks for a token.
func adminsOwn(h http.Header) bool {
	for _, c := range oauth.ParseChallenges(h) {
		if c.Params["realm"] == "sallyport admin" {
			return true
		}
	}
	return false
}
