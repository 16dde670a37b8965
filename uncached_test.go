package latchkey

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// withCookies lets a rig use real cookies, so that Set-Cookie is really written.
func withCookies(t *testing.T) func(*Middleware) {
	return func(m *Middleware) {
		store, err := NewCookieStore(CookieConfig{})
		if err != nil {
			t.Fatal(err)
		}
		m.tokens = store
	}
}

func cookieRequest(session, refresh string) *http.Request {
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	for name, value := range map[string]string{"__Host-Http-DS": session, "__Host-Http-DSR": refresh} {
		if value != "" {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	return r
}

// Pain 6 and attack 33: every response that sets or clears a cookie keeps out of caches,
// whatever its handler says of it.
func TestAttack33NoStoreOnEverySetCookie(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"writes nothing": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") },
		"writes": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public")
			w.Header().Set("Vary", "Accept-Encoding")
			w.Header().Set("CDN-Cache-Control", "max-age=60")
			io.WriteString(w, "x")
		},
		"status": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Del("Cache-Control")
			w.Header().Del("Vary")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "max-age=1")
			w.WriteHeader(http.StatusTeapot)
		},
		"http.Error": func(w http.ResponseWriter, r *http.Request) { http.Error(w, "x", 500) },
		"a file": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, immutable")
			http.ServeContent(w, r, "x.css", time.Unix(1e9, 0), strings.NewReader("x"))
		},
		"flushes": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public")
			w.(http.Flusher).Flush()
		},
		"flushes by its controller": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		},
	}
	for name, h := range handlers {
		for what, prepare := range map[string]func(*rig){
			"refresh": func(k *rig) { k.answers("s2", "r2") },
			"clear":   func(k *rig) { k.refuses(terminal(CodeSessionRevoked)) },
		} {
			k := newRig(t, withCookies(t))
			k.good("s2", Claims{Subject: "ann"})
			prepare(k)
			w := k.serve(k.m.Optional(h), cookieRequest("s1", "r1"))
			got := w.Result().Header
			if len(got["Set-Cookie"]) == 0 || got.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(got["Vary"], ","), "Cookie") ||
				got.Get("CDN-Cache-Control") != "" {
				t.Errorf("%s, %s: %v", name, what, got)
			}
		}
		// What sets no cookie is the handler's affair.
		k := newRig(t, withCookies(t))
		k.good("s1", Claims{Subject: "ann"})
		if w := k.serve(k.m.Required(h), cookieRequest("s1", "r1")); w.Result().Header.Get("Cache-Control") == "no-store" {
			t.Errorf("%s: a page without cookies can't be cached", name)
		}
	}
}

// The writers that servers hand out, by what they can do besides.
type plainWriter struct{ http.ResponseWriter }
type flushWriter struct{ plainWriter }
type hijackWriter struct{ plainWriter }
type http1Writer struct{ flushWriter }
type http2Writer struct{ flushWriter }

func (w flushWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }
func (hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.ErrUnsupported
}
func (http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.ErrUnsupported
}
func (http2Writer) Push(target string, opts *http.PushOptions) error { return nil }

func abilities(w http.ResponseWriter) string {
	_, flush := w.(http.Flusher)
	_, hijack := w.(http.Hijacker)
	_, push := w.(http.Pusher)
	return fmt.Sprint(flush, hijack, push)
}

// A response that has to be watched can do what it could before, and no more.
func TestUncachedKeepsAbilities(t *testing.T) {
	for _, w := range []func(plainWriter) http.ResponseWriter{
		func(p plainWriter) http.ResponseWriter { return p },
		func(p plainWriter) http.ResponseWriter { return flushWriter{p} },
		func(p plainWriter) http.ResponseWriter { return hijackWriter{p} },
		func(p plainWriter) http.ResponseWriter { return http1Writer{flushWriter{p}} },
		func(p plainWriter) http.ResponseWriter { return http2Writer{flushWriter{p}} },
	} {
		base := w(plainWriter{httptest.NewRecorder()})
		u := &uncached{ResponseWriter: base}
		if got, want := abilities(u.protect()), abilities(base); got != want {
			t.Errorf("%T: flush, hijack, push: %s, want %s", base, got, want)
		}
		if inner := u.protect().(interface{ Unwrap() http.ResponseWriter }).Unwrap(); inner != base {
			t.Errorf("%T can't be unwrapped", base)
		}
		if headersSent(u.protect()) {
			t.Errorf("%T: begun before anything was written", base)
		}
		io.WriteString(u.protect(), "x")
		if !headersSent(u.protect()) {
			t.Errorf("%T: a body was written and nobody knows", base)
		}
	}
}

