package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// Pains 10 and 11 over the feed of a real server: a change of claims reaches a live
// session by a silent refresh, and a revocation ends it, within a second and long before
// the session token expires.
func TestMiddlewareFollowsFeed(t *testing.T) {
	f := newFeedSite(t)
	f.start()
	v, _ := f.verifier("", false)
	f.until(5*time.Second, complete(v))
	c := f.client()
	m, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: v, Client: c})
	f.must(err)
	page := m.Strict(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := latchkey.FromContext(r.Context())
		var plan string
		if _, err := claims.Claim("plan", &plan); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "plan %q", plan)
	}))
	held := map[string]string{}
	keep := func(w *httptest.ResponseRecorder) {
		for _, cookie := range w.Result().Cookies() {
			if held[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
				delete(held, cookie.Name)
			}
		}
	}
	visit := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "https://app.example.com/", nil)
		for name, value := range held {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		keep(w)
		return w
	}
	set, other := f.signIn("ada"), f.signIn("ada")
	w := httptest.NewRecorder()
	f.must(m.SignIn(w, httptest.NewRequest("POST", "https://app.example.com/", nil), set))
	keep(w)
	if w := visit(); w.Body.String() != `plan ""` || len(held) != 2 {
		t.Fatalf("%d %s, %d cookies", w.Code, w.Body, len(held))
	}

	_, err = c.UpdateSessionClaims(t.Context(), set.Session.ID, latchkey.ClaimsPatch{Claims: json.RawMessage(`{"plan":"gold"}`)})
	f.must(err)
	f.until(time.Second, func() error {
		if w := visit(); w.Body.String() != `plan "gold"` {
			return fmt.Errorf("%d %s", w.Code, w.Body)
		}
		return nil
	})

	// Who spares this session revokes nothing of it.
	f.must(c.LogoutOthers(t.Context(), held["__Host-Http-DSR"]))
	f.becomes(v, other.SessionToken, latchkey.ReasonRevoked, time.Second)
	if w := visit(); w.Code != http.StatusOK || len(held) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	_, err = c.RevokeSession(t.Context(), set.Session.ID)
	f.must(err)
	f.until(time.Second, func() error {
		if w := visit(); w.Code != http.StatusUnauthorized || len(held) != 0 {
			return fmt.Errorf("%d %s, %d cookies", w.Code, w.Body, len(held))
		}
		return nil
	})
}
