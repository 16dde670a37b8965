package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// document is what these tests read of the OpenAPI document.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Servers []struct{ URL string }
	Paths   map[string]map[string]struct {
		OperationID string
		Security    []map[string][]string
		Responses   map[string]json.RawMessage
	}
}

func (p *process) document() document {
	p.world.t.Helper()
	var d document
	a := p.ask(call{method: "GET", path: "/openapi.json"}).must(p.world.t, &d)
	if media := a.header.Get("Content-Type"); media != "application/json" {
		p.world.t.Errorf("the document's content type is %s", media)
	}
	return d
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// TestOpenAPI reads the document and calls all of its operations without the credential
// that they want: each is there, and none of them lets anybody in.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	d := p.document()
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Version != version || len(d.Servers) == 0 || d.Servers[0].URL != p.url {
		t.Errorf("the document is OpenAPI %s of version %s at %v", d.OpenAPI, d.Info.Version, d.Servers)
	}
	operations := 0
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for method, op := range d.Paths[path] {
			if operations++; op.OperationID == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s isn't described", method, path)
			}
			// Whatever it is about, it isn't reached.
			c := call{method: strings.ToUpper(method), path: placeholder.ReplaceAllString(strings.ReplaceAll(path, "{project}", i.in.ID), "x")}
			if strings.Contains(path, "/.well-known/") {
				p.ask(c).must(t, nil)
				continue
			}
			// A token may be in the body, so that is read first.
			switch op.OperationID {
			case "setClientClaims":
				c.body = `{"claims":{}}`
			case "switchTenant":
				c.body = `{"tenant":"x"}`
			}
			p.ask(c).refused(t, http.StatusUnauthorized, latchkey.CodeUnauthenticated, false)
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			if c.bearer = i.in.VerifyKey; len(op.Security) != 1 {
				t.Errorf("%s %s wants %v", method, path, op.Security)
			}
			p.ask(c).refused(t, http.StatusForbidden, latchkey.CodeForbidden, false)
		}
	}
	if operations < 30 {
		t.Errorf("the document has %d operations only", operations)
	}
}

// TestDocs reads the pages as a browser gets them.
func TestDocs(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	page := p.html("/docs")
	for path, methods := range p.document().Paths {
		for _, op := range methods {
			if !strings.Contains(page, op.OperationID) || !strings.Contains(page, path) {
				t.Errorf("the page doesn't tell of %s at %s", op.OperationID, path)
			}
		}
	}
	for _, code := range []latchkey.Code{
		latchkey.CodeInvalidRequest, latchkey.CodeTokenInURL, latchkey.CodeTooLarge, latchkey.CodeOutOfRange, latchkey.CodeContradiction,
		latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge, latchkey.CodeUnauthenticated, latchkey.CodeSessionRevoked,
		latchkey.CodeSessionExpired, latchkey.CodeTokenReuse, latchkey.CodeReauthenticate, latchkey.CodeForbidden, latchkey.CodeNotFound,
		latchkey.CodeRequestExpired, latchkey.CodeConflict, latchkey.CodeRateLimited, latchkey.CodeUnavailable, latchkey.CodeInternal,
		latchkey.CodeTemplateInvalid, latchkey.CodeSignInDenied, latchkey.CodeInsufficient,
	} {
		if !strings.Contains(page, string(code)) {
			t.Errorf("the page doesn't tell of %s", code)
		}
		if text := p.html("/docs/errors/" + string(code)); !strings.Contains(text, string(code)) {
			t.Errorf("the page of %s doesn't name it", code)
		}
	}
	p.ask(call{method: "GET", path: "/docs/errors/nothing"}).refused(t, http.StatusNotFound, latchkey.CodeNotFound, false)
	if a := p.ask(call{method: "GET", path: "/"}); a.status != http.StatusFound || a.header.Get("Location") != "/docs" {
		t.Errorf("/ answers %d, to %s", a.status, a.header.Get("Location"))
	}
}

// html returns a page, which works without anything from elsewhere.
func (p *process) html(path string) string {
	p.world.t.Helper()
	a := p.ask(call{method: "GET", path: path}).must(p.world.t, nil)
	text := string(a.body)
	csp := a.header.Get("Content-Security-Policy")
	switch {
	case !strings.HasPrefix(a.header.Get("Content-Type"), "text/html"), !strings.HasPrefix(strings.ToLower(text), "<!doctype html>"), !strings.Contains(text, "</html>"):
		p.world.t.Errorf("%s isn't HTML: %.200s", path, text)
	case !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe"):
		p.world.t.Errorf("%s lets a page do too much: %s", path, csp)
	case strings.Contains(text, "<script"), regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(text):
		p.world.t.Errorf("%s needs something from elsewhere, or a script", path)
	case !strings.Contains(text, "<title>"), !strings.Contains(text, `lang="en"`):
		p.world.t.Errorf("%s has no title or language", path)
	}
	return text
}

// TestDiscovery reads what clients look up before they trust a token.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--public-url", "https://id.example.com/auth")
	issuer := "https://id.example.com/auth/" + i.in.ID
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		var d struct {
			Issuer  string
			JWKSURI string `json:"jwks_uri"`
		}
		a := p.ask(call{method: "GET", path: i.in.user("/.well-known/" + name)}).must(t, &d)
		if d.Issuer != issuer || d.JWKSURI != issuer+"/.well-known/jwks.json" || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s says %+v", name, d)
		}
	}
	if got := claims(t, p.signIn(i.in, "alice@example.com").SessionToken)["iss"]; got != issuer {
		t.Errorf("the issuer of a token is %v, want %s", got, issuer)
	}
	var keys struct{ Keys []map[string]any }
	a := p.ask(call{method: "GET", path: i.in.user("/.well-known/jwks.json")}).must(t, &keys)
	for _, key := range keys.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("the key set holds the private member %s", private)
			}
		}
	}
	if len(keys.Keys) == 0 || !strings.Contains(a.header.Get("Cache-Control"), "max-age") {
		t.Errorf("the key set has %d keys, Cache-Control %s", len(keys.Keys), a.header.Get("Cache-Control"))
	}
	again := p.ask(call{method: "GET", path: i.in.user("/.well-known/jwks.json"), header: map[string]string{"If-None-Match": a.header.Get("ETag")}})
	if again.status != http.StatusNotModified {
		t.Errorf("an unchanged key set is answered %d", again.status)
	}
}
