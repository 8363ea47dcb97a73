// Package markdown reads pages of the documentation for tests that do what a page says: its code blocks, the commands in
// them, and what they print. It runs nothing.
package markdown
