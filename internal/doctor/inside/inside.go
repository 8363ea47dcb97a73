package inside

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/doctor/outside"
	"github.com/sallyport-dev/sallyport/internal/listen"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// Options are what there is besides manifests.
type Options struct {
	URL         *url.URL          // that clients have; nil where it is not known
	PublicURL   string            // as the gateway was told; "" for nothing
	Asking      compile.Options   // by which servers are asked
	SecretFiles map[string]string // of the process, by the flag that names them
	StoreFile   string            // or folder; "" for none
	Secrets     string            // the folder of secrets that no manifest has; "" for none
	MaxInFlight int64
	Redis       *store.RedisConfig // that --store names; nil for none
	StoreKeys   *seal.Ring         // that seal what is in it; nil where they are not known
	Replicas    []*url.URL
	Token       secret.Value // that lets a caller in; "" for none
	AdminToken  secret.Value // that the admin addresses take; "" for none
}

// exam is one look at manifests.
type exam struct {
	Options
	*doctor.Report
}

// Examine looks at a set that was validated, with problems or without, and at what it
// names, if it has none.
func Examine(ctx context.Context, set *manifest.Set, problems, advice manifest.Problems, o Options, r *doctor.Report) {
	x := &exam{Options: o, Report: r}
	for _, p := range problems {
		r.Add(doctor.Finding{Level: doctor.Failure, Check: "manifest", Message: p.Message, Place: p})
	}
	for _, p := range advice {
		r.Add(doctor.Finding{Level: doctor.Warning, Check: "manifest", Message: p.Message, Place: p})
	}
	x.files(set)
	x.descriptors()
	if len(problems) > 0 {
		r.Skip("servers", "the manifests have problems; mend those first")
		return
	}
	r.OK("manifests", "%s can be served", doctor.Count(len(set.Objects), "resource"))
	var authServers []*plan.AuthServer
	for _, ns := range set.Namespaces() {
		in := set.In(ns)
		p := plan.Of(in, plan.Process{Checking: true})
		found := x.servers(ctx, in)
		for _, e := range p.Endpoints {
			x.policies(e, found)
			x.resource(e)
		}
		x.issuers(ctx, p)
		for _, a := range p.AuthServers {
			x.providers(ctx, a)
		}
		authServers = append(authServers, p.AuthServers...)
	}
	x.stores(ctx, authServers)
	x.replicas(ctx, authServers)
}

// Known is what manifests tell of the gateway at a URL.
func Known(set *manifest.Set, u *url.URL) outside.Known {
	k := outside.Known{Issuers: map[string]manifest.Problem{}}
	for _, ns := range set.Namespaces() {
		for _, e := range plan.Of(set.In(ns), plan.Process{Checking: true}).Endpoints {
			k.Endpoints = append(k.Endpoints, e.Paths[0])
			if !servedAt(e, u.Path) {
				continue
			}
			for _, m := range e.Door.Methods {
				switch {
				case m.Proxy != nil:
					k.IdentityHeaders, k.Identity = []string{m.Proxy.Headers.User}, e.Problem("spec.trustedProxy", "")
				case m.Tokens != nil:
					k.Issuers[string(m.Tokens.Issuer.Issuer)] = m.Tokens.At("issuer")
				case m.SignIn != nil:
					k.Issuers[string(m.SignIn.Spec.Issuer)] = m.SignIn.Problem(m.SignIn.Field+".issuer", "")
				}
			}
			if e.Link.Resource != "" {
				k.Resource = e.Problem("spec.oidcConfigRef.resourceUrl", "")
			}
		}
	}
	return k
}

// servedAt reports whether an endpoint is what a public path leads to; a proxy may have
// put something in front of the path.
func servedAt(e *plan.Endpoint, path string) bool {
	path = strings.TrimSuffix(path, "/")
	return slices.ContainsFunc(e.Paths, func(own string) bool {
		return slices.ContainsFunc(plan.Spellings(own), func(s string) bool { return strings.HasSuffix(path, s) })
	})
}

// resource looks whether tokens can be had for the address that clients have.
func (x *exam) resource(e *plan.Endpoint) {
	a := e.SignIn()
	if x.URL == nil || a == nil || !servedAt(e, x.URL.Path) {
		return
	}
	typed := oauth.Origin(x.URL) + strings.TrimSuffix(x.URL.Path, "/")
	anyPrefix := e.Link.TrustHeaders && oauth.Origin(x.URL) == a.Origin // the proxy says which
	if addresses := e.Addresses(a, x.PublicURL); !anyPrefix && !slices.Contains(addresses, typed) {
		x.Add(doctor.Finding{
			Level: doctor.Failure, Check: "resource", Place: a.Problem(a.Field+".issuer", ""),
			Message: "clients have " + typed + ", and its authorization server makes tokens for " + addresses[0] + " alone: nobody gets one (invalid_target)",
			Change:  "the issuer has to be at the origin of the URL that clients have",
		})
		return
	}
	x.OK("resource", "the authorization server of %s makes tokens for %s", e.Name, typed)
}

// descriptors looks whether there are files enough for the clients that may come.
func (x *exam) descriptors() {
	if got := listen.Available().Admit(x.MaxInFlight, slog.New(slog.DiscardHandler)); got < x.MaxInFlight {
		x.Warn("open files", "LimitNOFILE= of systemd, ulimit -n of a shell; or a smaller --max-in-flight",
			"a process that is started like this one may open files for %d requests at a time, and --max-in-flight is %d", got, x.MaxInFlight)
		return
	}
	x.OK("open files", "a process that is started like this one has enough for --max-in-flight %d", x.MaxInFlight)
}

// patience is with an issuer, a provider or a replica.
const patience = 15 * time.Second

// roots are certificates in PEM, besides which nobody is believed; nil for the system's.
func roots(pem string) *x509.CertPool {
	if pem == "" {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(pem))
	return pool
}
