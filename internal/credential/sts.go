package credential

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/sigv4"
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
func (s *STS) assume(ctx context.Context, want assumption) (sigv4.Keys, time.Time, error) {
	began := time.Now()
	status, body, err := s.post(ctx, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {want.role}, "RoleSessionName": {want.session},
		"WebIdentityToken": {want.subject.Reveal()}, "DurationSeconds": {strconv.Itoa(int(s.Duration.Seconds()))},
	})
	if err != nil {
		return sigv4.Keys{}, time.Time{}, &Failure{Kind: Unavailable, Public: "AWS cannot be reached; try again soon", Cause: fmt.Errorf("ask STS for a role: %w", err)}
	}
	if status != http.StatusOK {
		return sigv4.Keys{}, time.Time{}, refusedBySTS(status, body, want)
	}
	var a struct {
		ID      string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Secret  string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Token   string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
		Expires time.Time `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	}
	life := time.Duration(0)
	if err = xml.Unmarshal(body, &a); err == nil {
		life = a.Expires.Sub(began)
	}
	if err != nil || a.ID == "" || a.Secret == "" || a.Token == "" || life <= 0 || unprintable(a.ID+a.Token) {
		return sigv4.Keys{}, time.Time{}, &Failure{Kind: Unavailable, Public: "AWS gave no keys that can be used; try again soon", Cause: errors.New("the answer of STS holds no keys that are good")}
	}
	return sigv4.Keys{ID: a.ID, Secret: secret.New(a.Secret), Token: secret.New(a.Token)}, usableUntil(began, life), nil
}

func (s *STS) post(ctx context.Context, form url.Values) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, errors.New("its address is no URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.Client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return 0, nil, outer.Err // the outer one prints the URL
	}
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxSTSAnswer))
	return resp.StatusCode, body, err
}

// refusedBySTS sorts the errors of AssumeRoleWithWebIdentity.
func refusedBySTS(status int, body []byte, want assumption) error {
	var e struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if xml.Unmarshal(body, &e) != nil {
		e.Code, e.Message = "", ""
	}
	text := scrub(oauth.Printable(e.Code, 64)+" "+oauth.Printable(e.Message, 300), []secret.Value{want.subject})
	cause := fmt.Errorf("STS answered %d for role %s: %s", status, want.role, strings.TrimSpace(text))
	switch e.Code {
	case "ExpiredTokenException", "InvalidIdentityToken":
		return &StepUp{Reason: cause.Error()}
	case "AccessDenied":
		return &Failure{Kind: Forbidden, Public: "AWS does not let this caller into the role", Cause: cause}
	case "IDPCommunicationError", "Throttling", "ThrottlingException", "ServiceUnavailable":
		return &Failure{Kind: Unavailable, Public: "AWS is busy or failing; try again soon", Cause: cause}
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return &Failure{Kind: Unavailable, Public: "AWS is busy or failing; try again soon", Cause: cause}
	}
	return &Failure{Kind: Misconfigured, Public: "AWS refused the gateway's request; its operator finds the reason in the log", Cause: cause}
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
