package credential

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// STS is AWS's Security Token Service, as far as AssumeRoleWithWebIdentity goes. That
// action is asked for with a token and without a signature.
type STS struct {
	URL      string
	Client   *http.Client
	Duration time.Duration // of the keys
}

// assumption is who wants to be in which role.
type assumption struct {
	subject       secret.Value
	role, session string
}

const maxSTSAnswer = 64 << 10

// assume asks for the keys of a role, and says how long they may be used.
func (s *STS) assume(ctx context.Context, want assumption) (awsKeys, time.Time, error) {
	began := time.Now()
	answer, err := s.post(ctx, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {want.role}, "RoleSessionName": {want.session},
		"WebIdentityToken": {want.subject.Reveal()}, "DurationSeconds": {strconv.Itoa(int(s.Duration.Seconds()))},
	})
	if err != nil {
		return awsKeys{}, time.Time{}, &Failure{Kind: Unavailable, Public: "AWS cannot be reached; try again soon", Cause: fmt.Errorf("ask STS for a role: %w", err)}
	}
	if answer.Status != http.StatusOK {
		return awsKeys{}, time.Time{}, refusedBySTS(answer, want)
	}
	var a struct {
		ID      string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Secret  string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Token   string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
		Expires time.Time `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	}
	life := time.Duration(0)
	if err = xml.Unmarshal(answer.Body, &a); err == nil {
		life = a.Expires.Sub(began)
	}
	if err != nil || a.ID == "" || a.Secret == "" || a.Token == "" || life <= 0 || unprintable(a.ID+a.Token) {
		return awsKeys{}, time.Time{}, &Failure{Kind: Unavailable, Public: "AWS gave no keys that can be used; try again soon", Cause: errors.New("the answer of STS holds no keys that are good"), answered: true}
	}
	return awsKeys{id: a.ID, secret: secret.New(a.Secret), token: secret.New(a.Token)}, usableUntil(began, life), nil
}

func (s *STS) post(ctx context.Context, form url.Values) (*netguard.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("invalid URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return netguard.Send(s.Client, req, maxSTSAnswer)
}

// refusedBySTS sorts the errors of AssumeRoleWithWebIdentity.
func refusedBySTS(a *netguard.Answer, want assumption) error {
	var e struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if xml.Unmarshal(a.Body, &e) != nil {
		e.Code, e.Message = "", ""
	}
	text := scrub(oauth.Printable(e.Code, 64)+" "+oauth.Printable(e.Message, 300), []secret.Value{want.subject})
	cause := fmt.Errorf("STS answered %d for role %s: %s", a.Status, want.role, strings.TrimSpace(text))
	busy := &Failure{
		Kind: Unavailable, Public: "AWS is busy or failing; try again soon", Cause: cause,
		RetryAfter: oauth.RetryAfter(a.Header, time.Now()), answered: true,
	}
	switch e.Code {
	case "ExpiredTokenException", "InvalidIdentityToken":
		return &StepUp{Reason: cause.Error()}
	case "AccessDenied":
		return &Failure{Kind: Forbidden, Public: "AWS does not let this caller into the role", Cause: cause}
	case "IDPCommunicationError", "Throttling", "ThrottlingException", "ServiceUnavailable":
		return busy
	}
	if a.Status >= http.StatusInternalServerError || a.Status == http.StatusTooManyRequests {
		return busy
	}
	return &Failure{Kind: Misconfigured, Public: "AWS refused the gateway's request; its operator finds the reason in the log", Cause: cause}
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
