package latchkey

import (
	"net/http/httptest"
	"testing"
)

// Attack 32: what pages of other sites make a browser send is refused before anything
// else happens, for visitors and sessions alike.
func TestAttack32CrossOriginMatrix(t *testing.T) {
	const same, cross, trusted = "Origin: https://example.com", "Origin: https://evil.example", "Origin: https://app.example.com"
	for _, c := range []struct {
		method  string
		headers []string
		refused bool
	}{
		{"POST", nil, false}, // no browser, or a very old one
		{"POST", []string{"Sec-Fetch-Site: same-origin"}, false},
		{"POST", []string{"Sec-Fetch-Site: none"}, false},
		{"POST", []string{"Sec-Fetch-Site: same-site", "Origin: https://evil.example.com"}, true},
		{"POST", []string{"Sec-Fetch-Site: cross-site", cross}, true},
		{"POST", []string{"Sec-Fetch-Site: cross-site"}, true},
		{"POST", []string{"Sec-Fetch-Site: cross-site", trusted}, false},
		{"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: null"}, true},
		{"POST", []string{same}, false},
		{"POST", []string{cross}, true},
		{"POST", []string{"Origin: null"}, true},
		{"POST", []string{"Origin: https://evil-example.com"}, true},
		{"POST", []string{"Origin: https://example.com.evil.example"}, true},
		{"POST", []string{trusted}, false},
		{"POST", []string{"Origin: https://app.example.com.evil.example"}, true},
		{"PUT", []string{cross}, true},
		{"PATCH", []string{cross}, true},
		{"DELETE", []string{cross}, true},
		{"TRACE", []string{cross}, true},
		{"BREW", []string{cross}, true},
		{"GET", []string{cross, "Sec-Fetch-Site: cross-site"}, false},
		{"HEAD", []string{cross}, false},
		{"OPTIONS", []string{cross}, false},
		// The handshake of a WebSocket.
		{"GET", []string{cross, "Connection: keep-alive, Upgrade", "Upgrade: websocket"}, true},
		{"GET", []string{same, "Connection: Upgrade", "Upgrade: websocket"}, false},
		{"GET", []string{trusted, "Connection: upgrade", "Upgrade: websocket"}, false},
		{"GET", []string{cross, "Upgrade: h2c"}, false}, // means nothing without Connection
	} {
		k := newRig(t)
		var err error
		if k.m.origin, err = newCrossOrigin([]string{"https://app.example.com"}); err != nil {
			t.Fatal(err)
		}
		k.good("s1", Claims{Subject: "ann"})
		k.good("s2", Claims{Subject: "ann"})
		k.answers("s2", "r2")
		r := visitor(c.method, "https://example.com/transfer", append(c.headers, "r1")...)
		w := k.serve(k.m.Optional(seen), r)
		if !c.refused {
			k.passed(w, "ann with s2", "save s2 r2")
			continue
		}
		if w.Code != 403 {
			t.Errorf("%s %v: %d %s", c.method, c.headers, w.Code, w.Body)
		}
		k.refused(w, 403, CodeForbidden, false, "")
		k.refused(k.serve(k.m.Required(seen), r), 403, CodeForbidden, false, "")
		k.refused(k.serve(k.m.Optional(seen), visitor(c.method, "https://example.com/", c.headers...)), 403, CodeForbidden, false, "")
		if k.questions() != 0 {
			t.Errorf("%s %v: refreshed for a foreign page", c.method, c.headers)
		}
	}
}

// Attack 27: nor do they sign anybody out. A forged bearer token is its own affair.
func TestAttack27LogoutFromAnotherSite(t *testing.T) {
	k := newRig(t)
	for _, headers := range [][]string{{"Sec-Fetch-Site: cross-site"}, {"Origin: https://evil.example"}} {
		w := httptest.NewRecorder()
		err := k.m.SignOut(w, visitor("POST", "https://example.com/sign-out", append(headers, "s1", "r1")...))
		refusal, ok := err.(Refusal)
		if !ok || refusal.Status != 403 || changes(w) != "" || len(k.ended) != 0 {
			t.Errorf("%v: %v, %q, %v", headers, err, changes(w), k.ended)
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		w := httptest.NewRecorder()
		r := visitor(method, "https://example.com/sign-out", "s1", "r1")
		refusal, ok := k.m.SignOut(w, r).(Refusal)
		if !ok || refusal.Status != 405 || changes(w) != "" || len(k.ended) != 0 {
			t.Errorf("%s: %v", method, refusal)
		}
		refusal.Write(w, r)
		if w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

func TestTrustedOrigins(t *testing.T) {
	for _, origin := range []string{"", "null", "*", "app.example.com", "https://app.example.com/", "https://App.example.com", "https://x.example?y", "://"} {
		if _, err := newCrossOrigin([]string{"https://ok.example", origin}); err == nil {
			t.Errorf("%q can't be an origin", origin)
		}
	}
}
