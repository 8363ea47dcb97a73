package policy

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// maxClaimDepth is how deep lists and objects in a claim are looked into. What is
// deeper is not there.
const maxClaimDepth = 10

// value turns a claim into a Cedar value, nil for null. Lists become sets, objects
// records.
func value(v any, depth int, decimal bool) cedar.Value {
	switch v := v.(type) {
	case string:
		return cedar.String(v)
	case bool:
		return cedar.Boolean(v)
	case float64:
		return number(strconv.FormatFloat(v, 'f', -1, 64), decimal)
	case []any:
		if depth >= maxClaimDepth {
			return nil
		}
		set := make([]cedar.Value, 0, len(v))
		for _, e := range v {
			if e := value(e, depth+1, decimal); e != nil {
				set = append(set, e)
			}
		}
		return cedar.NewSet(set...)
	case map[string]any:
		if depth >= maxClaimDepth {
			return nil
		}
		record := make(cedar.RecordMap, len(v))
		for k, e := range v {
			if e := value(e, depth+1, decimal); e != nil {
				record[cedar.String(k)] = e
			}
		}
		return cedar.NewRecord(record)
	}
	return nil
}

// number reads a JSON number: an integer as Long, whatever way it is written, and
// others as decimal, as are all where policies use the attribute as one. A number
// that is neither stays text: policies that compare it fail, and failing is on the
// safe side, where leaving it out would not be.
func number(text string, decimal bool) cedar.Value {
	if !decimal {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return cedar.Long(i)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	const exact = 1 << 53 // integers up to here are what they say
	if err != nil || math.Abs(f) > exact {
		return cedar.String(text)
	}
	if !decimal && f == math.Trunc(f) {
		return cedar.Long(int64(f))
	}
	d := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(d, ".") {
		d += ".0"
	}
	if v, err := parseDecimal(d); err == nil {
		return v
	}
	return cedar.String(text)
}

// parseDecimal reads decimal text of at most four digits behind the point.
func parseDecimal(text string) (cedar.Decimal, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > 4 {
		return cedar.Decimal{}, errors.New("more than four digits")
	}
	i, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return cedar.Decimal{}, err
	}
	return cedar.NewDecimal(i, -len(fraction))
}

// textSet is a claim as a set of text: what stands between blanks, or the texts in
// a list. Other claims have no such form.
func textSet(v any) cedar.Value {
	var set []cedar.Value
	switch v := v.(type) {
	case string:
		for _, s := range strings.Fields(v) {
			set = append(set, cedar.String(s))
		}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				set = append(set, cedar.String(s))
			}
		}
	default:
		return nil
	}
	return cedar.NewSet(set...)
}

// arguments adds those arguments of a call to the record that policies read. The
// mark of an argument that is a list, an object or null is stronger than an
// argument of the mark's name.
func (s *Set) arguments(raw []byte, into cedar.RecordMap) error {
	if len(raw) == 0 {
		return nil
	}
	var marks []cedar.String
	err := mcp.Members(raw, func(key, v []byte) bool {
		name := cedar.String(schema.ArgPrefix + string(key))
		switch v[0] {
		case '{', '[', 'n':
			if name += schema.PresentSuffix; s.reads.has(name) {
				marks = append(marks, name)
			}
			return true
		}
		if !s.reads.has(name) {
			return true
		}
		switch v[0] {
		case '"':
			text, _ := mcp.Text(v)
			into[name] = cedar.String(text)
		case 't', 'f':
			into[name] = cedar.Boolean(v[0] == 't')
		default:
			into[name] = number(string(v), s.decimals[name])
		}
		return true
	})
	for _, name := range marks {
		into[name] = cedar.True
	}
	return err
}

// claimAt is the claim of that name or, with dots, at that path.
func claimAt(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for {
		step, rest, more := strings.Cut(path, ".")
		v := claims[step]
		if !more {
			return v
		}
		if claims, more = v.(map[string]any); !more {
			return nil
		}
		path = rest
	}
}
