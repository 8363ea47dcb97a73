package authn

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Signer is what is known of a reverse proxy whose assertions are JWTs.
type Signer struct {
	Header     string
	Issuer     string
	KeysURL    string
	Algorithms []string
	Mapping    Mapping
}

// CloudflareAccess is the signer of a team, which goes by the domain TEAM.cloudflareaccess.com.
// The audience is the application's AUD tag.
func CloudflareAccess(team string) Signer {
	issuer := "https://" + team + ".cloudflareaccess.com"
	return Signer{
		Header: "Cf-Access-Jwt-Assertion", Issuer: issuer, KeysURL: issuer + "/cdn-cgi/access/certs", Algorithms: []string{"RS256"},
		Mapping: Mapping{NoSubject: "common_name"}, // a service token's client id; its sub is empty
	}
}

// GoogleIAP is the signer of Google's Identity-Aware Proxy. The audience is
// /projects/NUMBER/global/backendServices/ID, or /projects/NUMBER/apps/ID.
func GoogleIAP() Signer {
	return Signer{
		Header: "X-Goog-Iap-Jwt-Assertion", Issuer: "https://cloud.google.com/iap",
		KeysURL: "https://www.gstatic.com/iap/verify/public_key-jwk", Algorithms: []string{"ES256"},
	}
}

// Pomerium is the signer of a route, which goes by its host name: that is issuer
// and audience in one. The keys are at the route itself.
func Pomerium(domain string) Signer {
	return Signer{
		Header: "X-Pomerium-Jwt-Assertion", Issuer: domain,
		KeysURL: "https://" + domain + "/.well-known/pomerium/jwks.json", Algorithms: []string{"ES256"},
	}
}

// ALBHeader is where an AWS Application Load Balancer puts its assertion, which is
// for [ALB] to check.
const ALBHeader = "X-Amzn-Oidc-Data"

// ALBKeysURL is where the keys of a region's load balancers are.
func ALBKeysURL(region string) string {
	switch region {
	case "us-gov-west-1", "us-gov-east-1":
		return "https://s3-" + region + ".amazonaws.com/aws-elb-public-keys-prod-" + region
	}
	return "https://public-keys.auth.elb." + region + ".amazonaws.com"
}

// asserted says of callers that a proxy asserted them, whatever the checker is for.
type asserted struct{ Checker }

// Check verifies an assertion.
func (a asserted) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	caller, err := a.Checker.Check(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	c := *caller
	c.Source = identity.SourceAssertion
	return &c, nil
}
