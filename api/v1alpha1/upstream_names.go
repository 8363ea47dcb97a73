package v1alpha1

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultUpstream is the name of a provider that stands alone and has none.
const DefaultUpstream = "default"

// UpstreamSecretEnv is the environment variable that holds the client secret of the
// provider with this name, for whoever sets it and whoever reads it. Two names never
// share a variable: a DNS label has neither upper-case letters nor underscores, so
// the way back is unique.
func UpstreamSecretEnv(name string) string {
	return "SALLYPORT_UPSTREAM_CLIENT_SECRET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Names are the providers' names in their order. It checks what the schema checks
// too: names are keys of stored tokens and of secrets, so nothing that came past the
// schema may confuse them.
func (ps UpstreamProviders) Names() ([]string, error) {
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	seen := map[string]bool{}
	names := make([]string, len(ps))
	for i, p := range ps {
		name := p.Name
		switch {
		case name == "" && len(ps) == 1:
			name = DefaultUpstream
		case name == "":
			return nil, fmt.Errorf("provider %d has no name; each of several providers needs one", i+1)
		case name == DefaultUpstream && len(ps) > 1:
			return nil, fmt.Errorf("provider %d: the name %s is reserved for a provider that stands alone and has no name; choose another", i+1, name)
		case !label.MatchString(name):
			return nil, fmt.Errorf("provider %d: the name %q is no DNS label", i+1, name)
		case seen[name]:
			return nil, fmt.Errorf("provider %d: duplicate name %s; each provider needs its own", i+1, name)
		}
		seen[name], names[i] = true, name
	}
	return names, nil
}
