package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// The example of RFC 7591 §3.1, without its localized names, which are ignored.
const rfcRegistration = `{
	"redirect_uris": ["https://client.example.org/callback", "https://client.example.org/callback2"],
	"client_name": "My Example Client",
	"client_name#ja-Jpan-JP": "クライアント名",
	"token_endpoint_auth_method": "client_secret_basic",
	"logo_uri": "https://client.example.org/logo.png",
	"jwks_uri": "https://client.example.org/my_public_keys.jwks",
	"example_extension_parameter": "example_value"
}`

func TestRegisterAsInRFC(t *testing.T) {
	t.Parallel()
	r := registry(nil)
	a := call(t, r, "POST", "", "", rfcRegistration)
	if a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("answered %d, %v: %s", a.status, a.header, a.text)
	}
	id, secret := a.get("client_id"), a.get("client_secret")
	want := map[string]any{
		"client_id": id, "client_secret": secret, "client_secret_expires_at": 0.0, "client_id_issued_at": a.fields["client_id_issued_at"],
		"registration_access_token": a.get("registration_access_token"), "registration_client_uri": issuer + "/oauth/register/" + id,
		"redirect_uris": []any{"https://client.example.org/callback", "https://client.example.org/callback2"},
		"client_name":   "My Example Client", "token_endpoint_auth_method": "client_secret_basic", "application_type": "web",
		"jwks_uri":    "https://client.example.org/my_public_keys.jwks",
		"grant_types": []any{"authorization_code"}, "response_types": []any{"code"},
	}
	if diff := cmp.Diff(want, a.fields); diff != "" {
		t.Error(diff)
	}
	if len(id) < 20 || len(secret) < 40 {
		t.Errorf("id %q and secret %q can be guessed", id, secret)
	}
	c, refused := authenticate(t, r, url.Values{}, basic(id, secret))
	if refused != nil || c.ID != id || c.Public() {
		t.Fatalf("authenticated as %+v, %v", c, refused)
	}
	if c.Name != "My Example Client" || c.Host != "" || !c.May("authorization_code") || c.May("client_credentials") {
		t.Errorf("the client is %+v", c)
	}
}

var nullJSON = json.RawMessage("null")

