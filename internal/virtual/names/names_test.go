package names_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	type own = names.Own
	for _, tt := range []struct {
		name    string
		naming  names.Naming
		tools   []own
		want    map[string]own // by public name; a * stands for a suffix
		leftOut []own
	}{
		{ // REPORT 1
			"a prefix that begins another's name",
			names.Naming{Members: []string{"web", "web-scraper"}, Strategy: names.Prefix, Format: "{workload}-"},
			[]own{{0, "scraper-list"}, {1, "list"}, {0, "fetch"}},
			map[string]own{"web-scraper-list_*0": {0, "scraper-list"}, "web-scraper-list_*1": {1, "list"}, "web-fetch": {0, "fetch"}},
			nil,
		},
		{ // REPORT 2
			"names that strict clients refuse",
			names.Naming{Members: []string{"a"}, Strategy: names.Prefix, Format: "{workload}_"},
			[]own{{0, "docs.search:v2"}, {0, "docs_search_v2"}, {0, "naïve tool"}, {0, long + "1"}, {0, long + "2"}},
			map[string]own{
				"a_docs_search_v2_*": {0, "docs.search:v2"}, "a_docs_search_v2": {0, "docs_search_v2"}, "a_na_ve_tool_*": {0, "naïve tool"},
				"a_xxx*1": {0, long + "1"}, "a_xxx*2": {0, long + "2"},
			},
			nil,
		},
		{ // REPORT 3
			"a member that lists a name twice",
			names.Naming{Members: []string{"a"}, Strategy: names.Prefix, Format: "{workload}_"},
			[]own{{0, "t"}, {0, "t"}},
			map[string]own{"a_t": {0, "t"}},
			nil,
		},
		{ // REPORT 4
			"priority",
			names.Naming{Members: []string{"a", "b", "c"}, Strategy: names.Priority, Order: []int{1}},
			[]own{{0, "search"}, {1, "search"}, {2, "search"}, {2, "only"}},
			map[string]own{"search": {1, "search"}, "only": {2, "only"}},
			[]own{{0, "search"}, {2, "search"}},
		},
		{
			"manual, and nobody has told them apart",
			names.Naming{Members: []string{"a", "b"}, Strategy: names.Manual},
			[]own{{0, "search"}, {1, "search"}, {1, "other"}},
			map[string]own{"other": {1, "other"}},
			[]own{{0, "search"}, {1, "search"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.naming.Strict = true
			var candidates []names.Candidate
			for _, o := range tt.tools {
				candidates = append(candidates, names.Candidate{Own: o})
			}
			made, leftOut := tt.naming.MakeNames(candidates)
			if !slices.Equal(leftOut, tt.leftOut) {
				t.Errorf("left out are %v, want %v", leftOut, tt.leftOut)
			}
			slices.Reverse(candidates)
			again, _ := tt.naming.MakeNames(candidates)
			for pattern, o := range tt.want {
				public := made.Public(o)
				begin, _, hashed := strings.Cut(pattern, "*")
				if !strings.HasPrefix(public, begin) || !hashed && public != pattern {
					t.Errorf("%v is called %q, want %q", o, public, pattern)
				}
				if !legal.MatchString(public) {
					t.Errorf("%v is called %q, which not every client takes", o, public)
				}
				if back, ok := made.Own(public); !ok || back != o {
					t.Errorf("%q leads to %v, want %v", public, back, o)
				}
				if other := again.Public(o); other != public {
					t.Errorf("%v is called %q in one order and %q in another", o, public, other)
				}
			}
		})
	}
}

var legal = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Names that an override gives are public as they are, under prefixes too.
func TestNamesGiven(t *testing.T) {
	t.Parallel()
	n := names.Naming{Members: []string{"a", "b"}, Strategy: names.Manual, Strict: true}
	made, leftOut := n.MakeNames([]names.Candidate{
		{Own: names.Own{Member: 0, Name: "search"}, Given: "search_docs"},
		{Own: names.Own{Member: 1, Name: "search"}},
	})
	if len(leftOut) > 0 {
		t.Errorf("left out are %v", leftOut)
	}
	if o, ok := made.Own("search_docs"); !ok || o.Member != 0 || o.Name != "search" {
		t.Errorf("search_docs leads to %v, %v", o, ok)
	}
	if o, ok := made.Own("search"); !ok || o.Member != 1 {
		t.Errorf("search leads to %v, %v", o, ok)
	}
}
