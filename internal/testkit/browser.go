package testkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Browser is a person's browser without scripts: it keeps cookies, follows redirects,
// and fills in the forms of the gateway's own pages.
type Browser struct {
	Press string // the value of the button that is pressed on forms, or several, by spaces; "" for allow
	Forms int    // how many forms were sent

	client *http.Client
	last   *url.URL // where it is
}

// NewBrowser opens one that knows nobody.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	return NewBrowserVia(t, nil)
}

// NewBrowserVia opens one that trusts the certificates of a pool; nil for those of everybody.
func NewBrowserVia(t testing.TB, roots *x509.CertPool) *Browser {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return NewBrowserOver(t, transport)
}

// NewBrowserOver opens one that sends its requests by a transport, which is the test's to close.
func NewBrowserOver(t testing.TB, transport http.RoundTripper) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{client: &http.Client{
		Transport: transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Page is where a browser ended up.
type Page struct {
	URL    *url.URL
	Status int // 0 when the address is the client's own, and was not opened
	Header http.Header
	Body   string
}

var (
	pageForm   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	pageHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	pageButton = regexp.MustCompile(`<button type="submit" name="([^"]*)" value="([^"]*)"`)
)

// SignIn opens an address, presses the button of each form that comes, and stops
// where the client would be called back, or at a page without a form.
func (b *Browser) SignIn(ctx context.Context, address, redirect string) (*Page, error) {
	method, form := http.MethodGet, url.Values(nil)
	for range 40 {
		page, next, err := b.step(ctx, method, address, form, redirect)
		if err != nil || page.Status == 0 {
			return page, err
		}
		if next != "" {
			method, address, form = http.MethodGet, next, nil
			continue
		}
		m := pageForm.FindStringSubmatch(page.Body)
		if m == nil || page.Status != http.StatusOK {
			return page, nil
		}
		method, address = http.MethodPost, html.UnescapeString(m[1])
		if form = b.fill(m[2]); form == nil {
			return page, nil
		}
		b.Forms++
	}
	return nil, errors.New("the browser goes around in circles")
}

// fill is what the form sends when the button is pressed; nil without that button.
func (b *Browser) fill(body string) url.Values {
	form := url.Values{}
	for _, h := range pageHidden.FindAllStringSubmatch(body, -1) {
		form.Set(html.UnescapeString(h[1]), html.UnescapeString(h[2]))
	}
	press := b.Press
	if press == "" {
		press = "allow"
	}
	for _, button := range pageButton.FindAllStringSubmatch(body, -1) {
		if slices.Contains(strings.Fields(press), button[2]) {
			form.Set(button[1], button[2])
			return form
		}
	}
	return nil
}

// step makes one request, and says where it leads.
func (b *Browser) step(ctx context.Context, method, address string, form url.Values, redirect string) (page *Page, next string, err error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	if redirect != "" && strings.HasPrefix(address, redirect) {
		return &Page{URL: at}, "", nil
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.last.Scheme+"://"+b.last.Host)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	b.last = at
	page = &Page{URL: at, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if to := resp.Header.Get("Location"); to != "" {
		there, err := at.Parse(to)
		if err != nil {
			return nil, "", fmt.Errorf("follow a redirect: %w", err)
		}
		return page, there.String(), nil
	}
	return page, "", nil
}
