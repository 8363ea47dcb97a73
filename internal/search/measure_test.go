package search_test

import (
	"fmt"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/search"
)

// many are n tools with descriptions of a few sentences, as large catalogues have them.
func many(b testing.TB, n int) (all [][]search.Field) {
	base := tools(b)
	for i := range n {
		o := base[i%len(base)]
		text := o.description
		for k := range 6 {
			text += ". " + base[(i*7+k*13)%len(base)].description
		}
		o.name = fmt.Sprintf("%s_v%d", o.name, i/len(base))
		all = append(all, append(o.fields(), search.Field{Text: text, Weight: search.OfDescription}))
	}
	return all
}

func BenchmarkNew5000(b *testing.B) {
	all := many(b, 5000)
	var x *search.Index
	for b.Loop() {
		x = search.New(len(all), func(i int) []search.Field { return all[i] })
	}
	b.ReportMetric(float64(x.Bytes()), "index-bytes")
}

func BenchmarkSearch5000(b *testing.B) {
	all := many(b, 5000)
	x := search.New(len(all), func(i int) []search.Field { return all[i] })
	for b.Loop() {
		if len(x.Search("schedule a meeting with Anna on Tuesday", 8)) == 0 {
			b.Fatal("nothing found")
		}
	}
}
