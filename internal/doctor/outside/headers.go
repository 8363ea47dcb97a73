package outside

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// authorization looks whether the header reaches the gateway: a token that is none is
// answered otherwise than no token at all.
func (x *exam) authorization(ctx context.Context) {
	const check = "Authorization"
	if x.anonymous() || x.opened.challenge == nil {
		x.Skip(check, "nobody is asked for a token")
		return
	}
	d, err := x.ask(ctx, "Authorization", "Bearer made-up-by-sallyport-doctor")
	switch code := d.challenge["error"]; {
	case err != nil:
		x.Fail(check, "", "a message with a made-up token has no answer: %v", err)
	case d.status == http.StatusUnauthorized && code == "invalid_token":
		x.OK(check, "it reaches the gateway, and a made-up token is refused")
	case d.status == http.StatusUnauthorized && code == "":
		x.Fail(check, "the proxy: nginx passes it on unless proxy_set_header Authorization or proxy_pass_request_headers off says otherwise; CGIPassAuth On in Apache",
			"the proxy drops it: a made-up token is answered as none is, so that nobody gets in with a good one")
	case d.result:
		x.Fail(check, "", "a made-up token lets in")
	case d.status == http.StatusServiceUnavailable:
		x.Fail(check, "the issuer's keys or introspection endpoint, as the gateway reaches them", "the gateway cannot judge tokens: %s", d.says())
	default:
		x.Fail(check, "", "a made-up token is answered %s, and not refused as such", d.says())
	}
}

// token looks whether the token that was given lets in.
func (x *exam) token(ctx context.Context) {
	const check = "token"
	switch {
	case x.Token.Empty():
		return
	case x.anonymous():
		x.Skip(check, "nobody is asked for one")
		return
	case !x.maySendToken():
		x.Skip(check, "the URL is http, and it could be read on the way")
		return
	}
	d, err := x.ask(ctx, x.asCaller()...)
	switch code := d.challenge["error"]; {
	case err != nil:
		x.Fail(check, "", "a message with it has no answer: %v", err)
	case d.status == http.StatusUnauthorized:
		x.Fail(check, "the token: is it for this resource, of a named issuer, and not expired? The gateway's log says which", "it is refused (401 %s %s)", code, oauth.Printable(d.challenge["error_description"], 200))
	case code == "insufficient_scope":
		x.Fail(check, "the scopes that the token is asked for: "+oauth.Printable(d.challenge["scope"], 200), "it lacks a scope (403)")
	case d.rpc && d.status < http.StatusInternalServerError && d.status != http.StatusForbidden:
		x.OK(check, "it lets in")
	default:
		x.Fail(check, "", "with it the answer is %s", d.says())
	}
}

// maySendToken reports whether nobody on the way can read a token.
func (x *exam) maySendToken() bool { return x.URL.Scheme == "https" || x.private && x.via == "" }

// asCaller are the headers of who is let in, if the token lets in.
func (x *exam) asCaller() []string {
	if x.Token.Empty() || !x.maySendToken() {
		return nil
	}
	return []string{"Authorization", "Bearer " + x.Token.Reveal()}
}

// forged looks whether anybody can say who they are, in the headers of a proxy that
// authenticates. Who is let in anyway shows nothing by that; but two of one header are
// refused where it is believed at all.
func (x *exam) forged(ctx context.Context) {
	const check = "forged header"
	times := 1
	if x.anonymous() {
		times = 2
	}
	got := func(names []string) (door, error) {
		var headers []string
		for _, name := range names {
			for range times {
				headers = append(headers, name, "sallyport-doctor")
			}
		}
		return x.ask(ctx, headers...)
	}
	believed := func(d *door) bool { return d.status != x.opened.status && d.rpc }
	names := x.Known.IdentityHeaders
	d, err := got(names)
	switch {
	case err != nil:
		x.Skip(check, "a message with it has no answer: %v", err)
		return
	case !believed(&d):
		tried := strings.Join(names, ", ")
		if len(names) > 3 {
			tried = fmt.Sprintf("%s and %d more", names[0], len(names)-1)
		}
		x.OK(check, "who calls is nobody's own to say (%s)", tried)
		return
	}
	if at := slices.IndexFunc(names, func(name string) bool { d, err := got([]string{name}); return err == nil && believed(&d) }); at >= 0 {
		names = names[at : at+1]
	}
	f := doctor.Finding{
		Level: doctor.Failure, Check: check, Place: x.Known.Identity,
		Change:  "the proxy: it has to set " + names[0] + " on every request, also to nothing (proxy_set_header " + names[0] + " $user; in nginx)",
		Message: "anybody can say who they are: " + names[0] + " of a client reaches the gateway by the proxy, and is believed",
	}
	if times == 1 && d.status == http.StatusBadRequest {
		f.Level = doctor.Warning
		f.Message = names[0] + " of a client reaches the gateway beside the proxy's own, so that it refuses both (400): whoever sends one is locked out"
	}
	x.Add(f)
}
