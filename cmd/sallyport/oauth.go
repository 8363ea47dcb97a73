package main

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// browserFlags say how a person is sent to sign in.
type browserFlags struct {
	port int
	none bool
}

func (f *browserFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	process.NumberVar(fs, &f.port, "oauth-callback-port", 0, math.MaxUint16, "port on 127.0.0.1 that the browser comes back to after a sign-in; 0 for any")
	fs.BoolVar(&f.none, "no-browser", false, "print the address to sign in at, and open no browser")
}

// browser is the one on this machine. The address is always printed.
func (f *browserFlags) browser(out io.Writer) *oauthclient.Browser {
	b := &oauthclient.Browser{Port: f.port, Out: out}
	if !f.none && hasDisplay(runtime.GOOS, os.Getenv) {
		b.Open = oauthclient.OpenBrowser
	}
	return b
}

// hasDisplay keeps xdg-open from starting a browser for the terminal.
func hasDisplay(system string, getenv func(string) string) bool {
	return system == "darwin" || system == "windows" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// oauthFlags are what a manifest's oauth would say.
type oauthFlags struct {
	browserFlags
	off         bool
	clientID    string
	scopes      []string
	metadataURL string
	issuer      string
	machine     bool
}

// secretVariable names what holds the client secret: on the command line everybody
// could read it.
const secretVariable = "SALLYPORT_OAUTH_CLIENT_SECRET" //nolint:gosec // the name of a variable

// keyVariable holds the path of a private key for private_key_jwt.
const keyVariable = "SALLYPORT_OAUTH_PRIVATE_KEY_FILE"

func (f *oauthFlags) register(cmd *cobra.Command) {
	f.browserFlags.register(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.off, "no-oauth", false, "do not sign in to the URL's server when it asks for that")
	fs.StringVar(&f.clientID, "oauth-client-id", "", "client id that was registered at the authorization server of the URL's server; its secret, if any, is in $"+secretVariable)
	fs.StringSliceVar(&f.scopes, "oauth-scopes", nil, "scopes to ask for instead of those that the URL's server names")
	fs.StringVar(&f.metadataURL, "oauth-cimd-url", "", "https URL of a client ID metadata document that stands for this client, where the authorization server reads them")
	fs.StringVar(&f.issuer, "oauth-issuer", "", "the one authorization server to use, if the URL's server names several")
	fs.BoolVar(&f.machine, "oauth-client-credentials", false, "get tokens with the client's own credentials, and no person: the secret, or the key in the file that $"+keyVariable+" names")
}

// asked reports whether somebody wants a sign-in of a certain kind.
func (f *oauthFlags) asked() bool {
	return f.clientID != "" || len(f.scopes) > 0 || f.metadataURL != "" || f.issuer != "" || f.machine
}

// ask gives the process a browser and a place for sign-ins.
func (f *oauthFlags) ask(flags *process.Flags, out io.Writer) error {
	vault, err := signIns()
	if err != nil {
		return err
	}
	flags.Accounts(compile.Accounts{Vault: vault, Browser: f.browser(out)})
	return nil
}

// account writes the flags into a proxy's manifest, and secrets into values. A header
// of the person's own is taken for the credential, so there is no account then.
func (f *oauthFlags) account(spec *v1alpha1.MCPRemoteProxySpec, values map[string]secret.Value) error {
	own := spec.PassthroughAuthorization
	for name := range values {
		own = own || strings.EqualFold(name, "Authorization")
	}
	switch {
	case (f.off || own) && f.asked():
		return errors.New("the --oauth flags are for a sign-in, and --no-oauth or an Authorization header of your own is none; keep one of them")
	case f.off || own:
		return nil
	}
	a := &v1alpha1.RemoteOAuth{
		Grant: "authorizationCode", ClientID: f.clientID, Scopes: f.scopes,
		ClientIDMetadataURL: f.metadataURL, Issuer: v1alpha1.IssuerURL(f.issuer),
	}
	if f.machine {
		a.Grant = "clientCredentials"
	}
	if text := os.Getenv(secretVariable); text != "" {
		values[secretVariable] = secret.New(text)
		a.ClientSecretRef = &v1alpha1.SecretKeyRef{Name: typedSecret, Key: secretVariable}
	}
	if path := os.Getenv(keyVariable); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		values[keyVariable] = secret.New(string(text))
		a.PrivateKeyRef = &v1alpha1.SecretKeyRef{Name: typedSecret, Key: keyVariable}
	}
	spec.OAuth = a
	return nil
}
