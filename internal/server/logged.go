package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// logged logs every request. Successful ones are logged at debug level: there are
// thousands a second, and metrics count them.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		out := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			level := slog.LevelDebug
			if out.status >= http.StatusBadRequest {
				level = slog.LevelInfo
			}
			if s.deps.Log.Enabled(r.Context(), level) {
				s.deps.Log.Log(r.Context(), level, "request", "method", r.Method, "url", wire.SafeURL(r.URL),
					"status", out.status, "duration", time.Since(start))
			}
		}()
		next.ServeHTTP(out, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController find Flush and deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader passes the status on.
func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// refused logs what a caller isn't told: the cause of a failure on our side. A caller
// who has gone away, and a server that is being stopped, are no failures: nobody is to
// be woken by them.
func (s *Server) refused(r *http.Request, status int, err error) {
	level := slog.LevelDebug
	switch {
	case errors.Is(err, context.Canceled), s.draining.Load() && status == http.StatusServiceUnavailable:
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	s.deps.Log.Log(r.Context(), level, "refused", "status", status, "error", err)
}
