package authn

// Preset are the headers that a known authenticating proxy uses.
func Preset(name string) (ProxyHeaders, bool) {
	h, ok := map[string]ProxyHeaders{
		"oauth2-proxy":         {User: "X-Auth-Request-User", Email: "X-Auth-Request-Email", Name: "X-Auth-Request-Preferred-Username", Groups: "X-Auth-Request-Groups"},
		"authelia":             {User: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"},
		"traefik-forward-auth": {User: "X-Forwarded-User"},
		"envoy":                {User: "X-Envoy-User"},
		"istio":                {User: "X-Auth-Request-User", Email: "X-Auth-Request-Email", Groups: "X-Auth-Request-Groups"},
		"pomerium":             {User: "X-Pomerium-Claim-Sub", Email: "X-Pomerium-Claim-Email", Name: "X-Pomerium-Claim-Name", Groups: "X-Pomerium-Claim-Groups"},
	}[name]
	return h, ok
}
