package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

func isURL(text string) bool { return strings.Contains(text, "://") }

// notURL says what a person may have meant whose arguments are neither a URL nor a
// command behind --.
func notURL(args []string) error {
	address := args[0]
	host, _, _ := strings.Cut(address, "/")
	_, err := exec.LookPath(address)
	scheme := "https"
	if name, _, bad := net.SplitHostPort(host); bad == nil {
		host = name
	}
	if netguard.IsLocalName(host) {
		scheme = "http"
	}
	if len(args) == 1 && err != nil && host != "" && (scheme == "http" || strings.Contains(strings.Trim(host, "."), ".")) {
		return fmt.Errorf("%q is not a URL; did you mean %s://%s?", address, scheme, address)
	}
	return fmt.Errorf("%q is not a URL; put -- before a command: sallyport run -- %s", address, strings.Join(args, " "))
}

// flagOf says which flag a field of the manifest was made from.
var flagOf = []struct{ field, flag string }{
	{"spec.remoteUrl", "the URL"},
	{"spec.command", "the command"},
	{"metadata.name", "--name"},
	{"spec.headerForward", "--header"},
	{"spec.passthroughHeaders", "--passthrough-header"},
	{"spec.secrets", "--env"},
	{"spec.oauth.clientIdMetadataUrl", "--oauth-cimd-url"},
	{"spec.oauth.clientId", "--oauth-client-id"},
	{"spec.oauth.clientSecretRef", "$" + secretVariable},
	{"spec.oauth.privateKeyRef", "$" + keyVariable},
	{"spec.oauth.scopes", "--oauth-scopes"},
	{"spec.oauth.issuer", "--oauth-issuer"},
	{"spec.oauth.grant", "--oauth-client-credentials"},
}

// inFlags says problems of the manifest that was made of flags in the flags' words.
func inFlags(err error) error {
	problems, ok := errors.AsType[manifest.Problems](err)
	if !ok {
		return err
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		where := p.Field
		for _, f := range flagOf {
			if rest, ok := strings.CutPrefix(p.Field, f.field); ok && (rest == "" || strings.ContainsAny(rest[:1], ".[")) {
				where = f.flag
				break
			}
		}
		message := strings.NewReplacer("allowPrivateEndpoint: true", "--allow-private-endpoint").Replace(p.Message)
		all[i] = fmt.Errorf("%s: %s", where, message)
	}
	return process.UsageError{Err: errors.Join(all...)}
}
