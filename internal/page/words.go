package page

import (
	"net/url"
	"slices"
	"strings"
)

// Scopes says in a person's words what scopes allow. Of scopes that are not of
// OpenID a verb is read out of the name, which is all that is known of them.
func Scopes(scopes []string) []string {
	known := map[string]string{
		"openid":         "know that it is you",
		"profile":        "see your name and groups",
		"email":          "see your e-mail address",
		"offline_access": "stay connected while you are away",
		"address":        "see your postal address",
		"phone":          "see your phone number",
		"groups":         "see your groups",
	}
	var list []string
	for _, scope := range scopes {
		text, ok := known[scope]
		if !ok {
			text = inWords(scope)
		}
		list = append(list, text)
	}
	if list == nil {
		list = []string{"act as you"}
	}
	return list
}

func inWords(scope string) string {
	parts := strings.FieldsFunc(scope, func(c rune) bool { return c == ':' || c == '.' })
	for i, part := range parts {
		if verb := strings.ToLower(part); len(parts) == 2 && slices.Contains([]string{"read", "write", "list", "create", "delete", "manage", "call", "execute", "use"}, verb) {
			return verb + " " + strings.ReplaceAll(parts[1-i], "_", " ") + " (" + scope + ")"
		}
	}
	return "use " + scope
}

// Host is the part of a redirect URI that says where it leads.
func Host(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "the application that opens " + u.Scheme + ": links"
	}
	return u.Host
}

// Local tells whether an answer stays on the person's machine.
func Local(uri string) bool { return !strings.HasPrefix(uri, "https://") }

// Browser is what people call a browser, out of what it says of itself.
func Browser(agent string) string {
	find := func(among ...string) string {
		for _, name := range among {
			word, title, _ := strings.Cut(name, "=")
			if strings.Contains(agent, word) {
				return title
			}
		}
		return ""
	}
	name := find("Firefox=Firefox", "Edg=Edge", "OPR=Opera", "Chrome=Chrome", "Safari=Safari")
	system := find("iPhone=iPhone", "iPad=iPad", "Android=Android", "Windows=Windows", "Mac OS=macOS", "CrOS=ChromeOS", "Linux=Linux")
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name != "" || system != "":
		return name + system
	}
	return "A browser"
}