func TestRegistrationRules(t *testing.T) {
	t.Parallel()
	jwks := json.RawMessage(signer(t).JWKS())
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf("https://a.example/%d", i)
	}
	uris := func(list ...string) map[string]any { return map[string]any{"redirect_uris": list} }
	for name, c := range map[string]struct {
		fields map[string]any
		code   string         // of the refusal; "" for 201
		says   string         // in the refusal's description
		want   map[string]any // in the answer
	}{
		"public":          {fields: map[string]any{"token_endpoint_auth_method": "none"}, want: map[string]any{"client_secret": nil}},
		"by key":          {fields: map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}, want: map[string]any{"client_secret": nil}},
		"by key, without": {fields: map[string]any{"token_endpoint_auth_method": "private_key_jwt"}, code: "invalid_client_metadata", says: "needs jwks or jwks_uri"},
		"by key, two": {
			fields: map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks, "jwks_uri": "https://a.example/k"},
			code:   "invalid_client_metadata", says: "exclude each other",
		},
		"private key": {
			fields: map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}}}},
			code:   "invalid_client_metadata", says: "private or symmetric",
		},
		"no keys":           {fields: map[string]any{"jwks": map[string]any{"keys": []any{}}}, code: "invalid_client_metadata", says: "jwks cannot be used"},
		"jwks_uri, http":    {fields: map[string]any{"jwks_uri": "http://a.example/k"}, code: "invalid_client_metadata", says: "is not https"},
		"method unknown":    {fields: map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}, code: "invalid_client_metadata", says: "must be one of"},
		"grants of a phone": {fields: map[string]any{"grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}}, want: map[string]any{"grant_types": []any{"authorization_code", "refresh_token"}}},
		"only for machines": {fields: map[string]any{"grant_types": []string{"client_credentials"}}, code: "invalid_client_metadata", says: "none that this server offers"},
		"implicit":          {fields: map[string]any{"response_types": []string{"token"}}, code: "invalid_client_metadata", says: "response_types must have code"},
		"statement":         {fields: map[string]any{"software_statement": "ey.ey.x"}, code: "unapproved_software_statement", says: "leave software_statement out"},
		"name is a number":  {fields: map[string]any{"client_name": 7}, want: map[string]any{"client_name": nil}},
		"name too long":     {fields: map[string]any{"client_name": strings.Repeat("x", 600)}, want: map[string]any{"client_name": strings.Repeat("x", 128) + "…"}},
		"name that lies":    {fields: map[string]any{"client_name": " Good\u202eelgooG\n\x1b[31m "}, want: map[string]any{"client_name": "Good elgooG  [31m"}},
		"scope":             {fields: map[string]any{"scope": " a  b "}, want: map[string]any{"scope": "a b"}},
		"scope, odd":        {fields: map[string]any{"scope": `a"b c`}, want: map[string]any{"scope": "c"}},
		"scope is a list":   {fields: map[string]any{"scope": []string{"a"}}, want: map[string]any{"scope": nil}},
		"page that runs":    {fields: map[string]any{"client_uri": "javascript:alert(1)"}, want: map[string]any{"client_uri": nil}},
		// FINDING 2.17: what decides nothing costs no registration.
		"logo that runs": {fields: map[string]any{"logo_uri": "data:image/svg+xml,<svg/>"}, want: map[string]any{"logo_uri": nil}},
		"no statement":   {fields: map[string]any{"software_statement": nullJSON}, want: map[string]any{"software_statement": nil}},
		"all of it null": {fields: map[string]any{"client_name": nullJSON, "scope": nullJSON, "grant_types": nullJSON, "contacts": nullJSON, "token_endpoint_auth_method": nullJSON, "application_type": nullJSON}},
		"odd contacts":   {fields: map[string]any{"contacts": "me", "software_id": 3, "tos_uri": []string{"x"}}},
		"no grants":      {fields: map[string]any{"grant_types": []string{}, "response_types": []string{}}, want: map[string]any{"grant_types": []any{"authorization_code"}, "response_types": []any{"code"}}},
		"type unknown":   {fields: map[string]any{"application_type": "robot"}, want: map[string]any{"application_type": "web"}},

		"no URIs":             {fields: map[string]any{"redirect_uris": nil}, code: "invalid_redirect_uri", says: "missing"},
		"URIs are text":       {fields: map[string]any{"redirect_uris": "https://a.example/"}, code: "invalid_client_metadata", says: "list of texts"},
		"URIs of others":      {fields: map[string]any{"redirect_uris": []any{1}}, code: "invalid_client_metadata", says: "list of texts"},
		"too many URIs":       {fields: uris(many...), code: "invalid_client_metadata", says: "21 entries"},
		"an old client":       {fields: uris("http://localhost:3000/cb"), want: map[string]any{"application_type": "native"}},
		"an editor":           {fields: uris("cursor://anysphere.cursor-retrieval/oauth/cb", "http://127.0.0.1:33418/"), want: map[string]any{"application_type": "native"}},
		"web on localhost":    {fields: merged(uris("http://localhost/cb"), map[string]any{"application_type": "web"}), code: "invalid_redirect_uri", says: "register as native"},
		"web, https://[::1]":  {fields: merged(uris("https://[::1]/cb"), map[string]any{"application_type": "web"}), code: "invalid_redirect_uri", says: "register as native"},
		"native on https":     {fields: map[string]any{"application_type": "native"}, want: map[string]any{"application_type": "native"}},
		"plain http":          {fields: uris("http://a.example/cb"), code: "invalid_redirect_uri", says: "is plain http"},
		"http, almost local":  {fields: uris("http://localhost.a.example/cb"), code: "invalid_redirect_uri", says: "is plain http"},
		"http on all":         {fields: uris("http://0.0.0.0/cb"), code: "invalid_redirect_uri", says: "is plain http"},
		"fragment":            {fields: uris("https://a.example/cb#x"), code: "invalid_redirect_uri", says: "fragment"},
		"empty fragment":      {fields: uris("https://a.example/cb#"), code: "invalid_redirect_uri", says: "fragment"},
		"wildcard":            {fields: uris("https://*.a.example/cb"), code: "invalid_redirect_uri", says: "wildcards"},
		"user":                {fields: uris("https://good.example@evil.example/cb"), code: "invalid_redirect_uri", says: "user name"},
		"user of a loopback":  {fields: uris("http://127.0.0.1@evil.example/cb"), code: "invalid_redirect_uri", says: "user name"},
		"backslash":           {fields: uris(`https://good.example\@evil.example/`), code: "invalid_redirect_uri", says: "no URI may have"},
		"white space":         {fields: uris("https://good.example/\t/"), code: "invalid_redirect_uri", says: "no URI may have"},
		"escape in the host":  {fields: uris("https://good.example%2f.evil.example/"), code: "invalid_redirect_uri"},
		"other letters":       {fields: uris("https://gооd.example/"), code: "invalid_redirect_uri", says: "no URI may have"},
		"no host":             {fields: uris("https:///cb"), code: "invalid_redirect_uri", says: "host"},
		"port 0":              {fields: uris("https://a.example:0/"), code: "invalid_redirect_uri", says: "host"},
		"upper case":          {fields: uris("HTTPS://a.example/"), code: "invalid_redirect_uri", says: "lower case"},
		"relative":            {fields: uris("/cb"), code: "invalid_redirect_uri", says: "scheme"},
		"our own parameter":   {fields: uris("https://a.example/cb?code=x"), code: "invalid_redirect_uri", says: "the answer's own"},
		"javascript":          {fields: uris("javascript:alert(1)"), code: "invalid_redirect_uri"},
		"javascript, slashes": {fields: uris("javascript://a/%0aalert(1)"), code: "invalid_redirect_uri", says: "not for redirects"},
		"JavaScript":          {fields: uris("JaVaScript:/x"), code: "invalid_redirect_uri"},
		"data":                {fields: uris("data:text/html,x"), code: "invalid_redirect_uri"},
		"file":                {fields: uris("file:///etc/passwd"), code: "invalid_redirect_uri", says: "not for redirects"},
		"a tool of Windows":   {fields: uris("ms-msdt:/id"), code: "invalid_redirect_uri", says: "not for redirects"},
		"no slash":            {fields: uris("com.example.app:cb"), code: "invalid_redirect_uri", says: "no slash"},
		"too long":            {fields: uris("https://a.example/" + strings.Repeat("x", 2048)), code: "invalid_redirect_uri", says: "more than 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := call(t, registry(nil), "POST", "", "", merged(map[string]any{"redirect_uris": []string{"https://a.example/cb"}}, c.fields))
			if a.get("error") != c.code || !strings.Contains(a.get("error_description"), c.says) || (a.status == http.StatusCreated) != (c.code == "") {
				t.Fatalf("answered %d %s; want the error %q with %q", a.status, a.text, c.code, c.says)
			}
			for field, want := range c.want {
				if diff := cmp.Diff(want, a.fields[field]); diff != "" {
					t.Errorf("%s: %s", field, diff)
				}
			}
		})
	}
}

