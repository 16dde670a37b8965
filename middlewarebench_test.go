package latchkey

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// oneSession is a verifier that costs nothing.
type oneSession struct {
	claims Claims
	sessionClient
}

func (v *oneSession) Verify(context.Context, string, ...Requirement) (*Claims, error) {
	return &v.claims, nil
}

func (v *oneSession) Refresh(context.Context, RefreshRequest) (TokenSet, error) {
	return TokenSet{}, context.Canceled
}

// quiet is a ResponseWriter that keeps nothing.
type quiet struct{ h http.Header }

func (q quiet) Header() http.Header         { return q.h }
func (q quiet) Write(b []byte) (int, error) { return len(b), nil }
func (q quiet) WriteHeader(int)             {}

// BenchmarkMiddleware is what a protected request costs besides verifying its token.
func BenchmarkMiddleware(b *testing.B) {
	store, err := NewCookieStore(CookieConfig{})
	if err != nil {
		b.Fatal(err)
	}
	v := &oneSession{claims: Claims{Subject: "ann"}}
	m := &Middleware{verifier: v, client: v, tokens: store, origin: crossOrigin{http.NewCrossOriginProtection()}}
	m.fill()
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	session := make([]byte, 900)
	for i := range session {
		session[i] = 'a'
	}
	cookie := httptest.NewRequest("GET", "https://example.com/", nil)
	cookie.Header.Set("Cookie", "theme=dark; __Host-Http-DS="+string(session)+"; __Host-Http-DSR="+string(session[:400])+"; lang=en")
	bearer := httptest.NewRequest("GET", "https://example.com/", nil)
	bearer.Header.Set("Authorization", "Bearer "+string(session))
	for name, c := range map[string]struct {
		h http.Handler
		r *http.Request
	}{
		"cookie": {m.Required(nothing), cookie},
		"bearer": {m.Required(nothing), bearer},
		"strict": {m.Strict(nothing), cookie},
		"nested": {m.Required(m.Required(nothing)), cookie},
		"none":   {nothing, cookie},
	} {
		b.Run(name, func(b *testing.B) {
			w := quiet{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				c.h.ServeHTTP(w, c.r)
			}
		})
	}
}
