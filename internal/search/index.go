package search

import (
	"math"
	"slices"
	"strings"
)

// Field is a text of a document. What is found in a field of twice the weight counts
// twice.
type Field struct {
	Text   string
	Weight float32
}

// The weights of what tools say of themselves.
const (
	OfName           = 3
	OfTitle          = 2
	OfDescription    = 1
	OfParameters     = 0.5
	OfParameterTexts = 0.25
)

// Index holds documents by their words. It is never changed, and safe for use by many
// goroutines.
type Index struct {
	docs    int
	terms   []string // in order
	begins  []uint32 // where the postings of each term begin, and where the last ones end
	doc     []uint32
	impact  []float32 // of the term in the document, from 0 to 1
	idf     []float32
	related map[string][]string
}

// The parameters of BM25: how soon a word that is there again counts no more, and how
// much less a word counts in a long text.
const (
	saturation = 1.2
	lengthNorm = 0.7
)

// What a word counts that does not stand in the question itself.
const (
	ofSynonym = 0.65
	ofPrefix  = 0.5
)

type posting struct {
	doc uint32
	tf  float32
}

// New makes an index of n documents. fields gives those of one.
func New(n int, fields func(doc int) []Field) *Index {
	ids := map[string]uint32{}
	var postings [][]posting
	var counts []float32 // of each term in the document at hand
	var found []uint32
	lengths := make([]float32, n)
	var total float64
	for d := range n {
		for _, f := range fields(d) {
			words(f.Text, func(w string) {
				id, ok := ids[w]
				if !ok {
					id = uint32(len(postings))
					ids[strings.Clone(w)] = id
					postings, counts = append(postings, nil), append(counts, 0)
				}
				if counts[id] == 0 {
					found = append(found, id)
				}
				counts[id] += f.Weight
				lengths[d] += f.Weight
			})
		}
		total += float64(lengths[d])
		for _, id := range found {
			postings[id] = append(postings[id], posting{uint32(d), counts[id]})
			counts[id] = 0
		}
		found = found[:0]
	}
	return pack(n, ids, postings, lengths, float32(total/float64(max(n, 1))))
}

// pack lays the postings out as they are searched.
func pack(n int, ids map[string]uint32, postings [][]posting, lengths []float32, average float32) *Index {
	x := &Index{docs: n, terms: make([]string, 0, len(ids)), related: related()}
	size := 0
	for w, id := range ids {
		x.terms = append(x.terms, w)
		size += len(postings[id])
	}
	slices.Sort(x.terms)
	x.begins, x.idf = make([]uint32, 1, len(ids)+1), make([]float32, 0, len(ids))
	x.doc, x.impact = make([]uint32, 0, size), make([]float32, 0, size)
	for _, w := range x.terms {
		list := postings[ids[w]]
		for _, p := range list {
			norm := saturation * (1 - lengthNorm + lengthNorm*lengths[p.doc]/average)
			x.doc, x.impact = append(x.doc, p.doc), append(x.impact, p.tf/(p.tf+norm))
		}
		x.begins = append(x.begins, uint32(len(x.doc)))
		df := float64(len(list))
		x.idf = append(x.idf, float32(math.Log(1+(float64(n)-df+0.5)/(df+0.5))))
	}
	return x
}

// Bytes is about what the index takes of memory.
func (x *Index) Bytes() int {
	n := 8*len(x.doc) + 24*len(x.terms)
	for _, w := range x.terms {
		n += len(w)
	}
	return n
}

// Hit is a document that was found.
type Hit struct {
	Doc   int
	Score float32
}

// Search finds the documents that fit a question best, at most limit of them, the best
// first.
func (x *Index) Search(question string, limit int) []Hit {
	sums := &sums{all: make([]float32, x.docs), word: make([]float32, x.docs)}
	asked := map[string]float32{}
	var order []string // so that the same question has the same sums
	words(question, func(w string) {
		if asked[w] == 0 {
			order = append(order, w)
		}
		asked[w] = min(asked[w]+1, 2)
	})
	for _, w := range order {
		for _, m := range x.meant(w, asked[w]) {
			x.add(sums, m)
		}
		sums.next()
	}
	return best(sums.all, limit)
}

// best are the highest scores, the highest first.
func best(scores []float32, limit int) []Hit {
	var hits []Hit
	for d, s := range scores {
		if s <= 0 || len(hits) == limit && s <= hits[limit-1].Score {
			continue
		}
		at, _ := slices.BinarySearchFunc(hits, s, func(h Hit, s float32) int {
			if h.Score >= s { // of equals the first stays before the next
				return -1
			}
			return 1
		})
		if len(hits) == limit {
			hits = hits[:limit-1]
		}
		hits = slices.Insert(hits, at, Hit{d, s})
	}
	return hits
}

// weighted is a term of the index, and what it counts.
type weighted struct {
	term   int
	weight float32
}

// meant are the terms that a word of a question stands for.
func (x *Index) meant(w string, weight float32) (all []weighted) {
	if at, ok := slices.BinarySearch(x.terms, w); ok {
		all = append(all, weighted{at, weight})
	} else if len(w) > 2 { // a short form, perhaps: repo, config
		for ; at < len(x.terms) && strings.HasPrefix(x.terms[at], w); at++ {
			all = append(all, weighted{at, weight * ofPrefix})
		}
	}
	for _, other := range x.related[w] {
		if at, ok := slices.BinarySearch(x.terms, other); ok {
			all = append(all, weighted{at, weight * ofSynonym})
		}
	}
	return all
}

// sums are the scores of a search. Of all that a word may stand for, the best counts
// for a document: many synonyms are not worth more than the word.
type sums struct {
	all, word []float32 // of the words so far, and of the one at hand
	found     []uint32  // documents that have that one
}

// add adds what a term of a word's brings.
func (x *Index) add(s *sums, m weighted) {
	weight := m.weight * x.idf[m.term]
	for i := x.begins[m.term]; i < x.begins[m.term+1]; i++ {
		doc := x.doc[i]
		if s.word[doc] == 0 {
			s.found = append(s.found, doc)
		}
		s.word[doc] = max(s.word[doc], weight*x.impact[i])
	}
}

// next takes in what the word at hand has brought.
func (s *sums) next() {
	for _, doc := range s.found {
		s.all[doc] += s.word[doc]
		s.word[doc] = 0
	}
	s.found = s.found[:0]
}