func TestRegistrationHTTP(t *testing.T) {
	t.Parallel()
	r := registry(nil)
	for name, c := range map[string]struct {
		method, path, media, body string
		status                    int
	}{
		"a form":        {method: "POST", media: "application/x-www-form-urlencoded", body: "redirect_uris=x", status: 415},
		"plain text":    {method: "POST", media: "text/plain", body: `{}`, status: 415},
		"too large":     {method: "POST", media: "application/json", body: `{"x":"` + strings.Repeat("x", 33<<10) + `"}`, status: 413},
		"no JSON":       {method: "POST", media: "application/json", body: `{`, status: 400},
		"a list":        {method: "POST", media: "application/json", body: `[]`, status: 400},
		"a name twice":  {method: "POST", media: "application/json", body: `{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, status: 400},
		"GET":           {method: "GET", media: "application/json", status: 405},
		"POST to one":   {method: "POST", path: "/x", media: "application/json", body: `{}`, status: 405},
		"GET of nobody": {method: "GET", path: "/x", media: "application/json", status: 401},
	} {
		req := httptest.NewRequestWithContext(t.Context(), c.method, issuer+"/oauth/register"+c.path, strings.NewReader(c.body))
		req.Header.Set("Content-Type", c.media)
		rec := httptest.NewRecorder()
		r.ServeRegistration(rec, req)
		if rec.Code != c.status || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: answered %d %s, want %d", name, rec.Code, rec.Body, c.status)
		}
	}
	off := registry(func(c *clients.Config) { c.Registration.Disabled = true })
	rec := httptest.NewRecorder()
	off.ServeRegistration(rec, httptest.NewRequestWithContext(t.Context(), "POST", issuer+"/oauth/register", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("with registration off: %d", rec.Code)
	}
}

func TestPublicOnly(t *testing.T) {
	t.Parallel()
	r := registry(func(c *clients.Config) { c.Registration.PublicOnly = true })
	if a := register(t, r, nil); a.get("token_endpoint_auth_method") != "none" || a.get("client_secret") != "" {
		t.Errorf("a client that names no method: %s", a.text)
	}
	for _, method := range []string{"client_secret_post", "client_secret_basic"} {
		if a := register(t, r, map[string]any{"token_endpoint_auth_method": method}); a.get("token_endpoint_auth_method") != "none" || a.get("client_secret") != "" {
			t.Errorf("a client that wants a secret: %s", a.text)
		}
	}
	a := call(t, r, "POST", "", "", map[string]any{"redirect_uris": []string{"https://a.example/"}, "token_endpoint_auth_method": "tls_client_auth"})
	if a.status != http.StatusBadRequest || a.get("error") != "invalid_client_metadata" {
		t.Errorf("a method that nobody offers: %d %s", a.status, a.text)
	}
	var m oauth.ServerMetadata
	r.Metadata(&m)
	if diff := cmp.Diff([]string{"none", "private_key_jwt"}, []string(m.TokenAuthMethods)); diff != "" {
		t.Error(diff)
	}
}

func TestManage(t *testing.T) {
	t.Parallel()
	r := registry(nil)
	a := register(t, r, map[string]any{"client_name": "Before", "scope": "a"})
	id, access, secret := a.get("client_id"), a.get("registration_access_token"), a.get("client_secret")
	other := register(t, r, nil)

	if got := call(t, r, "GET", "/"+id, access, nil); got.status != 200 || got.get("client_name") != "Before" || got.get("client_id") != id ||
		got.get("registration_access_token") != access || got.get("client_secret") != "" {
		t.Errorf("read: %d %s", got.status, got.text)
	}
	for name, bearer := range map[string]string{"none": "", "wrong": "x", "another client's": other.get("registration_access_token"), "the secret": secret} {
		for _, method := range []string{"GET", "PUT"} {
			if got := call(t, r, method, "/"+id, bearer, map[string]any{}); got.status != 401 || !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("%s with the token %s: %d %s", method, name, got.status, got.text)
			}
		}
	}
	for range 12 { // FINDING S9: nobody's wrong tokens shut out whoever has the right one
		if got := call(t, r, "DELETE", "/"+id, "x", nil); got.status != 401 {
			t.Errorf("remove with a wrong token: %d", got.status)
		}
	}
	if got := call(t, r, "GET", "/"+id, access, nil); got.status != 200 {
		t.Errorf("after wrong tokens of others: %d %s", got.status, got.text)
	}
}

func TestReplaceAndRemove(t *testing.T) {
	t.Parallel()
	r := registry(nil)
	a := register(t, r, map[string]any{"client_name": "Before", "scope": "a"})
	id, access, secret := a.get("client_id"), a.get("registration_access_token"), a.get("client_secret")
	put := func(fields map[string]any) *reply {
		t.Helper()
		return call(t, r, "PUT", "/"+id, access, merged(map[string]any{"client_id": id, "redirect_uris": []string{"https://new.example/cb"}}, fields))
	}
	for name, fields := range map[string]map[string]any{
		"without client_id":          {"client_id": nil},
		"another client_id":          {"client_id": "x"},
		"sets its token":             {"registration_access_token": "x"},
		"sets its address":           {"registration_client_uri": "https://evil.example/"},
		"sets a secret":              {"client_secret": "x"},
		"sets the issue time":        {"client_id_issued_at": 1},
		"sets the secret's end":      {"client_secret_expires_at": 1},
		"a redirect URI that is bad": {"redirect_uris": []string{"http://evil.example/"}},
	} {
		if got := put(fields); got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	if got := put(map[string]any{"client_secret": secret}); got.status != 200 || got.get("client_name") != "" || got.get("scope") != "" || got.get("client_secret") != "" {
		t.Errorf("replace: %d %s", got.status, got.text)
	}
	c, refused := authenticate(t, r, url.Values{}, basic(id, secret))
	if refused != nil {
		t.Fatal(refused)
	}
	if _, err := c.Redirect("https://app.example.com/cb"); err == nil {
		t.Error("a redirect URI that was replaced is still good")
	}
	if got := put(map[string]any{"token_endpoint_auth_method": "none"}); got.status != 200 {
		t.Errorf("to public: %d %s", got.status, got.text)
	}
	if _, refused := authenticate(t, r, url.Values{}, basic(id, secret)); refused == nil {
		t.Error("the secret of what is a public client now is still good")
	}
	got := put(map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	if fresh := got.get("client_secret"); got.status != 200 || fresh == "" || fresh == secret {
		t.Errorf("to a secret again: %d %s", got.status, got.text)
	}
	// REQ A-8: a client can take its registration back.
	if got := call(t, r, "DELETE", "/"+id, access, nil); got.status != 204 || got.text != "" {
		t.Errorf("remove: %d %s", got.status, got.text)
	}
	if _, err := r.Find(t.Context(), id, ""); refusal(t, err) == nil || refusal(t, err).Code != "invalid_client" {
		t.Errorf("found after it was removed: %v", err)
	}
	if got := call(t, r, "GET", "/"+id, access, nil); got.status != 401 {
		t.Errorf("read after it was removed: %d", got.status)
	}
}

// FINDING 2.13, S9: what is wrong and what was registered already is not counted, and
// without a limit in the manifest nothing is, since nothing is stored.
func TestRegistrationLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := registry(func(c *clients.Config) { c.Registration.Limit = 30 })
		from := "203.0.113.9:1"
		ask := func(r *clients.Registry, uri string) *httptest.ResponseRecorder {
			req := httptest.NewRequestWithContext(t.Context(), "POST", issuer+"/oauth/register", strings.NewReader(`{"token_endpoint_auth_method":"none","redirect_uris":["`+uri+`"]}`))
			req.Header.Set("Content-Type", "application/json")
			req.RemoteAddr = from
			rec := httptest.NewRecorder()
			r.ServeRegistration(rec, req)
			return rec
		}
		one := func(i int) string { return fmt.Sprintf("https://a.example/%d", i) }
		for i := range 30 {
			ask(limited, "http://wrong.example/")
			for range 3 {
				if rec := ask(limited, one(i)); rec.Code != 201 {
					t.Fatalf("registration %d: %d %s", i+1, rec.Code, rec.Body)
				}
			}
		}
		rec := ask(limited, one(31))
		if rec.Code != 429 || rec.Header().Get("Retry-After") != "120" || !strings.Contains(rec.Body.String(), "temporarily_unavailable") {
			t.Errorf("one too many: %d, Retry-After %s, %s", rec.Code, rec.Header().Get("Retry-After"), rec.Body)
		}
		if rec := ask(limited, one(0)); rec.Code != 201 {
			t.Errorf("one that is registered: %d", rec.Code)
		}
		from = "203.0.113.10:1"
		if rec := ask(limited, one(32)); rec.Code != 201 {
			t.Errorf("another address: %d", rec.Code)
		}
		from = "203.0.113.9:1"
		time.Sleep(2 * time.Minute)
		if rec := ask(limited, one(33)); rec.Code != 201 {
			t.Errorf("after a pause: %d", rec.Code)
		}
		for i := range 30 {
			from = "[2001:db8::1]:1"
			ask(limited, one(100+i))
		}
		if from = "[2001:db8::2]:1"; ask(limited, one(200)).Code != 429 {
			t.Error("the next address of the same IPv6 network is not limited")
		}
		kept := store.NewMemory()
		free := registry(func(c *clients.Config) { c.Store = kept })
		for i := range 300 {
			if rec := ask(free, one(i)); rec.Code != 201 {
				t.Fatalf("registration %d without a limit: %d %s", i+1, rec.Code, rec.Body)
			}
		}
		if err := kept.Scan(t.Context(), "", func(key string, _ []byte) bool { t.Errorf("stored: %s", key); return false }); err != nil {
			t.Error(err)
		}
	})
}

// large is a client of which an id cannot carry everything, so that it is stored.
func large(i int) map[string]any {
	uris := []string{fmt.Sprintf("https://a.example/%d", i)}
	for j := range 10 {
		uris = append(uris, fmt.Sprintf("https://a.example/%s/%d", strings.Repeat("x", 100), j))
	}
	return map[string]any{"redirect_uris": uris}
}

// A stored registration that is not used goes after a week, a used one stays, and is
// renewed.
func TestRegistrationsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := registry(nil)
		unused, used := register(t, r, large(1)).get("client_id"), register(t, r, large(2)).get("client_id")
		c, err := r.Find(t.Context(), used, "")
		if err != nil {
			t.Fatal(err)
		}
		r.Used(t.Context(), c)
		time.Sleep(8 * 24 * time.Hour)
		if _, err := r.Find(t.Context(), unused, ""); err == nil {
			t.Error("a client that was never used is there after eight days")
		}
		for range 3 {
			time.Sleep(60 * 24 * time.Hour)
			if c, err = r.Find(t.Context(), used, ""); err != nil {
				t.Fatalf("a client in use is gone: %v", err)
			}
			r.Used(t.Context(), c)
		}
		time.Sleep(91 * 24 * time.Hour)
		if _, err := r.Find(t.Context(), used, ""); err == nil {
			t.Error("a client not used for three months is still there")
		}
	})
}

// Whoever fills the room for stored clients shuts out no client that needs none, the
// others for an hour at most, and throws out nobody in use or removed.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := registry(func(c *clients.Config) {
			c.Address = func(*http.Request) string { n++; return fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255) }
		})
		kept := register(t, r, large(-1)).get("client_id")
		c, err := r.Find(t.Context(), kept, "")
		if err != nil {
			t.Fatal(err)
		}
		r.Used(t.Context(), c)
		gone := register(t, r, nil)
		if got := call(t, r, "DELETE", "/"+gone.get("client_id"), gone.get("registration_access_token"), nil); got.status != 204 {
			t.Fatalf("remove: %d", got.status)
		}
		var full *reply
		for i := range 2_001 {
			if full = call(t, r, "POST", "", "", large(i)); full.status != 201 {
				break
			}
		}
		if full.status != 503 || full.get("error") != "temporarily_unavailable" {
			t.Fatalf("when all is full: %d %s", full.status, full.text)
		}
		register(t, r, nil)
		time.Sleep(61 * time.Minute)
		if a := call(t, r, "POST", "", "", large(-2)); a.status != 201 {
			t.Errorf("an hour later: %d %s", a.status, a.text)
		}
		if _, err := r.Find(t.Context(), kept, ""); err != nil {
			t.Errorf("the client in use is gone: %v", err)
		}
		if _, err := r.Find(t.Context(), gone.get("client_id"), ""); err == nil {
			t.Error("a client that removed itself is back")
		}
	})
}

func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	r := registry(nil)
	a := register(t, r, nil)
	id, access := a.get("client_id"), a.get("registration_access_token")
	c, err := r.Find(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	var done, conflicts atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			got := call(t, r, "PUT", "/"+id, access, map[string]any{"client_id": id, "redirect_uris": []string{fmt.Sprintf("https://a.example/%d", i)}})
			switch got.status {
			case 200:
				done.Add(1)
			case 409:
				conflicts.Add(1)
			default:
				t.Errorf("%d %s", got.status, got.text)
			}
			r.Used(t.Context(), c)
		})
	}
	all.Wait()
	if done.Load() == 0 || done.Load()+conflicts.Load() != 8 {
		t.Errorf("%d replaced, %d conflicts", done.Load(), conflicts.Load())
	}
	if got := call(t, r, "GET", "/"+id, access, nil); len(got.fields["redirect_uris"].([]any)) != 1 {
		t.Errorf("after all: %s", got.text)
	}
}

// REQ A-7: no secret is stored or logged as it is.
func TestSecretsStayHere(t *testing.T) {
	t.Parallel()
	var logged testkit.Output
	kept := store.NewMemory()
	r := registry(func(c *clients.Config) { c.Store, c.Log = kept, logTo(&logged) })
	a := register(t, r, nil)
	var canaries testkit.Canaries
	guess := canaries.Value("guess")
	_, _ = authenticate(t, r, url.Values{}, basic(a.get("client_id"), guess))
	_, refused := authenticate(t, r, url.Values{"client_id": {a.get("client_id")}, "client_secret": {guess}}, nil)
	canaries.Check(t, "the refusal", fmt.Sprint(refused))
	got := call(t, r, "GET", "/"+a.get("client_id"), guess, nil)
	canaries.Check(t, "the answer", got.text)
	all := logged.String()
	if err := kept.Scan(t.Context(), "", func(key string, value []byte) bool { all += key + string(value); return true }); err != nil {
		t.Fatal(err)
	}
	canaries.Check(t, "the store or the log", all)
	for _, name := range []string{"client_secret", "registration_access_token"} {
		if strings.Contains(all, a.get(name)) {
			t.Errorf("%s is in the store or the log", name)
		}
	}
}
