package idp

import "github.com/sallyport-dev/sallyport/internal/oauth"

// NewReach is how a provider's endpoints are reached; its client comes from above.
func NewReach(allowHTTP, allowPrivate bool) oauth.Reach {
	return oauth.Reach{
		AllowHTTP: allowHTTP, AllowLoopbackHTTP: allowPrivate,
		Remedy: "insecureAllowHTTP: true admits that, and allowPrivateIPs: true admits it on loopback",
	}
}
