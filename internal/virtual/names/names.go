package names

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Strategy says what becomes of names that several members have.
type Strategy string

// The strategies, by ToolHive's names.
const (
	Prefix   Strategy = "prefix"   // every name carries its member's prefix
	Priority Strategy = "priority" // the first member in order has the name, the others' is left out
	Manual   Strategy = "manual"   // overrides are to tell them apart; what they do not is left out
)

// Naming is how the names of members become public ones.
type Naming struct {
	Members  []string // names of the members
	Strategy Strategy
	// Format of the prefix; {workload} stands for the member.
	Format string
	// Order of the members under Priority, by index; members that are not in it come
	// after those that are.
	Order []int
	// Strict makes names legal that are not changed otherwise: those of tools, which
	// clients hand to models that refuse others.
	Strict bool
	// Taken are names that no member's things have: something else has them.
	Taken []string
}

// maxName is the longest name that is made here: the strictest clients take no more
// (and no other characters than letters, digits, - and _).
const maxName = 64

// Own is what one member calls something.
type Own struct {
	Member int    // index of the member
	Name   string // its own name of it
}

// Names leads from the names that clients know to those of members and back. A call
// goes where the table says, never where its name seems to point: the prefix of one
// member may begin the name of another's tool.
type Names struct {
	own    map[string]Own
	public map[Own]string
}

// Own finds what a public name stands for.
func (n *Names) Own(public string) (Own, bool) {
	o, ok := n.own[public]
	return o, ok
}

// Public is the name under which clients know what a member has; "" for what they
// do not see.
func (n *Names) Public(o Own) string { return n.public[o] }

// Candidate is something that is to have a public name.
type Candidate struct {
	Own
	// Given is the name that an override gives it; "" for none.
	Given string
}

// MakeNames names the candidates, and returns those left out because their name
// belongs to another. What it makes depends on the candidates and the naming alone, not on
// their order: it is the same after a restart.
func (n Naming) MakeNames(candidates []Candidate) (made *Names, leftOut []Own) {
	wanted := make(map[string][]Candidate, len(candidates))
	for _, c := range candidates {
		name := n.wanted(c)
		if slices.ContainsFunc(wanted[name], func(o Candidate) bool { return o.Own == c.Own }) {
			continue // a member that lists something twice has it once
		}
		wanted[name] = append(wanted[name], c)
	}
	made = &Names{own: make(map[string]Own, len(candidates)), public: make(map[Own]string, len(candidates))}
	for name, all := range wanted {
		taken := slices.Contains(n.Taken, name)
		if len(all) == 1 && !taken {
			made.add(name, all[0].Own)
			continue
		}
		switch n.Strategy {
		case Priority:
			if taken {
				leftOut = appendOwn(leftOut, all)
				continue
			}
			slices.SortFunc(all, func(a, b Candidate) int { return n.rank(a.Member) - n.rank(b.Member) })
			made.add(name, all[0].Own)
			for _, c := range all[1:] {
				leftOut = append(leftOut, c.Own)
			}
		case Manual:
			leftOut = appendOwn(leftOut, all)
		default:
			// Neither keeps the plain name: while one of two members is away, its name must
			// not lead to the other.
			for _, c := range all {
				hashed := n.suffixed(name, c.Own)
				if _, taken := wanted[hashed]; taken {
					leftOut = append(leftOut, c.Own)
					continue
				}
				made.add(hashed, c.Own)
			}
		}
	}
	slices.SortFunc(leftOut, compareOwn)
	return made, leftOut
}

func appendOwn(to []Own, all []Candidate) []Own {
	for _, c := range all {
		to = append(to, c.Own)
	}
	return to
}

func (n *Names) add(public string, o Own) {
	n.own[public], n.public[o] = o, public
}

// wanted is the name that a candidate has if nobody else wants it.
func (n Naming) wanted(c Candidate) string {
	name := c.Name
	if c.Given != "" {
		name = c.Given
	}
	if n.Strategy == Prefix || n.Strategy == "" {
		name = strings.ReplaceAll(n.Format, "{workload}", n.Members[c.Member]) + name
	}
	if name == c.Name && !n.Strict {
		return name // as its server has it, whatever it is
	}
	return n.legal(name, c.Own)
}

// rank is a member's place in the order.
func (n Naming) rank(member int) int {
	if at := slices.Index(n.Order, member); at >= 0 {
		return at
	}
	return len(n.Order) + member
}

// legal is the name itself where every client takes it. Otherwise what they do not
// take becomes _, and a suffix keeps apart what has become the same.
func (n Naming) legal(name string, o Own) string {
	mapped := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
	if mapped == name && len(name) <= maxName {
		return name
	}
	return n.suffixed(mapped, o)
}

// suffixed is a legal name with a short hash of whose it is, which is the same after
// a restart.
func (n Naming) suffixed(name string, o Own) string {
	sum := sha256.Sum256([]byte(n.Members[o.Member] + "\x00" + o.Name))
	suffix := "_" + hex.EncodeToString(sum[:4])
	return name[:min(len(name), maxName-len(suffix))] + suffix
}

func compareOwn(a, b Own) int {
	return cmp.Or(a.Member-b.Member, strings.Compare(a.Name, b.Name))
}
