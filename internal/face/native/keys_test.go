package native_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type keySet struct {
	Keys []struct {
		KID string `json:"kid"`
	} `json:"keys"`
}

// published returns the kids of the JWKS.
func (w *world) published(t testing.TB) []string {
	t.Helper()
	var set keySet
	w.ok(t, w.end("GET", "/.well-known/jwks.json", ""), &set)
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return kids
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var next, now latchkey.SigningKey
	w.clock.Move(time.Second) // keys of one moment have no order
	w.ok(t, w.manage("POST", "/keys/rotate", ""), &next)
	if next.State != "next" || next.ActivatesAt == nil || !slices.Contains(w.published(t), next.ID) {
		t.Errorf("rotated: %+v, published %v", next, w.published(t))
	}
	w.clock.Move(time.Second)
	w.ok(t, w.manage("POST", "/keys/rotate", `{"immediate":true}`), &now)
	if now.State != "active" || now.ActivatesAt != nil || len(w.published(t)) < 2 {
		t.Errorf("rotated at once: %+v, published %v", now, w.published(t))
	}
	a := w.ok(t, w.manage("GET", "/keys", ""), nil)
	golden(t, "answers/listKeys-rotated", a.body)
	w.refused(t, w.manage("POST", "/keys/rotate", `{"immediate":1}`), latchkey.CodeInvalidRequest)
}

// What a revoked key signed is refused at once, and so are sessions whose refresh token
// it signed, in whatever form they present it.
func TestRevokeKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.published(t)[0]
	set := w.signIn(t, w.site)
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	opaque := w.signIn(t, w.site)
	w.ok(t, w.manage("POST", "/keys/rotate", `{"immediate":true}`), nil)
	young := w.signIn(t, w.site)
	var answer struct {
		Key     latchkey.SigningKey `json:"key"`
		Revoked int                 `json:"revoked"`
	}
	a := w.ok(t, w.manage("POST", "/keys/"+old+"/revoke", ""), &answer)
	golden(t, "answers/revokeKey-retired", a.body)
	if answer.Key.State != "revoked" || answer.Revoked != 2 || slices.Contains(w.published(t), old) {
		t.Errorf("got %+v", answer)
	}
	for _, token := range []string{set.RefreshToken, opaque.RefreshToken} {
		w.refused(t, w.end("POST", "/session/refresh", token), latchkey.CodeSessionRevoked)
	}
	w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeUnauthenticated)
	w.refused(t, w.end("POST", "/session/logout", set.SessionToken), latchkey.CodeUnauthenticated)
	w.ok(t, w.end("POST", "/session/logout", set.RefreshToken), nil)
	w.refresh(t, young.RefreshToken)
	w.ok(t, w.manage("POST", "/keys/"+old+"/revoke", ""), &answer)
	if answer.Revoked != 0 {
		t.Errorf("repeated: %+v", answer)
	}
	for _, kid := range []string{id.NewKey(w.clock.Now()).String(), "nonsense"} {
		w.refused(t, w.manage("POST", "/keys/"+kid+"/revoke", ""), latchkey.CodeNotFound)
	}
	w.refused(t, call{method: "POST", path: w.manage("", "/keys/"+old+"/revoke", "").path, bearer: w.another(t).key}, latchkey.CodeUnauthenticated)
}

// A full key set takes no further key.
func TestRotateKeyTooOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 100 {
		a := w.do(t, w.manage("POST", "/keys/rotate", `{"immediate":true}`))
		if a.problem.Code == latchkey.CodeConflict {
			return
		}
		w.clock.Move(time.Second)
	}
	t.Error("the key set grows without end")
}

func TestJWKSIsCacheable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.end("GET", "/.well-known/jwks.json", "")
	first := w.ok(t, c, nil)
	tag := first.header.Get("ETag")
	if first.header.Get("Cache-Control") != "public, max-age=300" || tag == "" || first.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", first.header)
	}
	var members []map[string]string
	var set struct {
		Keys *[]map[string]string `json:"keys"`
	}
	set.Keys = &members
	must(t, json.Unmarshal(first.body, &set))
	for _, private := range []string{"d", "p", "q"} {
		if members[0][private] != "" {
			t.Errorf("the private member %s is published", private)
		}
	}
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		c.header = http.Header{"If-None-Match": {header}}
		if a := w.do(t, c); a.status != want || want == 304 && len(a.body) > 0 {
			t.Errorf("If-None-Match %s: %d", header, a.status)
		}
	}
	w.ok(t, w.manage("POST", "/keys/rotate", ""), nil)
	c.header = http.Header{"If-None-Match": {tag}}
	if a := w.do(t, c); a.status != http.StatusOK {
		t.Errorf("after a rotation: %d", a.status)
	}
}

// Discovery names the algorithms of the keys that are published, not of those that the
// settings ask for.
func TestDiscoveryFollowsTheKeys(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		w := newWorld(t)
		w.clock.Move(time.Second)
		algorithms := func() string {
			var document struct {
				Algorithms []string `json:"id_token_signing_alg_values_supported"`
			}
			a := w.ok(t, w.end("GET", path, ""), &document)
			if a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: headers %v", path, a.header)
			}
			return strings.Join(document.Algorithms, " ")
		}
		before := algorithms()
		// The next key has the new algorithm and is published at once; the active one
		// goes on signing.
		w.settings(t, `{"signingAlgorithm":"EdDSA"}`)
		if after := algorithms(); before != "ES256" || after != "ES256 EdDSA" {
			t.Errorf("%s: %s, then %s", path, before, after)
		}
	}
}

// One session may hold tokens of two keys. Revoking that of its session token alone
// doesn't end it, and says nothing terminal.
func TestRevokeKeyOfTheSessionTokenOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.clock.Move(time.Second)
	w.ok(t, w.manage("POST", "/keys/rotate", `{"immediate":true}`), nil)
	again := w.refresh(t, set.RefreshToken) // inside the window: the old key signs N again
	if again.RefreshToken != set.RefreshToken {
		t.Fatal("another refresh token inside the window")
	}
	kids := w.published(t)
	w.ok(t, w.manage("POST", "/keys/"+kids[len(kids)-1]+"/revoke", ""), nil)
	w.refused(t, w.end("GET", "/session", again.SessionToken), latchkey.CodeUnauthenticated)
	w.refused(t, w.end("POST", "/session/logout", again.SessionToken), latchkey.CodeUnauthenticated)
	w.refresh(t, again.RefreshToken)
	w.ok(t, w.end("POST", "/session/logout", again.RefreshToken), nil)
	w.refused(t, w.end("POST", "/session/refresh", again.RefreshToken), latchkey.CodeSessionRevoked)
}
