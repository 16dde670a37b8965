package native

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the files of the page
	"encoding/base64"
	"fmt"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/docs"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// Documents describe the API. They are immutable; callers don't change the bytes.
type Documents struct {
	Spec   []byte // the OpenAPI document, JSON
	Page   []byte // the same for people: one HTML page that needs nothing else
	errors map[string][]byte
}

func newDocuments(routes []Route, publicURL, version string) (*Documents, error) {
	d := new(Documents)
	var err error
	if d.Spec, d.Page, err = describe(routes, publicURL, version); err != nil {
		return nil, err
	}
	d.errors, err = errorPages()
	return d, err
}

// Error returns the page about a code, HTML; false when there is no such code. The
// address that it is served at is the type of the code's problems.
func (d *Documents) Error(code string) ([]byte, bool) {
	page, found := d.errors[code]
	return page, found
}

// CSP returns the Content-Security-Policy under which the pages work: no script and
// nothing from elsewhere. A mistake in escaping could not run anything.
func (d *Documents) CSP() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func pageTemplate() (*template.Template, error) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("native: reading the page's template: %w", err)
	}
	return t, nil
}

// style is our own file, not input.
func style() template.CSS { return template.CSS(pageCSS) }

func renderPage(spec []byte, order []Route) ([]byte, error) {
	view, err := newReference(spec, order)
	if err != nil {
		return nil, err
	}
	t, err := pageTemplate()
	if err != nil {
		return nil, err
	}
	return execute(t, "reference", view)
}

func execute(t *template.Template, name string, view any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, view); err != nil {
		return nil, fmt.Errorf("native: rendering the page: %w", err)
	}
	return b.Bytes(), nil
}

// errorPages renders the page of every code. A code without one is a mistake of the
// program: problems point to it.
func errorPages() (map[string][]byte, error) {
	t, err := pageTemplate()
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{}
	// Applications answer with one more code, and point to its page here.
	codes := []latchkey.Code{latchkey.CodeInsufficientAuthentication}
	for _, info := range wire.Codes() {
		codes = append(codes, info.Code)
	}
	for _, code := range codes {
		source, found := docs.Error(string(code))
		if !found {
			return nil, fmt.Errorf("native: the code %s has no page", code)
		}
		content, err := renderMarkdown(source)
		if err != nil {
			return nil, err
		}
		page, err := execute(t, "error", struct {
			Title   string
			Style   template.CSS
			Content template.HTML
		}{string(code) + " - Latchkey", style(), content})
		if err != nil {
			return nil, err
		}
		pages[string(code)] = page
	}
	return pages, nil
}

// renderMarkdown renders one of our own pages. HTML in it is left out.
func renderMarkdown(source []byte) (template.HTML, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.Table))
	tree := md.Parser().Parse(text.NewReader(source))
	err := ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		// In the repository the pages are files, here they are addresses without
		// the suffix.
		if link, ok := n.(*ast.Link); ok && entering {
			link.Destination = bytes.TrimSuffix(link.Destination, []byte(".md"))
		}
		return ast.WalkContinue, nil
	})
	var b bytes.Buffer
	if err == nil {
		err = md.Renderer().Render(&b, source, tree)
	}
	if err != nil {
		return "", fmt.Errorf("native: rendering a page: %w", err)
	}
	return template.HTML(b.String()), nil
}
