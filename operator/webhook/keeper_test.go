package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

var at = types.NamespacedName{Namespace: "gateway", Name: "webhook"}

// store has a ValidatingWebhookConfiguration, whose second webhook is at a URL.
func store() client.Client {
	url := "https://10.0.0.1:9443/review"
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(&admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "sallyport", UID: "cfg"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			{Name: "resources.sallyport.dev", ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "gateway", Name: "hook"}}},
			{Name: "deletion.sallyport.dev", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url}},
		},
	}).Build()
}

func keeper(c client.Client) *Keeper {
	return &Keeper{Client: c, Secret: at, Configuration: "sallyport", Every: time.Millisecond, Owner: "sallyport", Log: slog.New(slog.DiscardHandler)}
}

func (k *Keeper) mustLook(t *testing.T) {
	t.Helper()
	if _, err := k.look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// believes tells whether the API server takes what a replica shows, by each name.
func believes(t *testing.T, c client.Client, k *Keeper, now time.Time) bool {
	t.Helper()
	var cfg admissionregistrationv1.ValidatingWebhookConfiguration
	if err := c.Get(t.Context(), client.ObjectKey{Name: "sallyport"}, &cfg); err != nil {
		t.Fatal(err)
	}
	shown, err := k.TLS()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"hook.gateway.svc", "10.0.0.1"} {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(cfg.Webhooks[i].ClientConfig.CABundle)
		if _, err := shown.Certificates[0].Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now}); err != nil {
			return false
		}
	}
	return true
}

func secretNow(t *testing.T, c client.Client) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	if err := c.Get(t.Context(), at, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func leaf(t *testing.T, k *Keeper) *big.Int {
	t.Helper()
	cfg, err := k.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Certificates[0].Leaf.SerialNumber
}

// Replicas share an authority, each has a certificate of it, and nothing is written again.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	c := store()
	first, second := keeper(c), keeper(c)
	if _, err := first.TLS(); err == nil {
		t.Error("there is a certificate before there is an authority")
	}
	first.mustLook(t)
	made := secretNow(t, c)
	second.mustLook(t)
	for range 3 {
		first.mustLook(t)
		second.mustLook(t)
	}
	if now := secretNow(t, c); now.ResourceVersion != made.ResourceVersion {
		t.Error("the Secret is written again")
	}
	if !believes(t, c, first, time.Now()) || !believes(t, c, second, time.Now()) || leaf(t, first).Cmp(leaf(t, second)) == 0 {
		t.Error("replicas do not have certificates of their own that are believed")
	}
	if len(made.OwnerReferences) != 1 || made.OwnerReferences[0].UID != "cfg" {
		t.Errorf("it does not go with the configuration: %v", made.OwnerReferences)
	}
}

// An authority is renewed before it ends, and through all of that no replica is ever one
// that the API server does not believe.
func TestYears(t *testing.T) {
	t.Parallel()
	c, now := store(), time.Now()
	first, second := keeper(c), keeper(c)
	for _, k := range []*Keeper{first, second} {
		k.now = func() time.Time { return now }
		k.mustLook(t)
	}
	authorities, certificates := map[string]bool{}, map[string]bool{}
	for day := 0; day < 3*365; day += 5 {
		for _, k := range []*Keeper{first, second} {
			now = now.Add(60 * time.Hour)
			k.mustLook(t)
			if !believes(t, c, first, now) || !believes(t, c, second, now) {
				t.Fatalf("a replica is not believed on day %d", day)
			}
			certificates[leaf(t, k).String()] = true
		}
		authorities[string(secretNow(t, c).Data[keyCert])] = true
	}
	if len(authorities) < 4 || len(authorities) > 5 || len(certificates) < 100 || len(certificates) > 150 {
		t.Errorf("%d authorities and %d certificates in three years", len(authorities), len(certificates))
	}
}

