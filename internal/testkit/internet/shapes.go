package internet

const (
	okta     = "https://example.okta.com"
	auth0    = "https://example.eu.auth0.com"
	keycloak = "https://sso.example.com/realms/staff"
	entra    = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
	google   = "https://accounts.google.com"
	github   = "https://github.com/login/oauth"
)

const usualScopes = "openid profile email offline_access"

var (
	everyMethod = []string{"client_secret_basic", "client_secret_post"}
	withPKCE    = map[string]any{"code_challenge_methods_supported": []string{"S256"}, "scopes_supported": []string{"openid", "profile", "email", "offline_access"}}
)

// shapes are the providers of examples/providers, as each documents itself.
var shapes = map[string]shape{
	"okta": {
		issuer: okta, authorize: okta + "/oauth2/v1/authorize", redeem: okta + "/oauth2/v1/token", keys: okta + "/oauth2/v1/keys", userinfo: okta + "/oauth2/v1/userinfo",
		scopes: usualScopes, methods: everyMethod, refresh: "offline_access", expiresIn: 3600, metadata: withPKCE,
		subject: "00uid4BxXw6I6TV4m0g3",
		claims: map[string]any{
			"sub": "00uid4BxXw6I6TV4m0g3", "ver": 1, "idp": "00ok1u7AsAkrwdZL3z0x", "amr": []string{"pwd", "mfa"},
			"name": "Alice Liddell", "preferred_username": "alice@example.com", "email": "alice@example.com", "email_verified": true,
		},
	},
	"auth0": { // whose issuer ends in a slash, and whose endpoints do not begin with it
		issuer: auth0 + "/", authorize: auth0 + "/authorize", redeem: auth0 + "/oauth/token", keys: auth0 + "/.well-known/jwks.json", userinfo: auth0 + "/userinfo",
		scopes: usualScopes, methods: everyMethod, refresh: "offline_access", expiresIn: 86400, metadata: withPKCE,
		subject: "auth0|507f1f77bcf86cd799439020",
		claims: map[string]any{
			"sub": "auth0|507f1f77bcf86cd799439020", "nickname": "alice", "name": "alice@example.com", "email": "alice@example.com", "email_verified": false,
			"updated_at": "2026-11-29T09:00:00.000Z", "sid": "kfA-PZ4eA4nBVGcD6gC5h5a7mN8QKbN0",
		},
	},
	"keycloak": {
		issuer: keycloak, authorize: keycloak + "/protocol/openid-connect/auth", redeem: keycloak + "/protocol/openid-connect/token",
		keys: keycloak + "/protocol/openid-connect/certs", userinfo: keycloak + "/protocol/openid-connect/userinfo",
		scopes: usualScopes, methods: everyMethod, refresh: "offline_access", expiresIn: 300, tellsIssuer: true,
		metadata: map[string]any{"code_challenge_methods_supported": []string{"plain", "S256"}, "authorization_response_iss_parameter_supported": true},
		subject:  "8f2b5c1e-3a47-4d6b-9c0d-5e1f7a2b3c4d",
		claims: map[string]any{
			"sub": "8f2b5c1e-3a47-4d6b-9c0d-5e1f7a2b3c4d", "typ": "ID", "azp": "sallyport", "sid": "0c2b6a5e-6f0e-4f7a-9d55-1f2e3d4c5b6a", "acr": "1",
			"realm_access": map[string]any{"roles": []string{"staff"}}, "preferred_username": "alice", "name": "Alice Liddell", "email": "alice@example.com", "email_verified": true,
		},
	},
	"entra": { // which says nothing of PKCE and takes it; whose sub is another one for each application
		issuer: entra + "/v2.0", authorize: entra + "/oauth2/v2.0/authorize", redeem: entra + "/oauth2/v2.0/token", keys: entra + "/discovery/v2.0/keys",
		userinfo: "https://graph.microsoft.com/oidc/userinfo",
		scopes:   usualScopes, methods: []string{"client_secret_post", "private_key_jwt", "client_secret_basic"}, refresh: "offline_access", expiresIn: 4799,
		metadata: map[string]any{"subject_types_supported": []string{"pairwise"}, "scopes_supported": []string{"openid", "profile", "email", "offline_access"}},
		subject:  "690222be-ff1a-4d56-abd1-7e4f7d38e474",
		claims: map[string]any{
			"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "tid": "11111111-2222-3333-4444-555555555555",
			"ver": "2.0", "name": "Alice Liddell", "preferred_username": "alice@example.com", "rh": "0.AAAA", "uti": "RqR9o9JzJk-sAAAAAAAAAA",
		},
	},
	"google": { // which has its endpoints at several hosts, and no scope for refresh tokens
		issuer: google, authorize: google + "/o/oauth2/v2/auth", redeem: "https://oauth2.googleapis.com/token",
		keys: "https://www.googleapis.com/oauth2/v3/certs", userinfo: "https://openidconnect.googleapis.com/v1/userinfo",
		scopes: "openid profile email", params: map[string]string{"access_type": "offline", "prompt": "consent"},
		methods: []string{"client_secret_post", "client_secret_basic"}, refresh: "offline", expiresIn: 3599,
		metadata: map[string]any{"code_challenge_methods_supported": []string{"plain", "S256"}, "scopes_supported": []string{"openid", "email", "profile"}},
		subject:  "110000000000000000001",
		claims: map[string]any{
			"sub": "110000000000000000001", "azp": "example.apps.googleusercontent.com", "hd": "example.com",
			"email": "alice@example.com", "email_verified": true, "name": "Alice Liddell", "picture": "https://lh3.googleusercontent.com/a/x",
		},
	},
	"github": { // which is no OpenID provider, and gives tokens without an end
		authorize: github + "/authorize", redeem: github + "/access_token", userinfo: "https://api.github.com/user",
		scopes: "read:user user:email", methods: []string{"client_secret_post"}, form: true,
		subject: "583231",
		claims:  map[string]any{"login": "octocat", "id": 583231, "name": nil, "email": nil, "type": "User"},
	},
}
