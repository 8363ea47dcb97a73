package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	registrationPath = "/oauth/register"
	maxRegistration  = 32 << 10
	registerBurst    = 30 // an office behind one address
	registerPeriod   = time.Hour
	guessBurst       = 10
)

// registered is the answer of RFC 7591 §3.2.1 and RFC 7592 §3.
type registered struct {
	ClientID  string `json:"client_id"`
	IssuedAt  int64  `json:"client_id_issued_at"`
	Secret    string `json:"client_secret,omitempty"`
	SecretEnd *int64 `json:"client_secret_expires_at,omitempty"`
	Access    string `json:"registration_access_token"`
	Address   string `json:"registration_client_uri"`
	metadata
}

// ServeRegistration answers POST <issuer>/oauth/register (RFC 7591), and GET, PUT
// and DELETE <issuer>/oauth/register/ID (RFC 7592).
func (r *Registry) ServeRegistration(w http.ResponseWriter, req *http.Request) {
	if r.cfg.Registration.Disabled {
		http.NotFound(w, req)
		return
	}
	_, id, managed := strings.Cut(req.URL.Path[max(0, strings.LastIndex(req.URL.Path, registrationPath)):], registrationPath+"/")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	switch {
	case !managed && req.Method == http.MethodPost:
		r.register(w, req)
	case !managed:
		methodNotAllowed(w, "POST")
	case req.Method == http.MethodGet, req.Method == http.MethodPut, req.Method == http.MethodDelete:
		r.manage(w, req, id)
	default:
		methodNotAllowed(w, "GET, PUT, DELETE")
	}
}

func methodNotAllowed(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	writeError(w, &oauth.Error{Code: oauth.CodeInvalidRequest, Description: "use one of: " + methods, Status: http.StatusMethodNotAllowed})
}

func (r *Registry) register(w http.ResponseWriter, req *http.Request) {
	if wait, ok := r.registers.Take(req.Context(), r.address(req), time.Now()); !ok {
		tooMany(w, wait, "too many registrations from this address")
		return
	}
	claims, refused := readBody(w, req)
	if refused != nil {
		writeError(w, refused)
		return
	}
	m, refused := parseMetadata(claims, r.registrationRules())
	if refused != nil {
		writeError(w, refused)
		return
	}
	free, err := r.makeRoom(req.Context())
	if err == nil && !free {
		writeError(w, unavailable("there are too many registered clients; try again in an hour"))
		return
	}
	rec := &record{ID: rand.Text(), Metadata: *m, Registered: time.Now().Truncate(time.Second)}
	clientSecret, access := rec.newSecret(), newSecret()
	rec.Access = hash(access)
	if err == nil {
		err = r.add(req.Context(), rec)
	}
	if err != nil {
		writeError(w, r.storeFailed(err))
		return
	}
	r.cfg.Log.Info("client registered", "client", rec.ID, "name", m.Name, "method", m.AuthMethod)
	writeJSON(w, http.StatusCreated, r.answer(rec, clientSecret, access))
}

func (r *Registry) add(ctx context.Context, rec *record) error {
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	ok, err := r.cfg.Store.Add(ctx, r.key(registrants, rec.ID), raw, rec.ttl(time.Now()))
	if err == nil && !ok {
		err = errors.New("a random client id was there already")
	}
	return err
}

// registrationRules: a client that names no method gets a secret, as RFC 7591 §2
// has it. Where none are issued the answer says that it is a public one, as §3.2.1
// allows: clients of both kinds know how to be that.
func (r *Registry) registrationRules() rules {
	how := rules{grants: r.cfg.Grants, methods: []string{oauth.AuthBasic, oauth.AuthPost, oauth.AuthNone, oauth.AuthPrivateKeyJWT}}
	if r.cfg.Registration.PublicOnly {
		how.methods, how.noSecrets = how.methods[2:], true
	}
	how.plainLoopback = r.cfg.Documents.AllowPrivate
	return how
}

// newSecret gives the client a secret if its method needs one.
func (rec *record) newSecret() secret.Value {
	if m := rec.Metadata.AuthMethod; m != oauth.AuthBasic && m != oauth.AuthPost {
		rec.Secret = nil
		return secret.Value{}
	}
	s := newSecret()
	rec.Secret = hash(s)
	return s
}

func newSecret() secret.Value { return secret.New(oauth.NewVerifier()) }

func hash(s secret.Value) []byte {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return sum[:]
}

func (r *Registry) answer(rec *record, clientSecret, access secret.Value) *registered {
	a := &registered{
		ClientID: rec.ID, IssuedAt: rec.Registered.Unix(), Secret: clientSecret.Reveal(), Access: access.Reveal(),
		Address: r.registrationURL() + "/" + url.PathEscape(rec.ID), metadata: rec.Metadata,
	}
	if a.Secret != "" {
		a.SecretEnd = new(int64) // 0: it lasts as long as the client does
	}
	return a
}

