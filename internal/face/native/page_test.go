package native_test

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// page is what a reader's browser makes of a page.
type page struct {
	ids, targets []string
	style, text  string
	elements     map[string]int
	attributes   map[string]int
}

func readPage(t *testing.T, source []byte) page {
	t.Helper()
	root, err := html.Parse(strings.NewReader(string(source)))
	must(t, err)
	p := page{elements: map[string]int{}, attributes: map[string]int{}}
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			if n.Parent.Data == "style" {
				p.style += n.Data
			} else {
				p.text += n.Data
			}
		case html.ElementNode:
			p.elements[n.Data]++
			for _, a := range n.Attr {
				p.attributes[a.Key]++
				switch a.Key {
				case "id":
					p.ids = append(p.ids, a.Val)
				case "href":
					p.targets = append(p.targets, a.Val)
				}
			}
		}
	}
	return p
}

func TestPageShowsTheWholeDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := readPage(t, w.documents(t).Page)
	ids := map[string]bool{}
	for _, id := range p.ids {
		if ids[id] {
			t.Errorf("the id %s is there twice", id)
		}
		ids[id] = true
	}
	for _, r := range w.face.Routes() {
		if !ids[r.ID] || !strings.Contains(p.text, r.Pattern) || !strings.Contains(p.text, r.Summary) {
			t.Errorf("%s isn't on the page", r.ID)
		}
	}
	for name := range object(object(w.spec.root["components"])["schemas"]) {
		if !ids["type-"+name] {
			t.Errorf("the type %s isn't on the page", name)
		}
	}
	for _, target := range p.targets {
		code, isCode := strings.CutPrefix(target, "docs/errors/")
		_, known := w.documents(t).Error(code)
		anchor, isAnchor := strings.CutPrefix(target, "#")
		if !(isCode && known || isAnchor && ids[anchor] || target == "openapi.json") {
			t.Errorf("the link %s leads nowhere", target)
		}
	}
}

// The pages work under their policy: no script, nothing from elsewhere, no style but
// the one whose hash is allowed.
func TestPagesWorkUnderTheirPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sources := map[string][]byte{"reference": w.documents(t).Page}
	for _, info := range wire.Codes() {
		source, found := w.documents(t).Error(string(info.Code))
		if !found {
			t.Errorf("%s has no page", info.Code)
		}
		sources[string(info.Code)] = source
	}
	for name, source := range sources {
		p := readPage(t, source)
		sum := sha256.Sum256([]byte(p.style))
		if !strings.Contains(w.documents(t).CSP(), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';") {
			t.Errorf("%s: the style isn't allowed", name)
		}
		for _, element := range []string{"script", "img", "link", "iframe", "form", "base", "object"} {
			if p.elements[element] > 0 {
				t.Errorf("%s holds <%s>", name, element)
			}
		}
		for attribute := range p.attributes {
			if attribute == "style" || strings.HasPrefix(attribute, "on") || attribute == "src" {
				t.Errorf("%s has the attribute %s", name, attribute)
			}
		}
		if p.elements["title"] != 1 || p.elements["main"] != 1 || p.elements["h1"] != 1 || p.attributes["lang"] != 1 {
			t.Errorf("%s: title %d, main %d, h1 %d, lang %d", name, p.elements["title"], p.elements["main"], p.elements["h1"], p.attributes["lang"])
		}
		if strings.Contains(string(source), "ZgotmplZ") {
			t.Errorf("%s: the template refused something", name)
		}
	}
	if !strings.HasPrefix(w.documents(t).CSP(), "default-src 'none';") {
		t.Errorf("the policy is %s", w.documents(t).CSP())
	}
}

func TestErrorPagesAreRendered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	markdown := regexp.MustCompile("(?m)^#+ |^\\| |```|\\*\\*|\\]\\(")
	codes := []latchkey.Code{latchkey.CodeInsufficientAuthentication} // which only applications answer
	for _, info := range wire.Codes() {
		codes = append(codes, info.Code)
	}
	for _, code := range codes {
		source, found := w.documents(t).Error(string(code))
		if !found {
			t.Errorf("%s has no page", code)
			continue
		}
		p := readPage(t, source)
		if left := markdown.FindString(p.text); left != "" {
			t.Errorf("%s: %q wasn't rendered", code, left)
		}
		for _, target := range p.targets {
			if _, known := w.documents(t).Error(target); !known && target != "../../docs#problems" {
				t.Errorf("%s: the link %s leads nowhere", code, target)
			}
		}
	}
	for _, code := range []string{"", "oops", "README", "../token_reuse"} {
		if _, found := w.documents(t).Error(code); found {
			t.Errorf("%q has a page", code)
		}
	}
}
