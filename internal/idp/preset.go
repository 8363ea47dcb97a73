package idp

import "github.com/sallyport-dev/sallyport/internal/oauth"

// Preset is what is known about a provider, beyond the standards. A zero field means
// that there is nothing to know.
type Preset struct {
	Issuer           string
	Authorize, Token string
	UserInfo         string
	GrantsAPI        string // see OAuth2Config
	Subject          string // the claim that names the person
	AuthMethod       string
	Scopes           []string
	Params           map[string]string // of the authorization request
}

// PresetOf is the preset with that name; the zero one for any other name.
//
// None sends a resource (RFC 8707): these providers do not know it, and Entra ID
// refuses a request that has it beside scopes.
func PresetOf(name string) Preset {
	everything := []string{"openid", "profile", "email", "offline_access"}
	switch name {
	case "okta", "auth0", "keycloak":
		return Preset{Scopes: everything}
	case "entra":
		// sub is another one for each application; oid is the person's in the whole
		// tenant, and comes with the scope profile.
		return Preset{Scopes: everything, Subject: "oid"}
	case "google":
		// There is no offline_access: a refresh token is asked for by a parameter, and
		// given once per consent.
		return Preset{
			Issuer: "https://accounts.google.com", Scopes: []string{"openid", "profile", "email"},
			Params: map[string]string{"access_type": "offline", "prompt": "consent"},
		}
	case "github":
		const flow, api = "https://github.com/login/oauth", "https://api.github.com"
		return Preset{
			Authorize: flow + "/authorize", Token: flow + "/access_token", UserInfo: api + "/user", GrantsAPI: api + "/applications",
			AuthMethod: oauth.AuthPost, Scopes: []string{"read:user", "user:email"},
		}
	}
	return Preset{}
}
