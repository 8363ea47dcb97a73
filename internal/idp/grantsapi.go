package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// endByAPI ends everything that a person allowed the gateway, in GitHub's way: DELETE
// applications/CLIENT/grant with the client's credentials and the access token.
func (p *OAuth2) endByAPI(ctx context.Context, auth oauth.ClientAuth, t *oauth.Tokens) error {
	at := p.cfg.GrantsAPI + "/" + url.PathEscape(auth.ID) + "/grant"
	if err := p.cfg.Reach.check("grants API", at); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"access_token": t.Access.Reveal()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at, bytes.NewReader(body))
	if err != nil {
		return errors.New("the grants API is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(auth.ID, auth.Secret.Reveal())
	resp, err := p.cfg.Reach.Client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err // the outer one prints the whole URL
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotFound { // gone, one way or the other
		return nil
	}
	return &oauth.Error{Status: resp.StatusCode}
}
