package process

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/certfile"
)

// tlsFlags are the listener's certificates.
type tlsFlags struct {
	files  certfile.Files
	keeper *certfile.Keeper // nil for plain HTTP
}

func (f *tlsFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.files.Cert, "tls-cert", "", "file of the certificate to serve clients over TLS, in PEM with those between it and the root; read again when it changes")
	fs.StringVar(&f.files.Key, "tls-key", "", "file of the certificate's key, in PEM")
	fs.StringVar(&f.files.ClientCA, "tls-client-ca", "", "file of the authorities, in PEM, that certificates of clients are verified against; without it clients are asked for none")
}

// open reads the files, if there are any.
func (f *tlsFlags) open(opts *gateway.Options) (err error) {
	switch {
	case f.files == certfile.Files{}:
		return nil
	case f.files.Cert == "":
		err = errors.New("--tls-cert is missing; --tls-key and --tls-client-ca need it")
	case f.files.Key == "":
		err = errors.New("--tls-key is missing; name the file with the key of --tls-cert")
	default:
		f.keeper, err = certfile.Open(f.files, opts.Log)
	}
	if err != nil {
		return UsageError{err}
	}
	opts.ClientCertificates = f.files.ClientCA != ""
	return nil
}

// serve has p serve over TLS, if there are certificates, and renews them until ctx
// ends. It returns the scheme of the gateway's address.
func (f *tlsFlags) serve(ctx context.Context, p *gateway.Process) (scheme string) {
	if f.keeper == nil {
		return "http"
	}
	p.TLS = f.keeper.TLS()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		f.keeper.Watch(ctx, hangup)
	}()
	return "https"
}
