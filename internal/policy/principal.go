package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Principal is a caller as the policies of one Set see it: made once, and used for
// all that the caller asks for. It is safe for use by several at a time, and good
// for another Set too, which makes its own of it.
type Principal struct {
	set    *Set
	caller *identity.Caller

	entity cedar.Entity
	above  []cedar.EntityUID // all that it is in
	keys   []uint32          // where its rules are in the index
	claims cedar.RecordMap   // of the context

	around *cache[where, *surroundings]
}

// where a caller is: what of the context depends on the endpoint.
type where struct{ server, backend string }

const placesKept = 16 // of one caller

// Principal returns the principal that a caller is. It is quick for a caller seen
// before: for the same value, and for an equal one without claims, which are made
// anew for each request where there is no token.
func (s *Set) Principal(c *identity.Caller) *Principal {
	if p, ok := s.principals.get(c); ok {
		return p
	}
	if c.Claims != nil || c.Source == identity.SourceAnonymous {
		p := s.newPrincipal(c)
		s.principals.put(c, p)
		return p
	}
	key := plainKey(c)
	p, ok := s.plain.get(key)
	if !ok {
		p = s.newPrincipal(c)
		s.plain.put(key, p)
	}
	return p
}

// plainKey is all that policies can see of a caller without claims.
func plainKey(c *identity.Caller) string {
	b := make([]byte, 0, 128)
	for _, part := range []string{c.Subject, c.Source, c.Issuer, c.Email, c.Name} {
		b = strconv.AppendQuote(b, part)
	}
	for _, list := range [][]string{c.Groups, c.Roles} {
		b = append(b, ';')
		for _, part := range list {
			b = strconv.AppendQuote(b, part)
		}
	}
	return string(b)
}

func (s *Set) newPrincipal(c *identity.Caller) *Principal {
	uid := cedar.NewEntityUID(schema.Principal, cedar.String(c.Subject))
	static := s.static[uid]
	p := &Principal{set: s, caller: c, claims: s.claims(c), around: newCache[where, *surroundings](placesKept)}
	parents := static.Parents.Slice()
	for _, g := range s.groups(c) {
		parents = append(parents, cedar.NewEntityUID(s.groupType, cedar.String(g)))
	}
	attributes := static.Attributes.Map()
	if attributes == nil {
		attributes = cedar.RecordMap{}
	}
	for name, v := range p.claims {
		attributes[name] = v
	}
	attributes[schema.SourceAttribute] = cedar.String(c.Source)
	p.entity = cedar.Entity{
		UID: uid, Parents: cedar.NewEntityUIDSet(parents...),
		Attributes: cedar.NewRecord(attributes), Tags: static.Tags,
	}
	p.above = slices.DeleteFunc(ancestors(s.static, p.entity.Parents), func(e cedar.EntityUID) bool { return e == uid })
	p.keys = s.index.principals.known([]uint32{anyEntity}, uid)
	p.keys = s.index.principals.known(p.keys, p.above...)
	return p
}

// groups are the caller's groups and roles.
func (s *Set) groups(c *identity.Caller) []string {
	groups, roles := c.Groups, c.Roles
	if s.groupClaim != "" {
		if v := claimAt(c.Claims, s.groupClaim); v != nil {
			groups = texts(v)
		}
	}
	if s.roleClaim != "" {
		roles = slices.Concat(roles, texts(claimAt(c.Claims, s.roleClaim)))
	}
	return slices.Concat(groups, roles)
}

// texts are the texts of a claim that is text or a list.
func texts(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			if t, ok := e.(string); ok {
				all = append(all, t)
			}
		}
	}
	return all
}

// claims are those that policies read. What is known of a caller whose proof has no
// such claim, or is no token at all, is there under the usual names.
func (s *Set) claims(c *identity.Caller) cedar.RecordMap {
	record := cedar.RecordMap{}
	add := func(claim string, v any) {
		name := cedar.String(schema.ClaimPrefix + claim)
		if s.reads.has(name) {
			if v := value(v, 0, s.decimals[name]); v != nil {
				record[name] = v
			}
		}
		if name := cedar.String(schema.ClaimSetPrefix + claim); s.reads.names[name] {
			if v := textSet(v); v != nil {
				record[name] = v
			}
		}
	}
	for _, known := range []struct{ claim, v string }{
		{"sub", c.Subject}, {"iss", c.Issuer}, {"email", c.Email}, {"name", c.Name},
	} {
		if known.v != "" && c.Claims[known.claim] == nil {
			add(known.claim, known.v)
		}
	}
	if s.reads.all {
		for claim, v := range c.Claims {
			add(claim, v)
		}
	}
	for name := range s.reads.names { // there are fewer of them than claims in a token
		if claim, ok := strings.CutPrefix(string(name), schema.ClaimPrefix); ok {
			add(claim, c.Claims[claim])
		} else if claim, ok := strings.CutPrefix(string(name), schema.ClaimSetPrefix); ok {
			add(claim, c.Claims[claim])
		}
	}
	return record
}

// at is what is around the caller at the place of a query.
func (p *Principal) at(q *Query) *surroundings {
	key := where{q.Server, q.Backend}
	a, ok := p.around.get(key)
	if !ok {
		a = p.set.surroundings(p, q)
		p.around.put(key, a)
	}
	return a
}

// contextMap is the context without arguments.
func (p *Principal) contextMap(q *Query) cedar.RecordMap {
	record := make(cedar.RecordMap, len(p.claims)+4)
	for name, v := range p.claims {
		record[name] = v
	}
	record[schema.SourceAttribute] = cedar.String(p.caller.Source)
	record[schema.IssuerAttribute] = cedar.String(p.caller.Issuer)
	record["server"] = cedar.String(q.Server)
	record["backend"] = cedar.String(q.Backend)
	return record
}