// Where the Secret is deleted or spoilt there is a new authority, and the one before it is
// believed until all have followed.
func TestLostSecret(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c client.Client, s *corev1.Secret) error{
		"deleted": func(c client.Client, s *corev1.Secret) error { return c.Delete(t.Context(), s) },
		"spoilt": func(c client.Client, s *corev1.Secret) error {
			s.Data = map[string][]byte{keyCert: []byte("nonsense")}
			return c.Update(t.Context(), s)
		},
	} {
		c := store()
		first, second := keeper(c), keeper(c)
		first.mustLook(t)
		second.mustLook(t)
		before := [2]*big.Int{leaf(t, first), leaf(t, second)}
		if err := change(c, secretNow(t, c)); err != nil {
			t.Fatal(err)
		}
		keeper(c).mustLook(t) // one that has just begun
		for leaf(t, first).Cmp(before[0]) == 0 || leaf(t, second).Cmp(before[1]) == 0 {
			if !believes(t, c, first, time.Now()) || !believes(t, c, second, time.Now()) {
				t.Fatalf("%s: a replica is not believed while the authority changes", name)
			}
			first.mustLook(t)
			second.mustLook(t)
		}
		if !believes(t, c, first, time.Now()) || !believes(t, c, second, time.Now()) {
			t.Errorf("%s: a replica that has followed is not believed", name)
		}
	}
}

// The certificate is for whom the API server calls, and follows that.
func TestNames(t *testing.T) {
	t.Parallel()
	c := store()
	k := keeper(c)
	k.mustLook(t)
	before := leaf(t, k)
	cfg := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "sallyport"}, cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Webhooks[0].ClientConfig.Service.Name = "other"
	if err := c.Update(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for leaf(t, k).Cmp(before) == 0 {
		k.mustLook(t)
	}
	shown, err := k.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if err := shown.Certificates[0].Leaf.VerifyHostname("other.gateway.svc"); err != nil {
		t.Error(err)
	}
}

// A certificate is of its authority's time, and nothing of a key is in an error.
func TestAuthority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, err := newAuthority(nil, now.Add(-authorityLife+time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.issue([]string{"hook.gateway.svc"}, now)
	if err != nil || cert.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("%v, until %v, and the authority until %v", err, cert.Leaf.NotAfter, a.cert.NotAfter)
	}
	data, err := a.data()
	if err != nil {
		t.Fatal(err)
	}
	again, err := readAuthority(data)
	if err != nil || !again.cert.Equal(a.cert) || !again.key.Equal(a.key) {
		t.Errorf("it is read as another: %v", err)
	}
	block, _ := pem.Decode(data[keyKey])
	data[keyCert], data[keyKey] = []byte("x"), bytes.ToUpper(data[keyKey])
	if _, err := readAuthority(data); err == nil || bytes.Contains([]byte(err.Error()), block.Bytes[:8]) {
		t.Errorf("%v", err)
	}
}

// The API server is answered over TLS, by a certificate that it believes, as soon as there is one.
func TestServer(t *testing.T) {
	t.Parallel()
	c, address := store(), testkit.FreeAddress(t)
	k := keeper(c)
	reviewer := &Reviewer{Judge: Judge{New: func(string) client.Object { return nil }}, Log: slog.New(slog.DiscardHandler)}
	server, err := NewServer(address, k.TLS, reviewer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- server.Start(ctx) }()
	go func() { ended <- k.Start(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := testkit.Receive(t, "the end", ended); err != nil {
				t.Error(err)
			}
		}
	}()
	ask := func() (string, error) {
		var cfg admissionregistrationv1.ValidatingWebhookConfiguration
		if err := c.Get(ctx, client.ObjectKey{Name: "sallyport"}, &cfg); err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(cfg.Webhooks[0].ClientConfig.CABundle)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "hook.gateway.svc", MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"DELETE","kind":{"group":"sallyport.dev","kind":"MCPGroup"}}}`
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+Path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.Proto + " " + string(text), err
	}
	var answer string
	testkit.Eventually(t, "an answer", func() bool {
		answer, err = ask()
		return err == nil
	})
	if !strings.HasPrefix(answer, "HTTP/2.0 ") || !strings.Contains(answer, `"response":{"uid":"u","allowed":true}`) {
		t.Errorf("%s", answer)
	}
}
