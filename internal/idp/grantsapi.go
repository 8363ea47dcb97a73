package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// endByAPI ends everything that a person allowed the gateway, in GitHub's way: DELETE
// applications/CLIENT/grant with the client's credentials and the access token.
func (p *OAuth2) endByAPI(ctx context.Context, auth oauth.ClientAuth, t *oauth.Tokens) error {
	at := p.cfg.GrantsAPI + "/" + url.PathEscape(auth.ID) + "/grant"
	if err := p.cfg.Reach.Check("grants API", at); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"access_token": t.Access.Reveal()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at, bytes.NewReader(body))
	if err != nil {
		return errors.New("invalid URL of the grants API")
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(auth.ID, auth.Secret.Reveal())
	answer, err := netguard.Send(p.cfg.Reach.Client, req, 64<<10)
	if err != nil {
		return err
	}
	if answer.Status == http.StatusNoContent || answer.Status == http.StatusNotFound { // gone, one way or the other
		return nil
	}
	return &oauth.Error{Status: answer.Status}
}
