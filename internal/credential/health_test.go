package credential_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/credential"
)

// Whether an exchange can work is known by asking, which shows nobody's token and no
// secret, and by what exchanges come to.
func TestExchangeState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int // 0: the connection breaks
		body    string
		ready   bool
		message string
	}{
		"refused":                {400, `{"error":"invalid_request"}`, true, ""},
		"refused for the client": {401, `{"error":"invalid_client"}`, true, ""},
		"busy":                   {503, `{"error":"temporarily_unavailable"}`, true, ""},
		"something else":         {502, `<html>Bad Gateway</html>`, false, "answers 502"},
		"out of reach":           {0, "", false, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &place{}
			p.answers(c.status, c.body)
			s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "hush")}.Source()
			if s.State().Known {
				t.Error("it is known before anybody has asked")
			}
			s.Probe(t.Context())
			got := s.State()
			if !got.Known || got.Ready != c.ready || !strings.Contains(got.Message, c.message) || !got.Last.IsZero() {
				t.Errorf("got %+v", got)
			}
			for _, a := range p.asked {
				if a.user != "" || a.password != "" || a.form.Has("client_id") || a.form.Has("client_secret") || a.form.Has("subject_token") {
					t.Errorf("it was asked with %+v", a)
				}
			}
		})
	}
}

// An exchange for a caller says as much as asking, and why it made no token.
func TestExchangeNotesHowItWent(t *testing.T) {
	t.Parallel()
	p := &place{}
	s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "hush")}.Source()
	p.answers(400, `{"error":"invalid_target","error_description":"who is that?"}`)
	if _, err := apply(t, s, of("one")); err == nil {
		t.Fatal("it was refused")
	}
	if got := s.State(); !got.Ready || got.Last.IsZero() || !strings.Contains(got.Failed, "invalid_target") {
		t.Errorf("refused: %+v", got)
	}
	p.answers(0, "")
	if _, err := apply(t, s, of("two")); err == nil {
		t.Fatal("it is out of reach")
	}
	if got := s.State(); got.Ready || !strings.Contains(got.Message, "EOF") {
		t.Errorf("out of reach: %+v", got)
	}
	p.answers(200, `{"access_token":"x","token_type":"Bearer","expires_in":60}`)
	if _, err := apply(t, s, of("three")); err != nil {
		t.Fatal(err)
	}
	if got := s.State(); !got.Ready || got.Failed != "" || got.Message != "" {
		t.Errorf("a success: %+v", got)
	}
}
