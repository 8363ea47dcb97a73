// Package tools makes a form of a tool's schema, and a tool's arguments of what was typed.
//
// It owns what is kept of a tool that a server lists, which arguments have a field, and how
// text becomes JSON. It does not own how a form looks, nor what is done with arguments.
package tools
