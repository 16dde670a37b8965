// Package docs owns the pages about the API's refusals, as text, so that a running
// server can show what a problem's type points to. It doesn't know how they are shown.
package docs

import "embed"

//go:embed errors/*.md
var pages embed.FS

// Error returns the page about a code, Markdown; false when there is none. It is safe
// for concurrent use.
func Error(code string) (page []byte, found bool) {
	// ReadFile takes no path that leaves the folder.
	page, err := pages.ReadFile("errors/" + code + ".md")
	return page, err == nil
}
