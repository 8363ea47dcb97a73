package authn

// Preset is the headers that a known proxy uses as its documentation has them
// (REQ C-8).
func Preset(name string) (ProxyHeaders, bool) {
	switch name {
	case "oauth2-proxy": // --set-xauthrequest
		return ProxyHeaders{
			User: "X-Auth-Request-User", Email: "X-Auth-Request-Email",
			Name: "X-Auth-Request-Preferred-Username", Groups: "X-Auth-Request-Groups",
		}, true
	case "oauth2-proxy-upstream": // --pass-user-headers, which is for where it is the reverse proxy itself
		return ProxyHeaders{
			User: "X-Forwarded-User", Email: "X-Forwarded-Email",
			Name: "X-Forwarded-Preferred-Username", Groups: "X-Forwarded-Groups",
		}, true
	case "authelia":
		return ProxyHeaders{User: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"}, true
	case "traefik-forward-auth": // its user is an e-mail address
		return ProxyHeaders{User: "X-Forwarded-User", Email: "X-Forwarded-User"}, true
	case "envoy", "istio": // claim_to_headers, outputClaimToHeaders; a list comes in base64, so there are no groups
		return ProxyHeaders{User: "X-Jwt-Claim-Sub", Email: "X-Jwt-Claim-Email", Name: "X-Jwt-Claim-Name"}, true
	case "pomerium": // jwt_claims_headers
		return ProxyHeaders{
			User: "X-Pomerium-Claim-Email", Email: "X-Pomerium-Claim-Email",
			Name: "X-Pomerium-Claim-Name", Groups: "X-Pomerium-Claim-Groups",
		}, true
	}
	return ProxyHeaders{}, false
}
