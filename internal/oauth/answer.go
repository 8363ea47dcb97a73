package oauth

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
)

// jsonAnswer is an answer's body as JSON: some servers of the time before RFC 6749
// answer a form, whatever the request accepts.
func jsonAnswer(h http.Header, body []byte) []byte {
	if t, _, _ := mime.ParseMediaType(h.Get("Content-Type")); t != "application/x-www-form-urlencoded" && t != "text/plain" {
		return body
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("access_token") && !form.Has("error") {
		return body
	}
	members := make(map[string]string, len(form))
	for name := range form {
		members[name] = form.Get(name)
	}
	text, _ := json.Marshal(members) // strings only
	return text
}
