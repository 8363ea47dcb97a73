package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/recent"
)

// explained is what the policies of the moment say of a call.
type explained struct {
	set     *policy.Set // that said it
	says    policy.Explanation
	permits []policy.Permit
	texts   []policyText
	// arguments tells that policies looked at those, which are not kept.
	arguments bool
}

// explain asks the policies of the moment about a call that policies denied; nil where none
// did, or its server is gone. It is asked once while call and policies stay.
func (c *Console) explain(x *recent.Call, s *Server, now *Now) *explained {
	if x.Asked == nil || x.Caller == nil || s == nil {
		return nil
	}
	set := now.Endpoint(s.Name).Policy
	if set == nil {
		return nil
	}
	c.mu.Lock()
	known := c.why[x]
	c.mu.Unlock()
	if known != nil && known.set == set {
		return known
	}
	p := set.Principal(x.Caller)
	e := &explained{set: set, says: set.Explain(p, x.Asked), permits: set.Permits(p, x.Asked, s.doors > 1), texts: s.policies}
	e.arguments = slices.ContainsFunc(e.says.Missing, func(m string) bool {
		return strings.HasPrefix(m, "context.arg_") || strings.HasPrefix(m, "resource.arg_")
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = map[*recent.Call]*explained{}
	}
	c.why[x] = e
	return e
}

// forget drops what was said of calls that are not remembered any more.
func (c *Console) forget(still []*recent.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.why) <= 2*recent.Kept {
		return
	}
	for x := range c.why {
		if !slices.Contains(still, x) {
			delete(c.why, x)
		}
	}
}

// maxPolicyLines is how much is shown of one policy.
const maxPolicyLines = 12

// source is the text of a policy, from its own line to its end, and where that is.
func (e *explained) source(p *policy.Explained) (text, place string) {
	if p.Policy >= len(e.texts) {
		return "", ""
	}
	t := e.texts[p.Policy]
	lines := strings.Split(t.text, "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return "", t.place
	}
	lines = lines[p.Line-1:]
	for i, line := range lines {
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			lines = lines[:i+1]
			break
		}
	}
	if len(lines) > maxPolicyLines {
		lines = append(slices.Clone(lines[:maxPolicyLines]), "…")
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), t.place
}

// words say what became of a call, and what to do.
type words struct{ what, do string }

// wordsOf puts a reason into words. Those of a door, and of a policy, are sentences
// already.
func wordsOf(x *recent.Call) words {
	if known, ok := reasons[x.Reason]; ok {
		return known
	}
	kind, rest, _ := strings.Cut(x.Reason, ": ")
	switch {
	case x.Asked != nil || strings.HasPrefix(kind, "policy"):
		return words{ofPolicy(rest), ""}
	case strings.HasPrefix(kind, "tool_lock"):
		return words{"The tool is not as it was locked: " + rest + ".", "Look at what has changed; if it is meant, lock the tools again."}
	case kind == "credential":
		return words{"The credential for the backend could not be had: " + rest + ".", "Where a person has to connect an account, the client is told where."}
	case x.Status == 401:
		return words{"The outer door said no: " + x.Reason + ".", "A client that can sign in does so by itself, and comes again."}
	case x.Status == 403 || x.Status == 400 && x.Caller == nil:
		return words{"The outer door said no: " + x.Reason + ".", ""}
	}
	return words{"Ended with: " + cmp.Or(x.Reason, "an error") + ".", ""}
}

func ofPolicy(rest string) string {
	switch rest {
	case "no policy permits":
		return "No policy permits it."
	case "":
		return "Policies do not permit it."
	}
	return "Denied by policy: " + rest + "."
}

// reasons are the words for those of the pipeline and of backends, as the page on errors
// has them.
var reasons = map[string]words{
	"receive":         {"The request itself was refused, before anything of it was read.", "Look at its method, type, size, and the Host and Origin that it names."},
	"parse":           {"The message is not one that everybody reads alike.", "Mend the client."},
	"session":         {"The client's session is unknown here, or somebody else's.", "Clients initialize again by themselves; where it goes on, replicas may have different session keys."},
	"resolve":         {"There is nothing of this name, as this client sees the server.", "It may be hidden, renamed, or gone."},
	"revision":        {"The client speaks a revision that this way does not have.", ""},
	"rate_limit":      {"The caller called more often than rateLimiting allows.", ""},
	"concurrency":     {"As many calls are under way as maxConcurrent allows.", "Wait for them, raise it, or see whether the backend hangs."},
	"limit":           {"The gateway has as many requests open as --max-in-flight allows.", ""},
	"audit":           {"It was not carried out, since it could not be audited.", "The log says what is wrong with the disk or the receiver of audit events."},
	"shutdown":        {"The gateway was about to end.", ""},
	"internal":        {"Something went wrong in the gateway.", "The log has more under the same id."},
	"panic":           {"Something went wrong in the gateway.", "The log has more under the same id; please report it."},
	"unreachable":     {"The backend cannot be reached.", "Check that it runs and that remoteUrl is right."},
	"open_files":      {"The gateway may open no more files.", "Raise its limit of open files."},
	"timeout":         {"The backend did not answer in time.", "See whether it hangs; --call-timeout says how long it has."},
	"refused_address": {"The backend's address is not one that may be reached.", "If it is meant, set allowPrivateEndpoint."},
	"redirect":        {"The backend redirected to where nobody may follow.", "redirects.allowedHosts names hosts that may be."},
	"credential":      {"The backend refused the credential that it was sent.", "Check what is set for it: it may have expired."},
	"bad_answer":      {"The backend's answer is not one of an MCP server.", "Check that remoteUrl leads to its MCP endpoint."},
	"too_large":       {"The backend's answer is larger than allowed.", ""},
	"bad_header":      {"A header for the backend has characters that HTTP does not carry.", ""},
	"crashed":         {"The program ended, or cannot be started.", "The log has what it said last."},
	"busy":            {"All sessions or processes of this server are in use.", ""},
	"bad_request":     {"What the client sent cannot be said to this server.", ""},
	"refused":         {"The backend refused it, and said nothing that a client could read.", ""},
	"backend_error":   {"The backend itself answered with an error, which the client has seen.", ""},
}

// who is a caller in a few words, and what else is known of them.
func who(x *recent.Call) (name, more string) {
	c := x.Caller
	switch {
	case c == nil:
		return "somebody", "at " + x.Client
	case c.Email != "" && c.Email != c.Subject:
		return c.Subject, c.Email
	case c.Name != "" && c.Name != c.Subject:
		return c.Subject, c.Name
	}
	return c.Subject, ""
}

// verdict is the one word for how a call ended.
func verdict(x *recent.Call) (string, tone) {
	if x.Outcome == audit.Denied {
		return "Refused", warn
	}
	return "Failed", bad
}
