package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

// How long certificates hold. What is renewed is renewed after two thirds of it.
const (
	authorityLife   = 365 * 24 * time.Hour
	certificateLife = 30 * 24 * time.Hour
	skew            = time.Hour // between clocks
)

// authorityName is by whom certificates are signed.
const authorityName = "sallyport webhook authority"

// The keys of the Secret that replicas share.
const (
	keyCert     = "ca.crt"
	keyKey      = "ca.key"
	keyPrevious = "previous.crt" // the authority before this one, which some replica may still be known by
)

// authority signs the certificates of all replicas.
type authority struct {
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey
	previous *x509.Certificate // nil for none
}

// newAuthority makes one; the one before it stays believed.
func newAuthority(before *x509.Certificate, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: authorityName}, NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	return &authority{cert, key, before}, nil
}

// readAuthority reads what a Secret has. Nothing of it is in an error.
func readAuthority(data map[string][]byte) (*authority, error) {
	pair, err := tls.X509KeyPair(data[keyCert], data[keyKey])
	if err != nil {
		return nil, errors.New("its " + keyCert + " and " + keyKey + " do not go together")
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("its " + keyCert + " is not an authority of this program")
	}
	a := &authority{cert: pair.Leaf, key: key}
	if block, _ := pem.Decode(data[keyPrevious]); block != nil {
		if a.previous, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, errors.New("its " + keyPrevious + " is no certificate")
		}
	}
	return a, nil
}

// data is what the Secret of the authority has.
func (a *authority) data() (map[string][]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("write an authority: %w", err)
	}
	data := map[string][]byte{keyCert: inPEM(a.cert), keyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}
	if a.previous != nil {
		data[keyPrevious] = inPEM(a.previous)
	}
	return data, nil
}

func inPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// bundle is whom the API server is to believe.
func (a *authority) bundle(now time.Time) []byte {
	all := inPEM(a.cert)
	if a.previous != nil && now.Before(a.previous.NotAfter) {
		all = append(all, inPEM(a.previous)...)
	}
	return all
}

// issue makes a certificate for names and addresses.
func (a *authority) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	until := now.Add(certificateLife)
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "sallyport webhook"}, NotBefore: now.Add(-skew), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// due tells whether it is time to renew a certificate.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3))
}
