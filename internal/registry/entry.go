package registry

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Server is an endpoint as a registry tells of it.
type Server struct {
	Name        string // of the resource
	Title       string // for people; "" for none
	Description string // "" for none
	URL         string // that clients use, for Streamable HTTP
}

// Entry is one server of an answer (registry API v0.1, ServerResponse).
type Entry struct {
	Server detail `json:"server"`
	Meta   meta   `json:"_meta"`
}

// detail is server.json (schema 2025-12-11).
type detail struct {
	Schema      string   `json:"$schema"`
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description"`
	Version     string   `json:"version"`
	Remotes     []remote `json:"remotes"`
}

type remote struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// meta is what a registry itself says of an entry. Clients look for it under the name that the official one uses.
type meta struct {
	Official status `json:"io.modelcontextprotocol.registry/official"`
}

type status struct {
	Status      string `json:"status"`
	PublishedAt string `json:"publishedAt"` // RFC 3339
	UpdatedAt   string `json:"updatedAt"`
	IsLatest    bool   `json:"isLatest"`
}

const schemaURL = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"

// maxText is how many characters a title or a description may have.
const maxText = 100

// entry makes an entry, which is what it is since a time.
func (s *Server) entry(since time.Time) Entry {
	description := cut(cmp.Or(s.Description, s.Title, s.Name))
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Title, description, s.URL}, "\x00")))
	at := since.UTC().Format(time.RFC3339)
	return Entry{
		Server: detail{
			Schema: schemaURL, Name: s.name(), Title: cut(s.Title), Description: description,
			// A version never changes what it says, so what an entry says makes its version.
			Version: "1.0.0-x" + hex.EncodeToString(sum[:6]),
			Remotes: []remote{{"streamable-http", s.URL}},
		},
		Meta: meta{status{Status: "active", PublishedAt: at, UpdatedAt: at, IsLatest: true}},
	}
}

// name is the host, its last label first, and the name there: com.example.gw/docs.
func (s *Server) name() string {
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return "local/" + s.Name // an address has no name that could be turned round
	}
	labels := strings.Split(u.Hostname(), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "/" + s.Name
}

func cut(text string) string {
	if utf8.RuneCountInString(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText-1]) + "…"
}