// Without a reason to, the response isn't touched: streams and WebSockets work on a real
// server, and so they do in the odd request that refreshes.
func TestRealConnection(t *testing.T) {
	k := newRig(t, withCookies(t))
	k.good("s1", Claims{Subject: "ann"})
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	server := httptest.NewServer(k.m.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		rw.WriteString("HTTP/1.1 204 No Content\r\nConnection: close\r\nHijacked: yes\r\n\r\n")
		rw.Flush()
		conn.Close()
	})))
	defer server.Close()
	for _, cookies := range []string{"DS=s1; DSR=r1", "DSR=r1"} {
		r, _ := http.NewRequest("GET", server.URL, nil)
		r.Header.Set("Cookie", cookies)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.Header.Get("Hijacked") != "yes" {
			t.Errorf("%s: %d %v", cookies, answer.StatusCode, answer.Header)
		}
	}
}

// A writer of another middleware that can only be unwrapped: what flushes through it goes
// past ours, unless ours is asked first.
func TestAttack33FlushPastOurs(t *testing.T) {
	k := newRig(t, withCookies(t))
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.m.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=600")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			if !headersSent(w) {
				t.Error("flushed, and nobody knows")
			}
		})).ServeHTTP(plainUnwrapper{plainWriter{w}}, r)
	}))
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "DSR=r1")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if h := answer.Header; len(h["Set-Cookie"]) == 0 || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
	// One that can't flush says so, and hasn't begun.
	u := &uncached{ResponseWriter: plainWriter{httptest.NewRecorder()}}
	if err := http.NewResponseController(u.protect()).Flush(); !errors.Is(err, http.ErrNotSupported) || u.begun {
		t.Errorf("%v, begun: %t", err, u.begun)
	}
}

// written is the response writer of a router that tells what has happened.
type written struct{ http.ResponseWriter }

func (written) Written() bool { return true }

// Pain 6: cookies that can't be set any more are an error, not a silence.
func TestHeadersSent(t *testing.T) {
	k := newRig(t, withCookies(t))
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	rec := httptest.NewRecorder()
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.m.Required(seen).ServeHTTP(plainUnwrapper{plainWriter{written{w}}}, r)
	})
	outer.ServeHTTP(rec, cookieRequest("s1", "r1"))
	if rec.Body.String() != "ann with s2" || rec.Header().Get("Set-Cookie") != "" || !strings.Contains(k.log.String(), "the response has begun") {
		t.Errorf("%s %v %s", rec.Body, rec.Header(), k.log.String())
	}
	set := TokenSet{SessionToken: "s2", RefreshToken: "r2"}
	if err := k.m.SignIn(written{rec}, cookieRequest("", ""), set); !errors.Is(err, ErrHeadersSent) {
		t.Errorf("sign-in: %v", err)
	}
	if err := k.m.SignOut(written{rec}, visitorWithCookies("POST", "s1", "r1")); !errors.Is(err, ErrHeadersSent) {
		t.Errorf("sign-out: %v", err)
	}
}

// The form of a sign-in is behind Optional, on a response writer that tells nothing.
func TestSignInAfterTheBody(t *testing.T) {
	for name, late := range map[string]bool{"in time": false, "too late": true} {
		k := newRig(t, withCookies(t))
		var err error
		form := k.m.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			if late {
				io.WriteString(w, "welcome")
			}
			err = k.m.SignIn(w, r, TokenSet{SessionToken: "s2", RefreshToken: "r2"})
			w.Header().Set("Cache-Control", "public, max-age=60")
			io.WriteString(w, "!")
		}))
		rec := httptest.NewRecorder()
		form.ServeHTTP(plainWriter{rec}, visitor("POST", "https://example.com/sign-in"))
		h := rec.Result().Header
		if errors.Is(err, ErrHeadersSent) != late || (err == nil) == late || (h.Get("Set-Cookie") == "") != late {
			t.Errorf("%s: %v %v", name, err, h)
		}
		if !late && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the cookies may be cached: %v", name, h)
		}
	}
}

type plainUnwrapper struct{ plainWriter }

func (p plainUnwrapper) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func visitorWithCookies(method, session, refresh string) *http.Request {
	r := cookieRequest(session, refresh)
	r.Method = method
	return r
}
