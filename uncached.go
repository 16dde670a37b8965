package latchkey

import (
	"errors"
	"net/http"
)

// ErrHeadersSent is returned when cookies can't be written any more because the response
// has begun: sign in or out before the first byte of the body.
var ErrHeadersSent = errors.New("latchkey: the response has begun, so no cookie can be set")

// headersSent reports whether the response is known to have begun. net/http itself
// doesn't tell; the response writers of many routers and middlewares do.
func headersSent(w http.ResponseWriter) bool {
	for {
		if s, ok := w.(interface{ Written() bool }); ok {
			return s.Written()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

// uncached keeps a response that sets cookies out of caches even when the handler, which
// knows nothing of the cookies, calls it public. Otherwise one user would get the other's
// session from the cache.
//
// It also knows whether the response has begun, for those who sign in or out too late.
type uncached struct {
	http.ResponseWriter
	of    *recognition // of the request, which knows whether cookies are set; nil: they are
	begun bool
}

func (u *uncached) begin() {
	if !u.begun && (u.of == nil || u.of.saved) {
		forbidCaching(u.Header())
	}
}

// WriteHeader implements http.ResponseWriter.
func (u *uncached) WriteHeader(status int) {
	u.begin()
	u.begun = u.begun || status >= 200 || status == http.StatusSwitchingProtocols
	u.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (u *uncached) Write(b []byte) (int, error) {
	u.begin()
	u.begun = true
	return u.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (u *uncached) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// FlushError is for http.ResponseController, which would unwrap u otherwise and send the
// headers past it. It reports http.ErrNotSupported where no writer beneath can flush.
func (u *uncached) FlushError() error {
	u.begin()
	err := http.NewResponseController(u.ResponseWriter).Flush()
	u.begun = u.begun || !errors.Is(err, http.ErrNotSupported)
	return err
}

// Written reports whether the response has begun.
func (u *uncached) Written() bool { return u.begun }

// flushed is the http.Flusher of an uncached response.
type flushed struct{ u *uncached }

// Flush implements http.Flusher.
func (f flushed) Flush() {
	f.u.begin()
	f.u.begun = true
	f.u.ResponseWriter.(http.Flusher).Flush()
}

// protect returns u with what the writer beneath it can do besides, since handlers ask
// for that by type: claiming more would break them as surely as hiding it.
func (u *uncached) protect() http.ResponseWriter {
	_, canFlush := u.ResponseWriter.(http.Flusher)
	hijacker, canHijack := u.ResponseWriter.(http.Hijacker)
	pusher, canPush := u.ResponseWriter.(http.Pusher)
	flusher := flushed{u}
	switch {
	case canFlush && canHijack:
		return struct {
			*uncached
			http.Flusher
			http.Hijacker
		}{u, flusher, hijacker}
	case canFlush && canPush:
		return struct {
			*uncached
			http.Flusher
			http.Pusher
		}{u, flusher, pusher}
	case canFlush:
		return struct {
			*uncached
			http.Flusher
		}{u, flusher}
	case canHijack:
		return struct {
			*uncached
			http.Hijacker
		}{u, hijacker}
	}
	return u
}
