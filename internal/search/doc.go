// Package search finds short documents by what people say of them: tools, by name,
// description and parameters.
//
// It owns how texts become words (identifiers are taken apart, words lose their
// endings), which words mean the same in descriptions of tools, and the ranking: BM25
// over weighted fields (BM25F), held in memory.
//
// It does not own what the documents are, who may see them, or whether an answer of
// a language model joins in (internal/optimizer).
package search
