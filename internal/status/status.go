// Package status is what a gateway tells of itself at /status of its admin listener: which
// configuration it serves, and whether the servers behind it are there. It is the shape
// alone, for the gateway that tells it and for whoever asks: the operator, and the doctor.
// It does not own how a server's state is found out (internal/upstream), nor the listener
// (gateway).
package status

import "time"

// Path is where a gateway tells it, in JSON.
const Path = "/status"

// Status is the whole of it.
type Status struct {
	Config  Config   `json:"config"`
	Servers []Server `json:"servers"` // never null: by that, what answers is known to be a gateway
	// SessionKeys are names of the keys that sessions are sealed with, by which replicas can
	// be compared: the first seals, all open.
	SessionKeys []string `json:"sessionKeys"`
	// Units are the files, where each is a configuration of its own.
	Units []Unit `json:"units,omitempty"`
}

// Unit is one of the files that are served each for itself.
type Unit struct {
	Name string `json:"name"`
	Config
}

// Config is which configuration is served.
type Config struct {
	Hash     string    `json:"hash,omitempty"` // "" where none is
	LoadedAt time.Time `json:"loadedAt,omitzero"`
	Error    string    `json:"error,omitempty"` // why a newer one is not served
}

// Server is an endpoint and what is behind it.
type Server struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Backends []Backend `json:"backends"`
	// TokenExchange is there where tokens are exchanged for a backend.
	TokenExchange *Exchange `json:"tokenExchange,omitempty"`
}

// Backend is one server behind an endpoint.
type Backend struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	LastCheck time.Time `json:"lastCheck,omitzero"`
	Message   string    `json:"message,omitempty"` // why it is not ready
}

// What the Status of a Backend can be.
const (
	Unknown         = "unknown" // nobody has asked it yet
	Ready           = "ready"
	Unauthenticated = "unauthenticated" // it is there, and does not take the credential
	Degraded        = "degraded"        // it answers, and not as it should
	Unavailable     = "unavailable"
)

// Exchange is how the token exchanges of a server go: ready where every token endpoint
// answers, which is not known before one was asked.
type Exchange struct {
	Ready   *bool         `json:"ready,omitempty"`
	Message string        `json:"message,omitempty"`
	Last    *LastExchange `json:"last,omitempty"`
}

// LastExchange is how the last one went.
type LastExchange struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // why it made no token
}

// Add takes in another exchange of the same server: what is not ready, and what is last,
// is what is told.
func (e *Exchange) Add(other *Exchange) {
	if other.Ready != nil && (e.Ready == nil || *e.Ready) {
		e.Ready, e.Message = other.Ready, other.Message
	}
	if other.Last != nil && (e.Last == nil || other.Last.At.After(e.Last.At)) {
		e.Last = other.Last
	}
}
