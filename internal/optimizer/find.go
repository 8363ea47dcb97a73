package optimizer

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/embedding"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/search"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// class is what all those find who may use the same tools. Nothing of another tool is in
// it: not its words, nor how rare they are.
type class struct {
	shown *upstream.Shown
	may   []bool

	once   sync.Once
	index  *search.Index
	tools  []int // where in shown each document is
	tokens int   // that all of them would cost

	vectors atomic.Pointer[[]embedding.Vector] // of the documents; nil while there are none
	asking  atomic.Bool
	size    atomic.Int64 // of the index and the vectors
	raw     atomic.Int64 // of shown, which other classes may have too
}

// classes keeps the newest ones.
type classes struct {
	mu     sync.Mutex
	recent []*class
}

// What is kept at most: classes, and bytes of their indexes.
const (
	maxClasses    = 64
	maxClassBytes = 64 << 20
)

// of is the class of those who may use these tools.
func (k *classes) of(shown *upstream.Shown, may []bool) *class {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.recent, func(c *class) bool { return c.shown == shown && slices.Equal(c.may, may) })
	var found *class
	if at >= 0 {
		found = k.recent[at]
		k.recent = slices.Delete(k.recent, at, at+1)
	} else {
		found = &class{shown: shown, may: may}
	}
	k.recent = slices.Insert(k.recent, 0, found)
	var size int64
	for i, c := range k.recent {
		size += c.size.Load()
		if !slices.ContainsFunc(k.recent[:i], func(before *class) bool { return before.shown == c.shown }) {
			size += c.raw.Load()
		}
		if i > 0 && (i >= maxClasses || size > maxClassBytes) {
			k.recent = slices.Delete(k.recent, i, len(k.recent))
			break
		}
	}
	return found
}

// build makes the index, once.
func (k *class) build() {
	k.once.Do(func() {
		for i, may := range k.may {
			if may {
				k.tools = append(k.tools, i)
				k.tokens += tokensOf(k.shown.Items[i])
			}
		}
		raw := 0
		for _, item := range k.shown.Items {
			raw += len(item)
		}
		k.raw.Store(int64(raw))
		members := make([]string, len(k.shown.Items))
		for _, g := range k.shown.Groups {
			for _, at := range g.At {
				members[at] = g.Member
			}
		}
		k.index = search.New(len(k.tools), func(doc int) []search.Field {
			at := k.tools[doc]
			return fields(k.shown.Names[at], members[at], k.shown.Items[at])
		})
		k.size.Store(int64(k.index.Bytes()))
	})
}

// fields are the texts of a tool.
func fields(name, member string, raw []byte) []search.Field {
	all := []search.Field{{Text: name, Weight: search.OfName}}
	if !strings.HasPrefix(name, member) {
		all = append(all, search.Field{Text: member, Weight: search.OfDescription})
	}
	add := func(value []byte, weight float32) {
		if text, ok := mcp.Text(value); ok {
			all = append(all, search.Field{Text: text, Weight: weight})
		}
	}
	_ = mcp.Members(raw, func(key, value []byte) bool { // members have been read strictly
		switch string(key) {
		case "title":
			add(value, search.OfTitle)
		case "description":
			add(value, search.OfDescription)
		case "annotations":
			add(mcp.Path(value, "title"), search.OfTitle)
		case "inputSchema":
			_ = mcp.Members(orEmpty(mcp.Path(value, "properties")), func(key, value []byte) bool {
				all = append(all, search.Field{Text: string(key), Weight: search.OfParameters})
				add(mcp.Path(value, "description"), search.OfParameterTexts)
				return true
			})
		}
		return true
	})
	return all
}

func orEmpty(object []byte) []byte {
	if object == nil {
		return []byte("{}")
	}
	return object
}

