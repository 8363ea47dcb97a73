package sigv4_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/sigv4"
)

// TestSign runs the published test suite (aws-sig-v4-test-suite), as far as its
// requests are ones that HTTP clients send.
func TestSign(t *testing.T) {
	t.Parallel()
	const token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
	const (
		vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
		host    = "host;x-amz-date"
	)
	for name, tt := range map[string]struct {
		method, uri, body, token string
		header                   http.Header
		signed, signature        string
	}{
		"get-vanilla":                      {"GET", "/", "", "", nil, host, vanilla},
		"get-vanilla-empty-path":           {"GET", "", "", "", nil, host, vanilla},
		"get-vanilla-query-order-key-case": {"GET", "/?Param2=value2&Param1=value1", "", "", nil, host, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"get-header-value-trim": {
			"GET", "/", "", "",
			http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}},
			"host;my-header1;my-header2;x-amz-date",
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
		},
		"get-relative":          {"GET", "/example/..", "", "", nil, host, vanilla},
		"get-relative-relative": {"GET", "/example1/example2/../..", "", "", nil, host, vanilla},
		"get-slash":             {"GET", "//", "", "", nil, host, vanilla},
		"get-slash-dot-slash":   {"GET", "/./", "", "", nil, host, vanilla},
		"post-vanilla":          {"POST", "/", "", "", nil, host, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"post-header-value-case": {
			"POST", "/", "", "",
			http.Header{"My-Header1": {"VALUE1"}},
			"host;my-header1;x-amz-date",
			"cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
		},
		"post-x-www-form-urlencoded": {
			"POST", "/", "Param1=value1", "",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			"content-type;host;x-amz-date",
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
		},
		"post-sts-header-before": {"POST", "/", "", token, nil, "host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := sigv4.Keys{ID: "AKIDEXAMPLE", Secret: secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Token: secret.New(tt.token)}
			h := sigv4.Sign(keys, sigv4.Scope{Region: "us-east-1", Service: "service"}, &sigv4.Request{
				Method: tt.method, Host: "example.amazonaws.com", URI: tt.uri, Body: []byte(tt.body), Header: tt.header,
			}, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + tt.signed + ", Signature=" + tt.signature
			if got := h.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if h.Get("X-Amz-Date") != "20150830T123600Z" || h.Get("X-Amz-Security-Token") != tt.token {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// What differs must be signed differently, and what is the same not.
func TestSignTellsRequestsApart(t *testing.T) {
	t.Parallel()
	sign := func(uri, body string) string {
		h := sigv4.Sign(sigv4.Keys{ID: "id", Secret: secret.New("s")}, sigv4.Scope{Region: "r", Service: "s"},
			&sigv4.Request{Method: "POST", Host: "h", URI: uri, Body: []byte(body)}, time.Unix(0, 0))
		return h.Get("Authorization")
	}
	seen := map[string]string{}
	for _, uri := range []string{"/a", "/A", "/a/", "/a%20b", "/a%2Fb", "/a/b", "/a?b", "/a?c", "/a?b=c", "/a?b=c&b=d", "/a?b=%2B", "/a?b=%20"} {
		for _, body := range []string{"", "{}"} {
			got := sign(uri, body)
			if before := seen[got]; before != "" {
				t.Errorf("%q and %q have one signature", before, uri+" "+body)
			}
			seen[got] = uri + " " + body
		}
	}
	for a, b := range map[string]string{"/a?b": "/a?b=", "/a?x=1&y=2": "/a?y=2&x=1", "/a?b=+": "/a?b=%2B", "/a?b=%7e": "/a?b=~", "/a//b": "/a/b"} {
		if sign(a, "") != sign(b, "") {
			t.Errorf("%s and %s are one request", a, b)
		}
	}
}
