package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// words calls each with every word of a text, in lower case and without its ending.
// Identifiers are taken apart: listPullRequests, list_pull_requests and "List pull
// requests" are the same words.
func words(text string, each func(word string)) {
	start, part, before := -1, -1, rune(0) // where the word begins, and the part of it
	say := func(w string) {
		if w = strings.ToLower(w); !isCommon(w) {
			each(stem(w))
		}
	}
	end := func(at int) {
		if start >= 0 {
			say(text[part:at])
			if part > start { // GitHub is a word too
				say(text[start:at])
			}
		}
		start, part = -1, -1
	}
	for at, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			if r != '\'' && r != '’' || start < 0 { // don't is one word
				end(at)
			}
			before = 0
			continue
		case start >= 0 && unicode.IsUpper(r) && (unicode.IsLower(before) || nextIsLower(text[at:], r) && unicode.IsUpper(before)):
			say(text[part:at]) // pullRequest, HTTPServer
			part = at
		}
		if start < 0 {
			start, part = at, at
		}
		before = r
	}
	end(len(text))
}

// nextIsLower reports whether a lower-case letter follows the one that text begins with.
func nextIsLower(text string, first rune) bool {
	next, _ := utf8.DecodeRuneInString(text[utf8.RuneLen(first):])
	return unicode.IsLower(next)
}

// isCommon reports whether a word says nothing of what is looked for.
func isCommon(w string) bool {
	switch w {
	case "a", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does", "don't", "for", "from", "had",
		"has", "have", "here", "how", "i", "i'd", "i'm", "if", "in", "into", "is", "it", "it's", "its", "let", "like", "me", "my", "need", "now", "of", "on", "or",
		"our", "please", "right", "should", "so", "some", "something", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "tool",
		"use", "used", "using", "us", "want", "was", "we", "were", "what", "when", "where", "which", "who", "will", "with", "would", "you", "your":
		return true
	}
	return false
}

// stem takes the endings off an English word that say how it is used: plural, tense and
// the nouns of verbs. It is light: what it takes off wrongly, it takes off everywhere.
func stem(w string) string {
	if len(w) == 3 && w[2] == 's' && !strings.ContainsRune("aiosu", rune(w[1])) {
		return w[:2] // PRs, VMs
	}
	if len(w) < 4 || w == "news" {
		return w
	}
	w = strings.TrimSuffix(w, "'s")
	switch {
	case len(w) > 4 && strings.HasSuffix(w, "ies"), len(w) > 4 && strings.HasSuffix(w, "ied"):
		return w[:len(w)-3] + "y"
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "ches"), strings.HasSuffix(w, "shes"), strings.HasSuffix(w, "xes"):
		w = w[:len(w)-2]
	case strings.HasSuffix(w, "ss"), strings.HasSuffix(w, "us"), strings.HasSuffix(w, "is"):
	case strings.HasSuffix(w, "s"):
		w = w[:len(w)-1]
	}
	switch {
	case len(w) > 5 && strings.HasSuffix(w, "ing"):
		w = undouble(w[:len(w)-3])
	case len(w) > 4 && strings.HasSuffix(w, "ed"):
		w = undouble(w[:len(w)-2])
	case len(w) > 7 && strings.HasSuffix(w, "ment"):
		w = w[:len(w)-4]
	case len(w) > 6 && (strings.HasSuffix(w, "sion") || strings.HasSuffix(w, "tion")):
		w = w[:len(w)-3]
	}
	if len(w) > 4 && strings.HasSuffix(w, "e") {
		w = w[:len(w)-1]
	}
	return w
}

// undouble makes planned and planning plan, and leaves call.
func undouble(w string) string {
	n := len(w)
	if n > 3 && w[n-1] == w[n-2] && !strings.ContainsRune("lsz", rune(w[n-1])) {
		return w[:n-1]
	}
	return w
}
