package gateway

import (
	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// accounts says which service accounts of a cluster are callers.
type accounts struct {
	Namespace, Name string // "" for any
	ClusterAuth     bool   // the API server is asked as the gateway's pod
}

// only admits those accounts alone; of other issuers, everybody.
func (a *accounts) only(c authn.Checker) authn.Checker {
	if a == nil {
		return c
	}
	return a.with(c)
}

func (a *accounts) with(c authn.Checker) authn.ServiceAccounts {
	return authn.ServiceAccounts{Checker: c, Namespace: a.Namespace, Name: a.Name}
}

// ofCluster is what an endpoint wants of tokens of service accounts, in the words of
// any issuer.
func (c *compiler) ofCluster(k *v1alpha1.ServiceAccountIssuer, owner *manifest.Object, field string) expected {
	a := &accounts{
		Namespace: k.Namespace, Name: string(k.ServiceAccount), ClusterAuth: k.UseClusterAuth == nil || *k.UseClusterAuth,
	}
	if a.Name != "" && a.Namespace == "" {
		a.Namespace = owner.Namespace
	}
	iss := &v1alpha1.OIDCIssuer{
		Issuer: k.Issuer, JWKSURL: k.JWKSURL, IntrospectionURL: k.IntrospectionURL, CABundleRef: k.CABundleRef,
		JWKSAllowPrivateIP: k.JWKSAllowPrivateIP, ClaimMappings: k.ClaimMappings,
	}
	if iss.JWKSURL == "" && a.ClusterAuth {
		iss.JWKSURL = v1alpha1.IssuerURL(c.server.opts.Cluster.KeysURL())
	}
	return expected{issuer: iss, owner: owner, field: field, accounts: a}
}