// manage reads, replaces or removes a client on the word of its registration
// access token.
func (r *Registry) manage(w http.ResponseWriter, req *http.Request, id string) {
	rec, raw, access, refused := r.owned(req, id)
	if refused != nil {
		if refused.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		writeError(w, refused)
		return
	}
	var err error
	switch req.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, r.answer(rec, secret.Value{}, access))
	case http.MethodPut:
		r.replace(w, req, rec, raw, access)
	case http.MethodDelete:
		if err = r.cfg.Store.Delete(req.Context(), r.key(registrants, rec.ID)); err == nil {
			r.cfg.Log.Info("client removed itself", "client", rec.ID)
			w.WriteHeader(http.StatusNoContent)
		}
	}
	if err != nil {
		writeError(w, r.storeFailed(err))
	}
}

// owned finds the client that a request manages. A client that is not there and a
// wrong token answer alike (RFC 7592 §2.1).
func (r *Registry) owned(req *http.Request, id string) (rec *record, raw []byte, access secret.Value, refused *oauth.Error) {
	wrong := &oauth.Error{Code: codeInvalidToken, Description: "the registration access token is not that of this client", Status: http.StatusUnauthorized}
	from := r.address(req)
	if !spare(req.Context(), r.manages, from) {
		return nil, nil, access, &oauth.Error{Code: codeInvalidToken, Description: "too many wrong tokens; try again in a minute", Status: http.StatusTooManyRequests}
	}
	defer func() {
		if refused == wrong {
			r.manages.Take(req.Context(), from, time.Now())
		}
	}()
	headers := req.Header.Values("Authorization")
	if len(headers) != 1 || len(headers[0]) < 8 || !strings.EqualFold(headers[0][:7], "Bearer ") {
		return nil, nil, access, wrong
	}
	access = secret.New(headers[0][7:])
	rec, raw, err := r.load(req.Context(), id)
	switch refusal, _ := errors.AsType[*oauth.Error](err); {
	case refusal != nil && refusal.Status == http.StatusServiceUnavailable:
		return nil, nil, access, refusal
	case err != nil || subtle.ConstantTimeCompare(rec.Access, hash(access)) != 1:
		return nil, nil, access, wrong
	}
	return rec, raw, access, nil
}

// replace takes the place of all metadata (RFC 7592 §2.2): what is left out is
// deleted. A client that now needs a secret gets one.
func (r *Registry) replace(w http.ResponseWriter, req *http.Request, rec *record, raw []byte, access secret.Value) {
	claims, refused := readBody(w, req)
	if refused == nil {
		refused = sameClient(claims, rec)
	}
	var m *metadata
	if refused == nil {
		m, refused = parseMetadata(claims, r.registrationRules())
	}
	if refused != nil {
		writeError(w, refused)
		return
	}
	rec.Metadata = *m
	var issued secret.Value
	if had := len(rec.Secret) > 0; !had || m.AuthMethod != oauth.AuthBasic && m.AuthMethod != oauth.AuthPost {
		issued = rec.newSecret()
	}
	swapped, err := r.swap(req.Context(), raw, rec)
	switch {
	case err != nil:
		writeError(w, r.storeFailed(err))
	case !swapped:
		writeError(w, &oauth.Error{Code: oauth.CodeInvalidRequest, Description: "the client changed meanwhile; read it and try again", Status: http.StatusConflict})
	default:
		writeJSON(w, http.StatusOK, r.answer(rec, issued, access))
	}
}

// sameClient checks what a replacement repeats of its client (RFC 7592 §2.2).
func sameClient(claims token.Claims, rec *record) *oauth.Error {
	if claims.Text("client_id") != rec.ID {
		return refuse(oauth.CodeInvalidRequest, "client_id must be that of the client")
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if claims.Has(name) {
			return refuse(oauth.CodeInvalidRequest, name+" is not for a client to set; leave it out")
		}
	}
	if claims.Has("client_secret") && subtle.ConstantTimeCompare(rec.Secret, hash(secret.New(claims.Text("client_secret")))) != 1 {
		return refuse(oauth.CodeInvalidRequest, "client_secret is not the client's; it cannot be chosen")
	}
	return nil
}

// readBody reads a JSON object of bounded size. The media type is demanded because
// a page of another site can make a browser post anything else.
func readBody(w http.ResponseWriter, req *http.Request) (token.Claims, *oauth.Error) {
	if media, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); media != "application/json" {
		return nil, &oauth.Error{Code: codeInvalidMetadata, Description: "send application/json", Status: http.StatusUnsupportedMediaType}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRegistration))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &oauth.Error{Code: codeInvalidMetadata, Description: "the registration has more than 32 KiB", Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, refuse(oauth.CodeInvalidRequest, "the registration ended too early")
	}
	claims, err := token.ParseClaims(body)
	if err != nil {
		return nil, refuse(codeInvalidMetadata, "the registration is no JSON object with each name once")
	}
	return claims, nil
}

func tooMany(w http.ResponseWriter, wait time.Duration, what string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	writeError(w, &oauth.Error{Code: codeTryLater, Description: what + "; try again later", Status: http.StatusTooManyRequests})
}

func writeError(w http.ResponseWriter, e *oauth.Error) {
	writeJSON(w, e.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked is gone if this fails
}
