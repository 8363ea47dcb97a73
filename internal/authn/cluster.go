package authn

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Cluster is the Kubernetes cluster that the gateway runs in, as a pod sees it.
type Cluster struct {
	Host, Port string // of the API server: KUBERNETES_SERVICE_HOST and _PORT; "" outside a pod
	Folder     string // of the pod's service account: ca.crt and token
}

// PodFolder is where a pod has its service account.
const PodFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// KeysURL is where the API server has the keys of service accounts' tokens,
// whatever the issuer's name is. It is asked by its address, which its certificate
// has too, so that no name server is involved.
func (c Cluster) KeysURL() string {
	host := "kubernetes.default.svc"
	if c.Host != "" {
		host = net.JoinHostPort(c.Host, c.Port)
	}
	return "https://" + host + "/openid/v1/jwks"
}

// is reports whether a URL's host is the API server.
func (c Cluster) is(host string) bool {
	return c.Host != "" && host == net.JoinHostPort(c.Host, c.Port) ||
		slices.Contains([]string{"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, host)
}

// Transport sends requests for the API server with the pod's token, and believes
// its certificate by the pod's authority; others go elsewhere, with neither: a
// manifest must not be able to say where the token goes. Both files are read per
// request, since the token is renewed every hour and keys are seldom asked for.
func (c Cluster) Transport(elsewhere http.RoundTripper, dial func(roots *x509.CertPool) http.RoundTripper) http.RoundTripper {
	return &clusterTransport{cluster: c, elsewhere: elsewhere, dial: dial}
}

type clusterTransport struct {
	cluster   Cluster
	elsewhere http.RoundTripper
	dial      func(roots *x509.CertPool) http.RoundTripper

	mu        sync.Mutex
	authority []byte
	inside    http.RoundTripper // trusts authority
}

// RoundTrip sends a request.
func (t *clusterTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || !t.cluster.is(r.URL.Host) {
		return t.elsewhere.RoundTrip(r)
	}
	authority, err := t.read("ca.crt")
	if err != nil {
		return nil, err
	}
	bearer, err := t.read("token")
	if err != nil {
		return nil, err
	}
	inside, err := t.trusting(authority)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(bearer)))
	return inside.RoundTrip(r)
}

func (t *clusterTransport) read(name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(t.cluster.Folder, name))
	if err != nil {
		return nil, fmt.Errorf("read the pod's service account: %w; outside a pod set useClusterAuth: false", err)
	}
	return text, nil
}

// trusting is the transport that believes an authority; a cluster may renew its own.
func (t *clusterTransport) trusting(authority []byte) (http.RoundTripper, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside != nil && bytes.Equal(authority, t.authority) {
		return t.inside, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(t.cluster.Folder, "ca.crt"))
	}
	t.inside, t.authority = t.dial(roots), authority
	return t.inside, nil
}