// find answers find_tool: what the caller may use of what fits.
func (t *Target) find(ctx context.Context, c *upstream.Call) *upstream.Answer {
	description, words, bad := question(c.Message)
	if bad != "" {
		return mistake(c, bad)
	}
	shown := t.Shown(ctx, c)
	may := make([]bool, len(shown.Items))
	if c.Rights != nil {
		may = c.Rights.May("tools/list", shown.Groups, len(shown.Items))
	}
	k := t.classes.of(shown, may)
	k.build()
	b, returned := []byte(`{"tools":[`), 0
	for i, doc := range t.ranked(ctx, k, description, words) {
		if i > 0 {
			b = append(b, ',')
		}
		raw := shown.Items[k.tools[doc]]
		b, returned = append(b, raw...), returned+tokensOf(raw)
	}
	b = append(strconv.AppendInt(append(b, `],"token_metrics":{"baseline_tokens":`...), int64(k.tokens), 10), `,"returned_tokens":`...)
	b = append(strconv.AppendInt(b, int64(returned), 10), `,"savings_percent":`...)
	saved := 0.0
	if k.tokens > 0 {
		saved = 100 * float64(k.tokens-returned) / float64(k.tokens)
	}
	b = append(strconv.AppendFloat(b, saved, 'f', 2, 64), "}}"...)
	return said(c, string(b), mcp.Field{Name: "structuredContent", Value: b})
}

// tokensOf is about what a tool costs a model to read, as ToolHive counts it.
func tokensOf(raw []byte) int { return len(raw) / 4 }

// ranked are the documents that fit best, the best first: by words, and by meaning where
// that can be had.
func (t *Target) ranked(ctx context.Context, k *class, description, words string) []int {
	near := t.near(ctx, k, description)
	most := t.cfg.Most
	if near != nil {
		most *= 4 // of each, for the best of both
	}
	hits := k.index.Search(words, most)
	byWords := make([]int, len(hits))
	for i, h := range hits {
		byWords[i] = h.Doc
	}
	if near == nil {
		return byWords
	}
	return fuse(byWords, near[:min(len(near), most)], t.cfg.Share, t.cfg.Most)
}

// fuse joins two rankings by place (reciprocal rank fusion): what the two measure has
// nothing in common.
func fuse(byWords, near []int, share float64, most int) []int {
	const calm = 20 // how little the first place is worth more than the next
	score := map[int]float64{}
	var all []int
	add := func(ranking []int, weight float64) {
		for place, doc := range ranking {
			if _, ok := score[doc]; !ok {
				all = append(all, doc)
			}
			score[doc] += weight / float64(calm+place)
		}
	}
	add(byWords, 1-share)
	add(near, share)
	slices.SortFunc(all, func(a, b int) int { return cmp.Or(cmp.Compare(score[b], score[a]), a-b) })
	all = slices.DeleteFunc(all, func(doc int) bool { return score[doc] == 0 })
	return all[:min(len(all), most)]
}

// near are the documents by how near they are in meaning, the nearest first; nil where
// that cannot be had. The first search by a class has words alone: the vectors of its
// tools are obtained meanwhile.
func (t *Target) near(ctx context.Context, k *class, description string) []int {
	if t.cfg.Vectors == nil || t.cfg.Share == 0 {
		return nil
	}
	docs := k.vectors.Load()
	if docs == nil {
		if k.asking.CompareAndSwap(false, true) {
			go func() {
				defer k.asking.Store(false)
				k.embed(t.life, t.cfg.Vectors)
			}()
		}
		return nil
	}
	asked, err := t.cfg.Vectors.Vectors(ctx, []string{description})
	if err != nil {
		return nil // it is said by the client, once
	}
	type far struct {
		doc      int
		distance float64
	}
	found := []far{}
	for doc, v := range *docs {
		if d := asked[0].Distance(v); d <= t.cfg.Farthest {
			found = append(found, far{doc, d})
		}
	}
	slices.SortFunc(found, func(a, b far) int { return cmp.Or(cmp.Compare(a.distance, b.distance), a.doc-b.doc) })
	ranking := make([]int, len(found))
	for i, f := range found {
		ranking[i] = f.doc
	}
	return ranking
}

// embed obtains the vectors of all documents.
func (k *class) embed(ctx context.Context, client *embedding.Client) {
	texts := make([]string, len(k.tools))
	for doc, at := range k.tools {
		description := mcp.PathText(k.shown.Items[at], "description")
		texts[doc] = strings.TrimSpace(k.shown.Names[at] + " " + mcp.PathText(k.shown.Items[at], "title") + " " + description[:min(len(description), 2*maxQuestion)])
	}
	if vectors, err := client.Vectors(ctx, texts); err == nil {
		k.vectors.Store(&vectors)
		size := int64(k.index.Bytes())
		for _, v := range vectors {
			size += int64(len(v))
		}
		k.size.Store(size)
	}
}
