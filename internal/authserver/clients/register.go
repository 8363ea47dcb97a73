package clients

import (
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

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	registrationPath = "/oauth/register"
	maxRegistration  = 32 << 10
	registerBurst    = 30 // of those that are stored
	registerPeriod   = time.Hour
	maxRecent        = 4096
	guessBurst       = 10
	missBurst        = 300
	knownFor         = 24 * time.Hour
)

// registered is the answer of RFC 7591 §3.2.1 and RFC 7592 §3.
type registered struct {
	ClientID  string `json:"client_id"`
	IssuedAt  int64  `json:"client_id_issued_at"`
	Secret    string `json:"client_secret,omitempty"`
	SecretEnd *int64 `json:"client_secret_expires_at,omitempty"`
	Access    string `json:"registration_access_token,omitempty"`
	Address   string `json:"registration_client_uri,omitempty"`
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
	m, refused := r.readMetadata(w, req)
	if refused != nil {
		writeError(w, refused)
		return
	}
	rec := &record{Metadata: *m, Registered: time.Now().Truncate(time.Second)}
	clientSecret := rec.newSecret()
	var access secret.Value
	if m.AuthMethod != oauth.AuthNone { // a public client's id is everybody's who registers alike
		access = newSecret()
		rec.Access = hash(access)
	}
	rec.ID = r.carriedID(rec)
	stored := rec.ID == ""
	if stored {
		rec.ID, access = rand.Text(), newSecret()
		rec.Access = hash(access)
	}
	if wait, ok := r.admitted(req, rec.ID, stored); !ok {
		tooMany(w, wait, "too many registrations from this address")
		return
	}
	if stored {
		if _, err := r.swap(req.Context(), nil, rec); err != nil {
			writeError(w, r.notStored(err))
			return
		}
	}
	r.cfg.Log.Info("client registered", "client", oauth.Printable(rec.ID, 200), "name", m.Name, "method", m.AuthMethod)
	if r.told != nil {
		r.told(req, rec.ID)
	}
	writeJSON(w, http.StatusCreated, r.answer(rec, clientSecret, access))
}

// admitted counts a registration, if there is anything to count: by default only what
// is stored, with a limit of the manifest every one, and never the same one again.
func (r *Registry) admitted(req *http.Request, id string, stored bool) (wait time.Duration, ok bool) {
	if r.cfg.Registration.Limit == 0 && !stored {
		return 0, true
	}
	key, now := keep.HashOf(id), time.Now()
	if _, known := r.recent.Get(key, now); known {
		return 0, true
	}
	if wait, ok = r.registers.Take(req.Context(), r.address(req), now); ok {
		r.recent.Put(key, struct{}{}, now.Add(registerPeriod))
	}
	return wait, ok
}

// readMetadata reads what a client wants to be registered as.
func (r *Registry) readMetadata(w http.ResponseWriter, req *http.Request) (*metadata, *oauth.Error) {
	claims, refused := readBody(w, req)
	if refused != nil {
		return nil, refused
	}
	return r.metadataOf(claims)
}

func (r *Registry) metadataOf(claims token.Claims) (*metadata, *oauth.Error) {
	m, refused := parseMetadata(claims, r.registrationRules())
	if refused == nil {
		if host := r.elsewhere(m.RedirectURIs); host != "" {
			refused = refuse(codeInvalidRedirect, "clients that register themselves may not send people to "+oauth.Printable(host, 100)+" here; who runs this service can admit it (registration.redirectHosts)")
		}
	}
	return m, refused
}

// notStored is what is said of a change that was not written.
func (r *Registry) notStored(err error) *oauth.Error {
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return refused
	}
	return r.storeFailed(err)
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
		ClientID: rec.ID, IssuedAt: rec.Registered.Unix(), Secret: clientSecret.Reveal(), Access: access.Reveal(), metadata: rec.Metadata,
	}
	if a.Access != "" {
		a.Address = r.registrationURL() + "/" + url.PathEscape(rec.ID)
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
	if raw == nil && req.Method != http.MethodGet { // now there is something to store
		if wait, ok := r.registers.Take(req.Context(), r.address(req), time.Now()); !ok {
			tooMany(w, wait, "too many changed registrations from this address")
			return
		}
	}
	switch req.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, r.answer(rec, secret.Value{}, access))
	case http.MethodPut:
		r.replace(w, req, rec, raw, access)
	case http.MethodDelete:
		r.remove(w, req, rec, raw)
	}
}

// remove takes a client away; of one whose id carries it, that it is gone is kept.
func (r *Registry) remove(w http.ResponseWriter, req *http.Request, rec *record, raw []byte) {
	var err error
	done := true
	if rec.Carried {
		done, err = r.swap(req.Context(), raw, &record{ID: rec.ID, Registered: rec.Registered, Carried: true, Removed: true})
	} else {
		err = r.cfg.Store.Delete(req.Context(), r.key(registrants, rec.ID))
	}
	if r.changed(w, done, err) {
		r.cfg.Log.Info("client removed itself", "client", oauth.Printable(rec.ID, 200))
		w.WriteHeader(http.StatusNoContent)
	}
}

// changed answers a change that was not made.
func (r *Registry) changed(w http.ResponseWriter, done bool, err error) bool {
	switch {
	case err != nil:
		writeError(w, r.notStored(err))
	case !done:
		writeError(w, &oauth.Error{Code: oauth.CodeInvalidRequest, Description: "the client changed meanwhile; read it and try again", Status: http.StatusConflict})
	}
	return done && err == nil
}

// owned finds the client that a request manages. A client that is not there and a
// wrong token answer alike (RFC 7592 §2.1).
func (r *Registry) owned(req *http.Request, id string) (rec *record, raw []byte, access secret.Value, refused *oauth.Error) {
	wrong := &oauth.Error{Code: codeInvalidToken, Description: "the registration access token is not that of this client", Status: http.StatusUnauthorized}
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
		m, refused = r.metadataOf(claims)
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
	if done, err := r.swap(req.Context(), raw, rec); r.changed(w, done, err) {
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
