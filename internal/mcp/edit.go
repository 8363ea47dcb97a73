package mcp

import "slices"

// Edit replaces the bytes of one span. A span with Start == End inserts there.
type Edit struct {
	Span Span
	New  []byte
}

// Splice returns a copy of raw with the edits made and every other byte as it was
// (REQ F-4). The edits may come in any order. They must lie inside raw and must
// not overlap; it panics if they do, since the result would be another message.
func Splice(raw []byte, edits ...Edit) []byte { return appendSplice(nil, raw, edits) }

// appendSplice appends what Splice returns. dst and raw must not overlap.
func appendSplice(dst, raw []byte, edits []Edit) []byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Span.Start - b.Span.Start })
	size, at := len(raw), 0
	for _, e := range edits {
		if e.Span.Start < at || e.Span.End < e.Span.Start || e.Span.End > len(raw) {
			panic("mcp: splice: edits overlap or lie outside the message")
		}
		at = e.Span.End
		size += len(e.New) - (e.Span.End - e.Span.Start)
	}
	dst, at = slices.Grow(dst, size), 0
	for _, e := range edits {
		dst = append(dst, raw[at:e.Span.Start]...)
		dst = append(dst, e.New...)
		at = e.Span.End
	}
	return append(dst, raw[at:]...)
}
