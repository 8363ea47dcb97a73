package outside

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// Settings of who ends TLS.
const (
	changeCertificate = "the certificate of whoever ends TLS: ssl_certificate in nginx, --tls-cert of the gateway"
	changeChain       = "ssl_certificate in nginx, or --tls-cert of the gateway: name the file with the whole chain (fullchain.pem)"
)

// certificate looks at TLS: whether clients believe the certificate, and for how long.
func (x *exam) certificate(ctx context.Context) bool {
	if x.URL.Scheme == "http" {
		if x.private && x.via == "" {
			x.Skip("certificate", "the URL is http, which is fine on a private address and nowhere else")
			return true
		}
		x.Fail("certificate", "a proxy that ends TLS, or --tls-cert and --tls-key of the gateway", "the URL is http: tokens and messages can be read on the way")
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, x.Patience)
	defer cancel()
	conn, err := x.dial(ctx)
	if err != nil {
		x.badTLS(err)
		return false
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	leaf, now := state.PeerCertificates[0], time.Now()
	// Certificates of a few days are renewed in time, too: then a part of their life is left.
	left, soon := leaf.NotAfter.Sub(now), min(14*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/5)
	until := leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	if left < soon {
		x.Warn("certificate", changeCertificate, "it ends at %s, in %s: is it renewed by itself?", until, roughly(left))
	} else {
		x.OK("certificate", "%s, by %s, good until %s, for %s", tls.VersionName(state.Version), leaf.Issuer.CommonName, until, roughly(left))
	}
	return true
}

// roughly is a time as people say it.
func roughly(d time.Duration) string {
	if days := int(d.Hours() / 24); days > 1 {
		return doctor.Count(days, "day")
	}
	if hours := int(d.Hours()); hours > 0 {
		return doctor.Count(hours, "hour")
	}
	return "less than an hour"
}

// badTLS says why there is no connection.
func (x *exam) badTLS(err error) {
	const check = "certificate"
	host := x.URL.Hostname()
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		x.Fail(check, "the URL, if it is meant to be http; else what listens at its port", "%s does not speak TLS, so it is no gateway that https:// reaches", x.URL.Host)
		return
	}
	bad, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(bad.UnverifiedCertificates) == 0 {
		x.Fail(check, "what listens at "+x.address(), "no TLS with %s: %v", x.URL.Host, err)
		return
	}
	leaf := bad.UnverifiedCertificates[0]
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](bad.Err)
	_, isName := errors.AsType[x509.HostnameError](bad.Err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](bad.Err)
	switch now := time.Now(); {
	case isInvalid && invalid.Reason == x509.Expired && now.After(leaf.NotAfter):
		x.Fail(check, changeCertificate, "it ended at %s: no client connects", leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
	case isInvalid && invalid.Reason == x509.Expired:
		x.Fail(check, "the clocks of both machines; then "+changeCertificate, "it is good from %s only, by this machine's clock", leaf.NotBefore.UTC().Format("2006-01-02 15:04 MST"))
	case isName:
		x.Fail(check, changeCertificate, "it is for %s, not for %s: no client connects", strings.Join(namesOf(leaf), ", "), host)
	case isUnknown && leaf.Issuer.String() == leaf.Subject.String():
		x.Fail(check, "SSL_CERT_FILE where clients run, or a certificate that everybody trusts", "it is signed by itself (%s): clients connect only where they are told to trust it", leaf.Subject.CommonName)
	case isUnknown && len(bad.UnverifiedCertificates) == 1:
		x.Fail(check, changeChain+"; or, with an authority of your own, SSL_CERT_FILE where clients run", "it comes alone, without that of its authority (%s), which nobody knows here: no client connects", leaf.Issuer.CommonName)
	case isUnknown:
		x.Fail(check, "SSL_CERT_FILE where clients run, or a certificate that everybody trusts", "nobody knows its authority here (%s)", leaf.Issuer.CommonName)
	default:
		x.Fail(check, changeCertificate, "it is refused: %v", bad.Err)
	}
}

func namesOf(leaf *x509.Certificate) []string {
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no name at all"}
	}
	return names
}

// plain looks whether what is typed without https leads there, and is not served.
func (x *exam) plain(ctx context.Context) {
	const check = "plain http"
	switch {
	case x.URL.Scheme != "https":
		return
	case x.URL.Port() != "" && x.PlainPort == "80":
		x.Skip(check, "the URL has a port of its own")
		return
	}
	u := &url.URL{Scheme: "http", Host: x.URL.Hostname() + ":" + x.PlainPort, Path: x.URL.Path}
	if strings.Contains(x.URL.Hostname(), ":") {
		u.Host = "[" + x.URL.Hostname() + "]:" + x.PlainPort
	}
	const redirect = "nginx: return 308 https://$host$request_uri; in the server block of port 80"
	a, err := netguard.Send(x.client, newRequest(ctx, u.String(), discover, nil), maxAnswer)
	if err != nil {
		x.OK(check, "nothing is served at port %s", x.PlainPort)
		return
	}
	to, _ := url.Parse(a.Header.Get("Location"))
	d := read(a)
	switch {
	case a.Status >= 300 && a.Status < 400 && to != nil && to.Scheme == "https":
		x.OK(check, "it is redirected to https (%d)", a.Status)
	case d.speaksMCP():
		x.Fail(check, redirect, "the gateway is served without TLS too, at port %s: tokens and messages can be read on the way", x.PlainPort)
	case a.Status >= 300 && a.Status < 400:
		x.Warn(check, redirect, "it is redirected (%d), but not to https", a.Status)
	case a.Status < 300:
		x.Warn(check, redirect, "port %s answers %d without redirecting to https", x.PlainPort, a.Status)
	default:
		x.OK(check, "port %s serves nothing of it (%d)", x.PlainPort, a.Status)
	}
}

// clock compares the clocks by what an answer says.
func (x *exam) clock(asked time.Time, h http.Header) {
	const check, far, near = "clocks", 30 * time.Second, 10 * time.Second
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		x.Skip(check, "the answer has no Date")
		return
	}
	// It was written between question and answer, and has no parts of a second.
	ahead, behind := time.Until(date), asked.Truncate(time.Second).Sub(date)
	off, way := max(ahead, behind).Truncate(time.Second), "ahead of"
	if behind > ahead {
		way = "behind"
	}
	f := doctor.Finding{Check: check, Level: doctor.Failure, Change: "time synchronisation (chrony, systemd-timesyncd) of the machine whose clock is wrong"}
	f.Message = "the clock there is " + off.String() + " " + way + " the one here: tokens are not valid yet, or not any more (clockSkew is 30s)"
	switch {
	case off < near:
		x.OK(check, "the clock there agrees with the one here")
		return
	case off < far:
		f.Level = doctor.Warning
	}
	x.Add(f)
}
