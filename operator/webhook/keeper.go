package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Keeper keeps the certificate that the API server knows the webhook by, where nobody else
// does: an authority in a Secret, which whoever of the replicas comes first makes and
// renews; a certificate of it, which each makes for itself and keeps in memory; and the
// authority's certificate in the ValidatingWebhookConfiguration.
//
// A new authority is believed before anybody shows a certificate of it, and the one before
// it is believed on, so that no replica has to be the first, or in time.
type Keeper struct {
	Client        client.Client // that asks the API server
	Secret        types.NamespacedName
	Configuration string        // name of the ValidatingWebhookConfiguration
	Every         time.Duration // between looks
	Owner         client.FieldOwner
	Log           *slog.Logger

	now       func() time.Time // nil for time.Now
	current   atomic.Pointer[tls.Config]
	authority *authority // that was seen last
	believed  time.Time  // since when the API server is known to believe it
}

// settle is how long the API server may take to notice whom it is to believe.
const settle = 10 * time.Second

// NeedLeaderElection says that each replica answers the API server.
func (k *Keeper) NeedLeaderElection() bool { return false }

// TLS are the settings of now.
func (k *Keeper) TLS() (*tls.Config, error) {
	cfg := k.current.Load()
	if cfg == nil {
		return nil, errNoCertificate
	}
	return cfg, nil
}

// Start keeps the certificate until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	said := ""
	for {
		wait, err := k.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			said = ""
		case said != err.Error():
			said = err.Error()
			k.Log.Error("the webhook's certificate could not be looked after", "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// look brings everything to what it should be, and says when to look again.
func (k *Keeper) look(ctx context.Context) (wait time.Duration, err error) {
	soon, now := min(k.Every, settle), time.Now()
	if k.now != nil {
		now = k.now()
	}
	var cfg admissionregistrationv1.ValidatingWebhookConfiguration
	if err := k.Client.Get(ctx, types.NamespacedName{Name: k.Configuration}, &cfg); err != nil {
		return soon, fmt.Errorf("read ValidatingWebhookConfiguration %s: %w", k.Configuration, err)
	}
	names := hosts(&cfg)
	if len(names) == 0 {
		return soon, fmt.Errorf("ValidatingWebhookConfiguration %s names neither a service nor a url; its certificate would be for nobody", k.Configuration)
	}
	a, err := k.shared(ctx, &cfg, now)
	if errors.Is(err, errBusy) {
		return time.Second, nil
	}
	if err != nil {
		return soon, err
	}
	if k.authority == nil || !k.authority.cert.Equal(a.cert) {
		k.authority, k.believed = a, time.Time{}
	}
	changed, err := k.believe(ctx, &cfg, a.bundle(now))
	if err != nil {
		return soon, err
	}
	if changed || k.believed.IsZero() {
		k.believed = now
	}
	shown := k.current.Load()
	var leaf *x509.Certificate
	if shown != nil {
		leaf = shown.Certificates[0].Leaf
	}
	switch {
	case leaf != nil && !due(leaf, now) && leaf.CheckSignatureFrom(a.cert) == nil && covers(leaf, names):
		return k.Every, nil
	case leaf != nil && now.Before(leaf.NotAfter) && now.Sub(k.believed) < soon:
		return soon, nil // the old one goes on until the new authority is believed
	}
	cert, err := a.issue(names, now)
	if err != nil {
		return soon, err
	}
	k.current.Store(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2", "http/1.1"}})
	k.Log.Info("the webhook has a new certificate", "names", names, "until", cert.Leaf.NotAfter)
	return k.Every, nil
}

// errBusy says that another replica makes the authority at this moment.
var errBusy = errors.New("another replica makes the webhook's authority")

// shared is the authority in the Secret, made or renewed where that is due.
func (k *Keeper) shared(ctx context.Context, cfg *admissionregistrationv1.ValidatingWebhookConfiguration, now time.Time) (*authority, error) {
	var s corev1.Secret
	err := k.Client.Get(ctx, k.Secret, &s)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("read Secret %s: %w", k.Secret, err)
	}
	before := believed(cfg) // other replicas may be known by it
	why := "there is none"
	if !missing {
		a, err := readAuthority(s.Data)
		switch {
		case err != nil:
			why = err.Error()
		case due(a.cert, now):
			before, why = a.cert, "two thirds of its time are over"
		default:
			return a, nil
		}
	}
	a, err := newAuthority(before, now)
	if err != nil {
		return nil, err
	}
	if s.Data, err = a.data(); err != nil {
		return nil, err
	}
	s.Name, s.Namespace = k.Secret.Name, k.Secret.Namespace
	if missing {
		s.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration", Name: cfg.Name, UID: cfg.UID,
		}}
		err = k.Client.Create(ctx, &s, k.Owner)
	} else {
		err = k.Client.Update(ctx, &s, k.Owner) // of the version that was read, so that one replica does it
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil, errBusy
	}
	if err != nil {
		return nil, fmt.Errorf("write Secret %s: %w", k.Secret, err)
	}
	k.Log.Info("the webhook has a new authority", "secret", k.Secret.String(), "because", why, "until", a.cert.NotAfter)
	return a, nil
}

// believe has the API server believe the authorities in a bundle, and reports whether it
// did not before.
func (k *Keeper) believe(ctx context.Context, cfg *admissionregistrationv1.ValidatingWebhookConfiguration, bundle []byte) (changed bool, err error) {
	before := cfg.DeepCopy()
	for i := range cfg.Webhooks {
		if c := &cfg.Webhooks[i].ClientConfig; !bytes.Equal(c.CABundle, bundle) {
			c.CABundle, changed = bundle, true
		}
	}
	if !changed {
		return false, nil
	}
	if err := k.Client.Patch(ctx, cfg, client.StrategicMergeFrom(before), k.Owner); err != nil { // by the webhooks' names
		return false, fmt.Errorf("patch ValidatingWebhookConfiguration %s: %w", k.Configuration, err)
	}
	return true, nil
}

// believed is the authority of ours that the API server believes; nil for none.
func believed(cfg *admissionregistrationv1.ValidatingWebhookConfiguration) *x509.Certificate {
	for i := range cfg.Webhooks {
		block, _ := pem.Decode(cfg.Webhooks[i].ClientConfig.CABundle)
		if block == nil {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.Subject.CommonName == authorityName {
			return c
		}
	}
	return nil
}

// hosts are what the API server calls the webhook, sorted.
func hosts(cfg *admissionregistrationv1.ValidatingWebhookConfiguration) (names []string) {
	for i := range cfg.Webhooks {
		switch c := cfg.Webhooks[i].ClientConfig; {
		case c.Service != nil:
			names = append(names, c.Service.Name+"."+c.Service.Namespace+".svc")
		case c.URL != nil:
			if u, err := url.Parse(*c.URL); err == nil && u.Hostname() != "" {
				names = append(names, u.Hostname())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// covers tells whether a certificate is for all these names.
func covers(c *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		if ip := net.ParseIP(name); ip != nil {
			name = "[" + name + "]"
		}
		return c.VerifyHostname(name) != nil
	})
}
