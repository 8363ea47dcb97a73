package credential_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

const arn = "arn:aws:iam::123456789012:role/"

// stsAnswers answers with keys that are good until then.
func stsAnswers(expires time.Time) string {
	return `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId>
		<SecretAccessKey>hush</SecretAccessKey><SessionToken>session</SessionToken><Expiration>` + expires.UTC().Format("2006-01-02T15:04:05.000Z") +
		`</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
}

func newAWS(p *place, roles credential.Roles) *credential.AWS {
	return credential.NewAWS(credential.AWSConfig{
		STS: &credential.STS{URL: "https://sts.example.com/", Client: &http.Client{Transport: p}, Duration: time.Hour}, Roles: roles, Region: "eu-west-1", Service: "aws-mcp",
	})
}

func TestAWSRoles(t *testing.T) {
	t.Parallel()
	one, two := 1, 2
	roles := credential.Roles{Claim: "groups", Fallback: arn + "all", Mappings: []credential.RoleMapping{
		{Value: "dev", Role: arn + "unranked"},
		{Value: "ops", Role: arn + "second", Priority: &two},
		{Value: "admins", Role: arn + "first", Priority: &one},
		{Value: "admins", Role: arn + "late", Priority: &one},
	}}
	department := credential.Roles{Claim: "org.department", SessionClaim: "email", Mappings: []credential.RoleMapping{{Value: "it", Role: arn + "it"}}}
	caller := &identity.Caller{
		Subject: "x", Groups: []string{"dev", "ops", "admins"},
		Claims: map[string]any{"org": map[string]any{"department": "it"}, "email": "Ada <ada@example.com>" + strings.Repeat("!", 80)},
	}
	for name, tt := range map[string]struct {
		roles         credential.Roles
		caller        *identity.Caller
		role, session string
	}{
		"by priority, then as listed": {roles, caller, "first", "x--"},
		"unranked ones last":          {roles, &identity.Caller{Subject: "al ice", Groups: []string{"ops", "dev"}}, "second", "al-ice"},
		"only unranked":               {roles, &identity.Caller{Subject: "alice", Groups: []string{"dev"}}, "unranked", "alice"},
		"none":                        {roles, &identity.Caller{Subject: "alice"}, "all", "alice"},
		"a nested claim":              {department, caller, "it", ("Ada--ada@example.com-" + strings.Repeat("-", 80))[:64]},
		"none, and no fallback":       {department, &identity.Caller{Subject: "alice"}, "", ""},
	} {
		p := &place{}
		p.answers(200, stsAnswers(time.Now().Add(time.Hour)))
		err := newAWS(p, tt.roles).Apply(t.Context(), &credential.Request{Caller: tt.caller, Token: secret.New("callers")}, http.Header{})
		if (err == nil) != (tt.role != "") {
			t.Errorf("%s: %v", name, err)
		}
		if tt.role != "" && (p.asked[0].form.Get("RoleArn") != arn+tt.role || p.asked[0].form.Get("RoleSessionName") != tt.session) {
			t.Errorf("%s: %v", name, p.asked[0].form)
		}
	}
}

func TestAWSFails(t *testing.T) {
	t.Parallel()
	const subject = "eyJ.canary-0123456789-0123456789.x"
	refusal := func(code string) string {
		return fmt.Sprintf(`<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>about %s</Message></Error></ErrorResponse>`, code, subject)
	}
	for name, tt := range map[string]struct {
		status int
		body   string
		stepUp bool
		kind   credential.Kind
	}{
		"expired":       {400, refusal("ExpiredTokenException"), true, 0},
		"invalid":       {400, refusal("InvalidIdentityToken"), true, 0},
		"denied":        {403, refusal("AccessDenied"), false, credential.Forbidden},
		"wrong request": {400, refusal("ValidationError"), false, credential.Misconfigured},
		"busy":          {400, refusal("Throttling"), false, credential.Unavailable},
		"failing":       {500, "oops " + subject, false, credential.Unavailable},
		"down":          {0, "", false, credential.Unavailable},
		"no XML":        {200, subject, false, credential.Unavailable},
		"no keys":       {200, `<AssumeRoleWithWebIdentityResponse/>`, false, credential.Unavailable},
		"expired keys":  {200, stsAnswers(time.Now().Add(-time.Second)), false, credential.Unavailable},
	} {
		p := &place{}
		p.answers(tt.status, tt.body)
		s := newAWS(p, credential.Roles{Fallback: arn + "all"})
		_, err := s.Signer(t.Context(), of(subject))
		_, isStep := errors.AsType[*credential.StepUp](err)
		f, isFailure := errors.AsType[*credential.Failure](err)
		if isStep != tt.stepUp || isFailure == tt.stepUp || isFailure && f.Kind != tt.kind {
			t.Errorf("%s: %T %v", name, err, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: it quotes the token: %v", name, err)
		}
	}
}
