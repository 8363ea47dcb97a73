package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// stsFixture answers AssumeRoleWithWebIdentity as AWS documents it.
func stsFixture(w http.ResponseWriter, r *http.Request) {
	role := r.PostFormValue("RoleArn")
	w.Header().Set("Content-Type", "text/xml")
	if role != "arn:aws:iam::123456789012:role/admins" && role != "arn:aws:iam::123456789012:role/all" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>
			<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity with %s</Message></Error></ErrorResponse>`, r.PostFormValue("WebIdentityToken"))
		return
	}
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
		<Credentials><SessionToken>session-of-%s</SessionToken><SecretAccessKey>hush</SecretAccessKey><Expiration>%s</Expiration><AccessKeyId>ASIAKEY</AccessKeyId></Credentials>
		</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, role[strings.LastIndex(role, "/")+1:], time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// checkSignature does what the backend would: sign what arrived, and compare.
func checkSignature(t *testing.T, r testkit.Recorded) {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.ParseRequestURI(r.Target)
	if err != nil {
		t.Fatal(err)
	}
	want := &http.Request{Method: r.Method, Host: r.Host, URL: to, Header: http.Header{}}
	keys := aws.Credentials{AccessKeyID: "ASIAKEY", SecretAccessKey: "hush", SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, want, fmt.Sprintf("%x", sha256.Sum256(r.Body)), "aws-mcp", "eu-west-1", at); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Header.Get("Authorization"), r.Header.Get("Authorization")); diff != "" {
		t.Errorf("%s %s is not signed as it arrived (-want +got):\n%s", r.Method, r.Target, diff)
	}
	if age := time.Since(at); age < -time.Minute || age > time.Minute {
		t.Errorf("it is dated %v ago", age)
	}
}

// Each request is signed as it is sent, after a redirect on the same origin too, with
// keys of the caller's role.
func TestAWS(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	sts := testkit.Record(t, stsFixture)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "/mcp?b=2&a=1")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		sessionBackend("backend-session")(w, r)
	})
	aws := func(name string, lines ...string) string {
		spec := []string{"type: awsSts", "awsSts:", "  region: eu-west-1", "  stsEndpoint: " + sts.URL + "/", "  allowPrivateIPs: true", "  roleMappings:"}
		for _, m := range []string{
			`{claim: ops, roleArn: "arn:aws:iam::123456789012:role/forbidden"}`, `{claim: admins, priority: 1, roleArn: "arn:aws:iam::123456789012:role/admins"}`,
		} {
			spec = append(spec, "    - "+m)
		}
		return object("MCPExternalAuthConfig", name, append(spec, lines...)...)
	}
	g := serve(t, idpObject(idp)+aws("aws", `  fallbackRoleArn: "arn:aws:iam::123456789012:role/all"`)+aws("strict")+
		remote("docs", backend.URL+"/mcp?z=1&a=%20", ofIDP(docsAudience), "externalAuthConfigRef: {name: aws}")+
		remote("moved", backend.URL+"/moved", ofIDP(docsAudience), "externalAuthConfigRef: {name: aws}")+
		remote("strict", backend.URL+"/mcp", ofIDP(docsAudience), "externalAuthConfigRef: {name: strict}"), "--log-level", "debug")
	token := func(groups ...string) string {
		return idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice example", Groups: groups})
	}
	everybody, admin, ops := token("dev"), token("ops", "admins"), token("ops")
	for _, s := range surfaces(g) {
		if strings.Contains(s.name, "alias") {
			continue
		}
		r := s.request(t, bearer(everybody)...)
		if got := r.with(bearer(everybody)...).try(t); got.Status != s.ok {
			t.Errorf("%s: status %d, want %d: %s", s.name, got.Status, s.ok, got.Body)
		}
	}
	call(at(g, "moved"), "tool", "").with(bearer(everybody)...).do(t).wantResult(t, `{"ok":true}`)
	for _, r := range backend.Requests() {
		checkSignature(t, r)
		if got := r.Header.Get("X-Amz-Security-Token"); got != "session-of-all" {
			t.Errorf("keys of %q", got)
		}
	}
	backend.Reset()
	call(at(g, "docs"), "tool", "").with(bearer(admin)...).do(t).wantResult(t, `{"ok":true}`)
	if got := backend.Requests()[0].Header.Get("X-Amz-Security-Token"); got != "session-of-admins" {
		t.Errorf("an admin has keys of %q", got)
	}
	form, err := url.ParseQuery(string(sts.Requests()[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::123456789012:role/all"},
		"RoleSessionName": {"alice-example"}, "WebIdentityToken": {everybody}, "DurationSeconds": {"3600"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("STS was asked with (-want +got):\n%s", diff)
	}
	backend.Reset()
	for who, token := range map[string]string{"AWS says no": ops, "no role": everybody} {
		if got := call(at(g, "strict"), "tool", "").with(bearer(token)...).do(t); got.Status != 403 || len(backend.Requests()) != 0 {
			t.Errorf("%s: status %d, %s; %d requests", who, got.Status, got.Body, len(backend.Requests()))
		}
	}
	if n := len(sts.Requests()); n != 4 {
		t.Errorf("STS was asked %d times, want once per endpoint, caller and role", n)
	}
	for _, secret := range []string{everybody, admin, ops, "session-of-"} {
		if strings.Contains(g.Stderr.String()+g.Metrics(t), secret) {
			t.Error("a credential came out")
		}
	}
}
