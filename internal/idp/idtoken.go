package idp

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// skew is how far the provider's clock may be ahead of or behind ours. An ID token is
// used once, at once, and bound to its leg by the nonce: a minute more of life gains
// an attacker nothing, and a clock that is a minute off locks nobody out.
const skew = time.Minute

// verifyID checks an ID token (OpenID Connect Core §3.1.3.7) for the leg with this
// nonce, and returns its claims.
func (p *OIDC) verifyID(ctx context.Context, t *oauth.Tokens, nonce string) (token.Claims, error) {
	if t.ID.Empty() {
		return nil, errors.New("the provider sent no ID token; is openid among the scopes?")
	}
	verifier, err := p.verifier(ctx)
	if err != nil {
		return nil, err
	}
	claims, _, err := verifier.Verify(ctx, t.ID.Reveal(), time.Now())
	if err != nil {
		return nil, fmt.Errorf("check the ID token: %w", err)
	}
	for _, check := range []error{
		checkParty(claims, p.cfg.Client.ID),
		checkNonce(claims, nonce),
		checkAccessHash(claims, t.ID, t.Access),
	} {
		if check != nil {
			return nil, fmt.Errorf("check the ID token: %w", &token.Invalid{Reason: check.Error()})
		}
	}
	return claims, nil
}

// verifier knows the algorithms that the provider says it signs with, as far as they
// are asymmetric.
func (p *OIDC) verifier(ctx context.Context) (*token.Verifier, error) {
	meta, err := p.cfg.Discovery.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	want := token.Expectations{Issuer: meta.Issuer, Audiences: []string{p.cfg.Client.ID}, Leeway: skew}
	for _, alg := range meta.IDTokenAlgorithms {
		if slices.Contains(token.Algorithms, alg) {
			want.Algorithms = append(want.Algorithms, alg)
		}
	}
	if len(meta.IDTokenAlgorithms) > 0 && len(want.Algorithms) == 0 {
		return nil, errors.New("the provider signs ID tokens by no algorithm that is accepted; choose RS256 or ES256 there")
	}
	return token.NewVerifier(p.cfg.Keys, want)
}

// checkParty: with several audiences, or with azp, the token must have been issued to
// this client. One that was issued to another client and names this one among its
// audiences is that other client's to show.
func checkParty(c token.Claims, clientID string) error {
	azp, has := c["azp"]
	if !has && len(c.Texts("aud")) > 1 {
		return errors.New("it has several audiences and no azp")
	}
	if has && azp != clientID {
		return errors.New("its azp is another client")
	}
	return nil
}

// checkNonce binds the token to the leg: a token that was injected with somebody
// else's code, or seen before, has another one.
func checkNonce(c token.Claims, nonce string) error {
	if nonce == "" || subtle.ConstantTimeCompare([]byte(c.Text("nonce")), []byte(nonce)) != 1 {
		return errors.New("its nonce is not that of this sign-in")
	}
	return nil
}

// checkAccessHash checks at_hash where it is there (OpenID Connect Core §3.1.3.6): the
// access token came with this ID token and was not exchanged on the way.
func checkAccessHash(c token.Claims, id, access secret.Value) error {
	if !c.Has("at_hash") {
		return nil
	}
	var sum []byte
	switch alg := algorithm(id.Reveal()); {
	case strings.HasSuffix(alg, "256"):
		s := sha256.Sum256([]byte(access.Reveal()))
		sum = s[:]
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(access.Reveal()))
		sum = s[:]
	default: // 512, and EdDSA with Ed25519
		s := sha512.Sum512([]byte(access.Reveal()))
		sum = s[:]
	}
	if want := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]); c.Text("at_hash") != want {
		return errors.New("its at_hash is not that of the access token")
	}
	return nil
}

// algorithm is the one in the header of a token that was verified.
func algorithm(jwt string) string {
	head, _, _ := strings.Cut(jwt, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Alg string `json:"alg"`
	}
	_ = json.Unmarshal(raw, &h)
	return h.Alg
}
