package testkit_test

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	var c testkit.Canaries
	secret, other := c.Value("secret"), c.Value("other")
	if secret == other || c.Value("secret") != secret {
		t.Fatal("a canary must be its own, and stay the same")
	}
	for name, text := range map[string]string{
		"plain":        "x " + secret + " y",
		"lower case":   strings.ToLower(secret),
		"hex":          hex.EncodeToString([]byte("ab" + secret + "cd")),
		"base64":       base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 at 1":  base64.StdEncoding.EncodeToString([]byte("a" + secret + "bcd")),
		"base64 at 2":  base64.URLEncoding.EncodeToString([]byte("ab" + secret + "c")),
		"basic":        base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"base64url at": base64.RawURLEncoding.EncodeToString([]byte(`{"token":"` + secret + `"}`)),
	} {
		if got := c.Find(text); !cmp.Equal(got, []string{"secret"}) {
			t.Errorf("%s: found %v", name, got)
		}
	}
	if got := c.Find("nothing of it"); got != nil {
		t.Errorf("found %v where there is none", got)
	}
}

func TestRecorderKeepsBytes(t *testing.T) {
	t.Parallel()
	r := testkit.Record(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		_, _ = w.Write(body)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/p?q=1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["x-odd-CASE"] = []string{"v"}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if echo, _ := io.ReadAll(resp.Body); string(echo) != "body" {
		t.Errorf("the handler read %q", echo)
	}
	if got := r.Requests(); len(got) != 1 || got[0].Target != "/p?q=1" || got[0].Header.Get("X-Odd-Case") != "v" || string(got[0].Body) != "body" {
		t.Errorf("recorded %+v", got)
	}
	if !strings.Contains(r.Wire(), "\r\nx-odd-CASE: v\r\n") {
		t.Errorf("the wire was changed: %q", r.Wire())
	}
}
