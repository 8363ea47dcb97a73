package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ServerMetadata describes an authorization server (RFC 8414 §2, OpenID Discovery
// §3), as far as clients and the embedded server have a use for it.
type ServerMetadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint            string   `json:"token_endpoint,omitempty"`
	RegistrationEndpoint     string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint       string   `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint         string   `json:"userinfo_endpoint,omitempty"`
	EndSessionEndpoint       string   `json:"end_session_endpoint,omitempty"`
	JWKSURI                  string   `json:"jwks_uri,omitempty"`
	ScopesSupported          []string `json:"scopes_supported,omitempty"`
	ResponseTypes            []string `json:"response_types_supported,omitempty"`
	ResponseModes            []string `json:"response_modes_supported,omitempty"`
	GrantTypes               []string `json:"grant_types_supported,omitempty"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAuthAlgorithms      []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	CodeChallengeMethods     []string `json:"code_challenge_methods_supported,omitempty"`
	SubjectTypes             []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported,omitempty"`
	IssParameterSupported    bool     `json:"authorization_response_iss_parameter_supported,omitempty"` // RFC 9207
	ClientMetadataDocuments  bool     `json:"client_id_metadata_document_supported,omitempty"`
	GrantProfiles            []string `json:"authorization_grant_profiles_supported,omitempty"`
}

// ResourceMetadata describes a protected resource (RFC 9728 §2).
type ResourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	Name                 string   `json:"resource_name,omitempty"`
}

// ServerMetadataURLs are where an issuer's metadata may be, in the order in which
// MCP clients try them (MCP 2026-07-28 authorization server discovery).
func ServerMetadataURLs(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the issuer is no URL without query and fragment")
	}
	path := strings.TrimRight(u.Path, "/")
	at := func(p string) string { return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: p}).String() }
	if path == "" {
		return []string{at("/.well-known/oauth-authorization-server"), at("/.well-known/openid-configuration")}, nil
	}
	return []string{
		at("/.well-known/oauth-authorization-server" + path),
		at("/.well-known/openid-configuration" + path),
		at(path + "/.well-known/openid-configuration"),
	}, nil
}

// DiscoverServer fetches an issuer's metadata. A document that is about another
// issuer is refused (RFC 8414 §3.3): it could send people to an attacker's
// endpoints.
func DiscoverServer(ctx context.Context, client *http.Client, issuer string) (*ServerMetadata, error) {
	places, err := ServerMetadataURLs(issuer)
	if err != nil {
		return nil, fmt.Errorf("discover authorization server: %w", err)
	}
	var failed []error
	for _, at := range places {
		var m ServerMetadata
		err := GetJSON(ctx, client, at, &m)
		switch {
		case err != nil:
			failed = append(failed, err)
		case m.Issuer != issuer:
			return nil, fmt.Errorf("discover authorization server: %s is about the issuer %q, not %q", at, Printable(m.Issuer, 200), issuer)
		default:
			return &m, nil
		}
	}
	return nil, fmt.Errorf("discover authorization server: %w", errors.Join(failed...))
}

// GetJSON fetches a public document of bounded size. Errors name the address
// without its query.
func GetJSON(ctx context.Context, client *http.Client, address string, into any) error {
	body, err := get(ctx, client, address)
	if err == nil && json.Unmarshal(body, into) != nil {
		err = errors.New("it is no JSON as it should be")
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", place(address), err)
	}
	return nil
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the address is no URL")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return nil, outer.Err
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &Error{Status: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return body, nil
}
