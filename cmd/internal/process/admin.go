package process

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// minAdminToken is the shortest admin token that cannot be guessed over a network.
const minAdminToken = 16

// AdminToken is a token that the admin address takes; none where it asks for none.
func (f *Flags) AdminToken(getenv func(string) (string, bool)) (secret.Value, error) {
	opts := gateway.Options{Log: slog.New(slog.DiscardHandler)}
	if err := adminTokens(f.adminTokenFile, &opts, getenv); err != nil || len(opts.AdminTokens) == 0 {
		return secret.Value{}, err
	}
	return opts.AdminTokens[0], nil
}

// adminTokens sets who may look at the admin listener (REQ C-7). Naming a file asks
// for a token; AUTH_REQUIRED says so for the whole installation, and wins.
func adminTokens(path string, opts *gateway.Options, getenv func(string) (string, bool)) error {
	required, err := boolean(getenv, "AUTH_REQUIRED")
	switch {
	case err != nil:
		return UsageError{err}
	case required != nil && !*required:
		if path != "" {
			opts.Log.Warn("the admin listener is open to everybody who reaches it, since AUTH_REQUIRED is false; --admin-token-file is not used")
		}
		return nil
	case path == "" && required != nil:
		return UsageError{fmt.Errorf("environment variable AUTH_REQUIRED: there is no token to ask for; name a file that holds one with --admin-token-file")}
	case path == "":
		return nil
	}
	text, err := readSecret(path)
	if err != nil {
		return UsageError{fmt.Errorf("--admin-token-file: %w", err)}
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < minAdminToken || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return UsageError{fmt.Errorf("--admin-token-file: %s line %d: want at least %d characters without blanks, as from `openssl rand -hex 32`", path, i+1, minAdminToken)}
		}
		opts.AdminTokens = append(opts.AdminTokens, secret.New(line))
	}
	if len(opts.AdminTokens) == 0 {
		return UsageError{fmt.Errorf("--admin-token-file: %s holds no token", path)}
	}
	return nil
}

// boolean reads a setting from the environment; nil where it is not set.
func boolean(getenv func(string) (string, bool), name string) (*bool, error) {
	text, ok := getenv(name)
	if !ok || text == "" {
		return nil, nil
	}
	v, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return nil, fmt.Errorf("environment variable %s: %q is not a boolean; write true or false", name, text)
	}
	return &v, nil
}
