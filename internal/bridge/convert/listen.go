package convert

import "github.com/sallyport-dev/sallyport/internal/mcp"

// Wanted is what a client wants to hear of.
type Wanted struct {
	Tools, Prompts, Resources bool
	URIs                      []string
}

// IsSubscribed reports notifications that only those hear who asked for them.
func IsSubscribed(method string) bool {
	switch method {
	case "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated":
		return true
	}
	return false
}

// Raw is what is wanted as the params of a listen and its acknowledgement have it.
func (w Wanted) Raw() []byte {
	var fields []mcp.Field
	for _, f := range []struct {
		name string
		is   bool
	}{{"toolsListChanged", w.Tools}, {"promptsListChanged", w.Prompts}, {"resourcesListChanged", w.Resources}} {
		if f.is {
			fields = append(fields, field(f.name, []byte("true")))
		}
	}
	if len(w.URIs) > 0 {
		fields = append(fields, field("resourceSubscriptions", mcp.QuoteAll(w.URIs)))
	}
	return with(nil, fields...)
}

// Hears reports whether a notification is one of those that are Wanted.
func (w Wanted) Hears(method string, params []byte) bool {
	switch method {
	case "notifications/tools/list_changed":
		return w.Tools
	case "notifications/prompts/list_changed":
		return w.Prompts
	case "notifications/resources/list_changed":
		return w.Resources
	}
	uri := mcp.PathText(params, "uri")
	for _, of := range w.URIs {
		if uri == of || len(uri) > len(of) && uri[:len(of)] == of && (uri[len(of)] == '/' || of[len(of)-1] == '/') { // a part of it
			return true
		}
	}
	return false
}
