package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// Path is where the API server asks.
const Path = "/review"

// What a question may take. An object of an API server has at most 1.5 MiB, and a question
// the old one and the new one; strangers in the cluster reach the port too.
const (
	largest  = 4 << 20
	atOnce   = 8
	patience = 4 * time.Second // the API server waits for five
)

// The most that is said in warnings: the API server cuts longer ones.
const (
	mostWarnings   = 10
	longestWarning = 400
)

// handler answers questions of the API server.
type handler struct {
	reviewer *Reviewer
	room     chan struct{}
}

// Handler answers questions of the API server.
func (r *Reviewer) Handler() http.Handler { return &handler{r, make(chan struct{}, atOnce)} }

// ServeHTTP reads a question and answers it. Whatever is not an answer has a status that
// leaves the decision to the failure policy.
func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	case <-ctx.Done():
		http.Error(w, "too many questions at once", http.StatusServiceUnavailable)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience)) // where it can be set
	var review admissionv1.AdmissionReview
	err := json.NewDecoder(http.MaxBytesReader(w, req.Body, largest)).Decode(&review)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, fmt.Sprintf("a question has at most %d bytes", largest), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil || review.Request == nil || review.APIVersion != admissionv1.SchemeGroupVersion.String() {
		http.Error(w, "this is no AdmissionReview of admission.k8s.io/v1", http.StatusBadRequest)
		return
	}
	q := review.Request
	log := h.reviewer.Log.With("operation", string(q.Operation), "kind", q.Kind.Kind, "namespace", q.Namespace, "name", q.Name, "user", q.UserInfo.Username)
	v, err := h.reviewer.review(ctx, q)
	if err != nil {
		log.Error("a change could not be judged", "error", err)
		http.Error(w, "the change could not be judged", http.StatusInternalServerError)
		return
	}
	review.Request, review.Response = nil, &admissionv1.AdmissionResponse{UID: q.UID, Allowed: v.refusal == "", Warnings: short(v.warnings)}
	if v.refusal != "" {
		log.Info("a change is refused", "reason", v.refusal)
		review.Response.Result = &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: v.refusal}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // whoever asked has gone
}

// short are warnings as the API server hands them on.
func short(warnings []string) []string {
	warnings = slices.Compact(warnings)
	more := len(warnings) - mostWarnings
	warnings = slices.Clone(warnings[:min(len(warnings), mostWarnings)])
	for i, text := range warnings {
		if r := []rune(text); len(r) > longestWarning {
			warnings[i] = string(r[:longestWarning-1]) + "…"
		}
	}
	if more > 0 {
		warnings = append(warnings, fmt.Sprintf("and %d more", more))
	}
	return warnings
}

// NewServer is a server of TLS at an address, which a manager starts. Its certificate is
// whatever settings say at the moment of a connection.
func NewServer(address string, settings func() (*tls.Config, error), reviewer *Reviewer) (webhook.Server, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	server := webhook.NewServer(webhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){func(cfg *tls.Config) {
		cfg.MinVersion = tls.VersionTLS12
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return settings() }
		cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoCertificate } // never asked, but wanted
	}}})
	server.Register(Path, reviewer.Handler())
	return server, nil
}

var errNoCertificate = errors.New("the webhook has no certificate yet")
