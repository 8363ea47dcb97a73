package inside

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// servers asks every server what it is, and says where to look if it does not answer.
func (x *exam) servers(ctx context.Context, set *manifest.Set) []compile.Surveyed {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	x.Say("asking the servers")
	all, err := compile.Survey(ctx, set, x.Asking)
	if err != nil {
		x.Skip("servers", "they cannot be asked: %v", err)
		return nil
	}
	for _, s := range all {
		x.server(s)
	}
	return all
}

func (x *exam) server(s compile.Surveyed) {
	const check = "server"
	if s.Command != nil {
		if why := cannotRun(s.Command); why != "" {
			x.Add(doctor.Finding{
				Level: doctor.Failure, Check: check, Message: s.Name + ": " + why, Place: s.Problem("spec.command", ""),
				Change: "the command: is it installed where the gateway runs, and spelled like this? A gateway as a service has another PATH than a shell",
			})
			return
		}
	}
	if s.Err == nil {
		speaks := ""
		if s.Revision != "" {
			speaks = "speaks " + string(s.Revision) + ", "
		}
		x.OK(check, "%s: %shas %s, %s and %s", s.Name, speaks, doctor.Count(len(s.Tools), "tool"), doctor.Count(s.Prompts, "prompt"), doctor.Count(s.Resources, "resource"))
		return
	}
	failed, isFailure := errors.AsType[*backend.Failure](s.Err)
	if s.Callers && (!isFailure || failed.Reason == backend.ReasonCredential || failed.Reason == backend.ReasonRefused) {
		x.Skip(check, "%s shows itself to callers alone, and nobody calls here: %v", s.Name, s.Err)
		return
	}
	field, change := cause(s.Upstream, s.Err)
	x.Add(doctor.Finding{Level: doctor.Failure, Check: check, Message: s.Name + ": every call fails: " + strings.TrimPrefix(s.Err.Error(), s.Name+": "), Change: change, Place: s.Problem(field, "")})
}

// cannotRun says why a command will not start; "" where it may.
func cannotRun(c *plan.Command) string {
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
			return "its workingDir " + c.Dir + " is not there"
		}
	}
	name := c.Args[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) && c.Dir != "" {
		name = filepath.Join(c.Dir, name)
	}
	if _, err := exec.LookPath(name); err != nil {
		return "the command " + c.Args[0] + " cannot be run: " + errors.Unwrap(err).Error()
	}
	return ""
}

// cause is the field that a server's failure comes from, and what else there is to do.
func cause(up *plan.Upstream, err error) (field, change string) {
	if up.Command != nil {
		return "spec.command", "what the command writes to stderr; start it by hand"
	}
	const at = "spec.remoteUrl"
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		if up.Remote.CABundle != "" {
			return "spec.caBundleRef", "the certificates there have to be those that the server's is signed by"
		}
		return at, "with an authority of your own: spec.caBundleRef, or SSL_CERT_FILE where the gateway runs"
	}
	failed, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		return at, ""
	}
	switch failed.Reason {
	case backend.ReasonRedirect:
		return at, "the address that it redirects to; or spec.redirects.allowedHosts, if that host may have the messages"
	case backend.ReasonCredential:
		return credentialField(up), "the credential, as the server wants it"
	case backend.ReasonUnreachable, backend.ReasonTimeout:
		return at, "the address; and whether the server runs, and can be reached from here"
	case backend.ReasonBadAnswer, backend.ReasonRefused:
		return at, "the address, and its path: is it that of the MCP endpoint? And spec.transport, for one that speaks HTTP+SSE"
	}
	return at, ""
}

// credentialField is where a server's credential comes from.
func credentialField(up *plan.Upstream) string {
	if c := up.Shown.Credential; c != nil {
		if c.Account != nil {
			return "spec.oauth"
		}
		return "spec.externalAuthConfigRef"
	}
	field := up.Shown.SetBy("Authorization")
	for _, h := range up.Shown.Headers { // the credential of some servers has a header of its own
		field = cmp.Or(field, up.Shown.SetBy(h.Name))
	}
	return cmp.Or(field, "spec.remoteUrl")
}

// policies looks for those that permit nothing, and for tools that there are not.
func (x *exam) policies(e *plan.Endpoint, found []compile.Surveyed) {
	const check = "policies"
	set := e.Policy.Set
	if set == nil {
		return
	}
	clean := true
	if set.PermitsNothing() {
		clean = false
		x.Add(doctor.Finding{
			Level: doctor.Failure, Check: check, Place: e.Policy.Problem(policy.Problem{Policy: -1}), Change: "a policy that begins with permit",
			Message: e.Name + ": no policy permits anything, so that nobody may use any of it",
		})
	}
	known, all := toolsOf(e, found)
	if !all {
		x.Skip(check, "not all tools of %s are known, which its policies may name", e.Name)
		return
	}
	for _, m := range set.Tools() {
		if has(known, m.Name, e.Virtual != nil) {
			continue
		}
		clean = false
		p := e.Policy.Problem(m.Problem("%s has no tool %q, so that the policy is about nothing%s", e.Name, m.Name, cmp.Or(manifest.DidYouMean(m.Name, known), "; it has "+some(known))))
		x.Add(doctor.Finding{Level: doctor.Warning, Check: check, Message: p.Message, Place: p})
	}
	if clean {
		x.OK(check, "%s: they permit something, and name no tool that there is not", e.Name)
	}
}

// toolsOf are the names by which policies know the tools of an endpoint; not all where a
// server did not say, or the gateway has some of its own.
func toolsOf(e *plan.Endpoint, found []compile.Surveyed) (names []string, all bool) {
	if v := e.Virtual; v != nil && (len(v.Composites) > 0 || v.Optimizer != nil) {
		return nil, false
	}
	for _, up := range e.Upstreams {
		there := false
		for _, s := range found {
			if s.Name == up.Name && s.Err == nil && !s.Callers {
				names, there = append(names, s.Tools...), true
			}
		}
		if !there {
			return nil, false
		}
	}
	if e.Tools != nil {
		for _, o := range e.Tools.ToolsOverride {
			names = append(names, string(o.Name))
		}
	}
	return names, true
}

// has reports whether a tool has a name; a virtual server may put a prefix before it.
func has(known []string, name string, prefixed bool) bool {
	return slices.ContainsFunc(known, func(k string) bool { return k == name || prefixed && k != "" && strings.HasSuffix(name, k) })
}

// some are the first of many names.
func some(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > 5:
		return strings.Join(names[:5], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
