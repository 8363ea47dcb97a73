package gateway

import (
	"crypto/x509"
	"net/url"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// account compiles the gateway's own account at a remote server.
func (c *compiler) account(o *manifest.Object, r remote, out *outgoing) {
	if r.oauth == nil {
		return
	}
	if !c.claim(o, out, "spec.oauth", "Authorization") {
		return
	}
	cfg, settings, ok := c.accountConfig(o, r)
	if !ok {
		return
	}
	client, release, err := c.server.accounts.Acquire(digest(settings...), func() (*oauthclient.Client, error) { return oauthclient.New(cfg) })
	if err != nil {
		c.problem(o, "spec.oauth", "%v", err)
		return
	}
	c.snap.releases = append(c.snap.releases, release)
	c.snap.accounts[o.Name] = client
	out.credential = credential.NewAccount(client)
	if !cfg.Machine && cfg.Vault == nil && !c.server.checking {
		c.warnings = append(c.warnings, o.Problem("spec.oauth.grant", "this process keeps no sign-ins, and nobody can sign in at it; use grant: clientCredentials, or sallyport serve"))
	}
}

// accountRoots are the system's certificates and those of the bundle: a remote with
// certificates of its own may have an authorization server with public ones. The
// bundle itself was checked with the remote.
func (c *compiler) accountRoots(o *manifest.Object, ref *v1alpha1.CABundleRef) (roots *x509.CertPool, bundle string) {
	if ref == nil {
		return nil, ""
	}
	_, bundle, ok := c.caBundle(o, "spec.caBundleRef.configMapRef", ref)
	roots, err := x509.SystemCertPool()
	if err != nil || !ok {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(bundle))
	return roots, bundle
}

// accountConfig reads an account's settings, and gives those that make it another one.
func (c *compiler) accountConfig(o *manifest.Object, r remote) (cfg oauthclient.Config, settings []any, ok bool) {
	u, err := url.Parse(string(r.url))
	if err != nil || u.Host == "" {
		return cfg, nil, false // remote says so
	}
	spec, at := r.oauth, c.server.opts.Accounts
	cfg = oauthclient.Config{
		Name: o.Name, Resource: u,
		Machine:  spec.Grant == "clientCredentials",
		ClientID: spec.ClientID, Method: spec.TokenEndpointAuthMethod,
		MetadataURL: spec.ClientIDMetadataURL, Issuer: string(spec.Issuer), Scopes: spec.Scopes,
		AllowPrivate: r.allowPrivate,
		Log:          c.server.opts.Log.With("server", o.Name),
		Refreshed:    func(result string) { c.server.opts.Metrics.UpstreamRefreshed(o.Name, result) },
	}
	if !cfg.Machine { // what a machine can get again is not written down (REQ B-18)
		cfg.Vault, cfg.Browser = at.Vault, at.Browser
	}
	if spec.ClientSecretRef != nil {
		if cfg.Secret, ok = c.headerSecret(o, "spec.oauth.clientSecretRef", *spec.ClientSecretRef); !ok {
			return cfg, nil, false
		}
	}
	var key secret.Value
	if spec.PrivateKeyRef != nil {
		if key, ok = c.secret(o, "spec.oauth.privateKeyRef", *spec.PrivateKeyRef); !ok {
			return cfg, nil, false
		}
		if cfg.Key, err = token.NewSigner([]byte(key.Reveal())); err != nil {
			c.problem(o, "spec.oauth.privateKeyRef", "%v", err)
			return cfg, nil, false
		}
	}
	roots, bundle := c.accountRoots(o, r.caBundle)
	cfg.HTTP = oauthclient.NewHTTPClient(r.allowPrivate, roots)
	return cfg, []any{"account", o.Namespace, o.Name, r.url, r.allowPrivate, spec, cfg.Secret.Reveal(), key.Reveal(), bundle}, true
}
