package authn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// IntrospectionURL is where a preset's endpoint is.
func IntrospectionURL(preset string) string {
	switch preset {
	case "google":
		return "https://oauth2.googleapis.com/tokeninfo"
	case "github":
		return "https://api.github.com"
	}
	return ""
}

// tokenInfo asks Google about an access token: its answer has the names of RFC 7662,
// and is 400 for a token that is no good.
func (i *Introspection) tokenInfo(ctx context.Context, raw string) (token.Claims, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.cfg.URL, strings.NewReader(url.Values{"access_token": {raw}}.Encode()))
	if err != nil {
		return nil, errors.New("introspect: the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := i.answer(req, http.StatusBadRequest)
	if err != nil || answer == nil {
		return token.Claims{}, err
	}
	claims, err := token.ParseClaims(answer.Body)
	if err != nil {
		return nil, errors.New("introspect: the answer is no JSON object that can be trusted")
	}
	claims["active"] = true // it says nothing of tokens that are not
	return claims, nil
}

// application asks GitHub about a token of an OAuth application, as that application.
// The answer repeats the token, and so goes no further as it is.
func (i *Introspection) application(ctx context.Context, raw string) (token.Claims, error) {
	body, err := json.Marshal(map[string]string{"access_token": raw})
	if err != nil {
		return nil, errors.New("introspect: the token is no text")
	}
	at := strings.TrimRight(i.cfg.URL, "/") + "/applications/" + url.PathEscape(i.cfg.ClientID) + "/token"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("introspect: the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/vnd.github+json")
	req.SetBasicAuth(i.cfg.ClientID, i.cfg.ClientSecret.Reveal())
	answer, err := i.answer(req, http.StatusNotFound)
	if err != nil || answer == nil {
		return token.Claims{}, err
	}
	var a struct {
		Scopes  []string `json:"scopes"`
		Expires string   `json:"expires_at"`
		App     struct {
			ClientID string `json:"client_id"`
		} `json:"app"`
		User struct {
			ID    int64  `json:"id"`
			Login string `json:"login"`
			Name  string `json:"name"`
			Email string `json:"email"`
		} `json:"user"`
	}
	if oauth.Lenient(answer.Body, &a) != nil || a.User.ID == 0 {
		return nil, errors.New("introspect: the answer names nobody")
	}
	claims := token.Claims{
		"active": true, "sub": strconv.FormatInt(a.User.ID, 10), "preferred_username": a.User.Login,
		"scope": strings.Join(a.Scopes, " "), "client_id": a.App.ClientID, "aud": a.App.ClientID,
	}
	for name, text := range map[string]string{"name": a.User.Name, "email": a.User.Email} {
		if text != "" {
			claims[name] = text
		}
	}
	if a.Expires != "" {
		end, err := time.Parse(time.RFC3339, a.Expires)
		if err != nil {
			return nil, errors.New("introspect: the answer's expiry is no date")
		}
		claims["exp"] = float64(end.Unix())
	}
	return claims, nil
}

// answer is what an endpoint says of a token; nil where it says by a status that it is
// no good.
func (i *Introspection) answer(req *http.Request, bad int) (*netguard.Answer, error) {
	answer, err := netguard.Fetch(i.cfg.Client, req, introspectMax)
	if status, ok := errors.AsType[*netguard.StatusError](err); ok && status.Status == bad {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	return answer, nil
}
