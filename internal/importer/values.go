package importer

import (
	"regexp"
	"strings"
)

// reference is a value that a file leaves to somebody else: ${NAME}, ${NAME:-default} and ${env:NAME} of most clients,
// {env:NAME} of opencode, $NAME of Gemini, ${input:ID} of VS Code.
var reference = regexp.MustCompile(`^(\$)([A-Z_][A-Z0-9_]*)$|\$\{(env:|input:)?([A-Za-z_][A-Za-z0-9_.-]*)(?::-([^}]*))?\}|\{(env:)([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand puts the environment's values for references. missing names those that are not there, as a person would say it.
func (in *input) expand(text string, own map[string]string, inputs map[string]string) (value string, missing []string) {
	value = reference.ReplaceAllStringFunc(text, func(ref string) string {
		part := reference.FindStringSubmatch(ref)
		if part[3] == "input:" {
			what := part[4]
			if inputs[what] != "" {
				what += " (" + inputs[what] + ")"
			}
			missing = append(missing, "the input "+what)
			return ref
		}
		name := referred(ref)
		if v, ok := own[name]; ok {
			return v
		}
		if v, ok := in.lookup(name); ok {
			return v
		}
		if strings.Contains(ref, ":-") {
			return part[5]
		}
		missing = append(missing, "the variable "+name)
		return ref
	})
	return value, missing
}

// referred is the name in a reference.
func referred(ref string) string {
	part := reference.FindStringSubmatch(ref)
	return part[2] + part[4] + part[7]
}

// secretName finds names of headers and variables that hold a secret.
var secretName = regexp.MustCompile(`(?i)(secret|token|passw|passphrase|credential|cookie|api[-_]?key|apikey|private[-_]?key|access[-_]?key|signing|bearer|^authorization$|^pat$|(^|[-_])(auth|key|pat|pwd|dsn)$)`)

// secretShape finds values that are a secret whatever they are called: the prefixes of well-known issuers, JSON Web
// Tokens, passwords in URLs.
var secretShape = regexp.MustCompile(`(?i)(^|[=:\s])(sk-|sk_|rk_|ghp_|gho_|ghu_|ghs_|github_pat_|glpat-|xox[abeprs]-|xapp-|eyJ[\w-]+\.|AKIA[0-9A-Z]{12}|AIza[\w-]{20}|hf_|npm_|dop_v1_|shpat_|lin_api_|ntn_|secret_|bearer |basic )|://[^/\s:@]*:[^/\s@]+@`)

// harmless are headers that hold no secret.
var harmless = regexp.MustCompile(`(?i)^(accept|accept-language|user-agent|x-(client|api|mcp)-(name|version)|anthropic-version|x-region|x-toolsets?|x-mcp-(toolsets?|readonly|tools))$`)

// isSecret tells a secret from a setting. What could be one is one.
func isSecret(name, value string) bool {
	return secretName.MatchString(name) || secretShape.MatchString(value)
}

// longArgument is a word of a command line that looks random.
var longArgument = regexp.MustCompile(`^[A-Za-z0-9_\-+/=.]{32,}$`)

// secretArgument is the first word of a command that looks like a secret, by its place; -1 for none.
func secretArgument(words []string) int {
	for i, w := range words {
		name, value, joined := strings.Cut(w, "=")
		switch {
		case secretShape.MatchString(w):
			return i
		case joined && strings.HasPrefix(name, "-") && secretName.MatchString(strings.TrimLeft(name, "-")) && value != "" && !strings.HasPrefix(value, "$"):
			return i
		case i > 0 && strings.HasPrefix(words[i-1], "--") && !strings.Contains(words[i-1], "=") && secretName.MatchString(strings.TrimLeft(words[i-1], "-")) && !strings.HasPrefix(w, "-"):
			return i
		case longArgument.MatchString(w) && strings.ContainsAny(w, "0123456789") && !strings.ContainsAny(w, "/.") && !strings.HasPrefix(w, "-"):
			return i
		}
	}
	return -1
}
