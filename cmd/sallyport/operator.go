package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/operator"
)

func operatorCommand() *cobra.Command {
	o := operator.Options{}
	var flags process.Flags
	var secret string
	cmd := &cobra.Command{
		Use:   "operator --image REF [flags] | operator crds",
		Short: "Keep a Kubernetes cluster as its resources of sallyport.dev say",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Image == "" {
				return process.UsageError{Err: errors.New("say with --image which image the gateway's pods run")}
			}
			o.Outside = os.Getenv("KUBECONFIG")
			err := webhookOptions(&o.Webhook, secret)
			if err != nil {
				return process.UsageError{Err: err}
			}
			if o.Log, err = telemetry.NewLogger(cmd.ErrOrStderr(), flags.LogLevel, flags.LogFormat); err != nil {
				return process.UsageError{Err: err}
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return operator.Run(ctx, o)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	o.Resync, o.StatusEvery, o.AdminListen = 10*time.Minute, 15*time.Second, "127.0.0.1:9090"
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig file; by default the pod's own account, then KUBECONFIG")
	fs.StringArrayVar(&o.Namespaces, "namespace", nil, "namespace to keep; may be repeated; by default all")
	fs.StringVar(&o.Image, "image", "", "image of the gateway in the pods that are made")
	fs.StringArrayVar(&o.PullSecrets, "image-pull-secret", nil, "Secret that images of pods are pulled with, in the namespace of each; may be repeated")
	process.Group(fs, "Cluster")
	process.AddressVar(fs, &o.AdminListen, "admin-listen", true, "address for /healthz, /readyz and /metrics; off, or empty, for none")
	process.DurationVar(fs, &o.Resync, "resync", time.Second, "time after which everything is looked at again, though nothing has changed")
	process.DurationVar(fs, &o.StatusEvery, "status-interval", time.Second, "time between questions to the gateway's pods, and of theirs to what is behind them, for the status of resources")
	fs.BoolVar(&o.LeaderElect, "leader-elect", false, "let one of several replicas work, and the others wait")
	process.Group(fs, "Running")
	process.AddressVar(fs, &o.Webhook.Listen, "webhook-listen", true, "address for the API server's questions before it stores a change, over TLS; off, or empty, for none")
	fs.StringVar(&secret, "webhook-secret", "", "Secret, as NAMESPACE/NAME, in which the operator keeps the authority of the webhook's certificates")
	fs.StringVar(&o.Webhook.Configuration, "webhook-configuration", "", "name of the ValidatingWebhookConfiguration that says who asks, and in which the operator keeps the authority's certificate")
	fs.StringVar(&o.Webhook.CertFile, "webhook-tls-cert", "", "file of the webhook's certificate, in PEM, where somebody else renews it; read again when it changes")
	fs.StringVar(&o.Webhook.KeyFile, "webhook-tls-key", "", "file of that certificate's key, in PEM")
	process.Group(fs, "Webhook")
	flags.RegisterLog(fs)
	process.Group(fs, "Log")
	cmd.AddCommand(&cobra.Command{
		Use:   "crds",
		Short: "Print the CustomResourceDefinitions, for kubectl apply --server-side -f -",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return printCRDs(cmd.OutOrStdout()) },
	})
	return cmd
}

// webhookOptions completes what flags say of the webhook.
func webhookOptions(o *operator.WebhookOptions, secret string) error {
	files, kept := o.CertFile != "" || o.KeyFile != "", secret != "" || o.Configuration != ""
	switch namespace, name, ok := strings.Cut(secret, "/"); {
	case o.Listen == "" && (files || kept):
		return errors.New("the other flags of the webhook need --webhook-listen, such as :9443")
	case o.Listen == "":
		return nil
	case files && kept:
		return errors.New("the webhook's certificate comes from files (--webhook-tls-cert, --webhook-tls-key), or the operator keeps it (--webhook-secret, --webhook-configuration); say one of the two")
	case files && (o.CertFile == "" || o.KeyFile == ""):
		return errors.New("--webhook-tls-cert and --webhook-tls-key go together")
	case files:
		return nil
	case secret == "" || o.Configuration == "":
		return errors.New("--webhook-listen needs a certificate: let the operator keep it with --webhook-secret and --webhook-configuration, or name files with --webhook-tls-cert and --webhook-tls-key")
	case !ok || namespace == "" || name == "" || strings.Contains(name, "/"):
		return fmt.Errorf("--webhook-secret: %q is not written as NAMESPACE/NAME", secret)
	default:
		o.Secret.Namespace, o.Secret.Name = namespace, name
		return nil
	}
}

// printCRDs writes the definitions of all kinds as YAML documents.
func printCRDs(w io.Writer) error {
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := v1alpha1.CRDs.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", strings.TrimPrefix(string(text), "---\n")); err != nil {
			return err
		}
	}
	return nil
}
