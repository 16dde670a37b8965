package server

import (
	"net/http"
	"path"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// mount is the whole server in one table.
func (s *Server) mount(api *native.Face) http.Handler {
	mux := http.NewServeMux()
	mount := func(pattern string, h http.Handler) {
		mux.Handle(pattern, s.deps.Metrics.Route(label(pattern)).Wrap(h))
	}
	for pattern, h := range map[string]wire.Handler{
		"GET /livez":              s.live,
		"GET /readyz":             s.ready,
		"GET /openapi.json":       spec(api),
		"GET /docs":               page(api),
		"GET /docs/errors/{code}": errorPage(api),
		"GET /{$}":                welcome,
	} {
		mount(pattern, s.edge.Handle(h))
	}
	mount("GET /metrics", s.deps.Metrics.Handler())
	for _, r := range api.Routes() {
		mount(r.Method+" "+r.Pattern, r.Handler(s.edge))
	}
	for _, p := range api.Preflights() {
		mount(http.MethodOptions+" "+p.Pattern, s.edge.Handle(p.Or(unknown(mux))))
	}
	mount("/", s.edge.Handle(unknown(mux)))
	return wire.Identify(s.logged(s.clean(s.atDomains(api, mux))))
}

// clean refuses what must not get as far as the router: a credential in the URL, which
// the router's redirects would repeat, and a path that isn't in its plain form, which
// proxies and the router may take for different ones.
func (s *Server) clean(next http.Handler) http.Handler {
	refuse := func(err error) http.Handler {
		return s.edge.Handle(func(http.ResponseWriter, *http.Request) error { return err })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := wire.TokenInURL(r); err != nil {
			refuse(err).ServeHTTP(w, r)
			return
		}
		if p := r.URL.Path; p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") {
			refuse(fault.New(fault.NotFound, "There is nothing at this address; /docs lists what there is.")).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// label is the route without its method, which metrics have beside it.
func label(pattern string) string {
	if pattern == "/" {
		return "unknown"
	}
	_, path, _ := strings.Cut(pattern, " ")
	return path
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	return wire.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether requests should be sent here: not before the store answers, and
// not once draining has begun.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return fault.New(fault.Unavailable, "The server is shutting down.").After(drainRetry)
	}
	if err := s.deps.App.Store.Ping(r.Context()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The store doesn't answer.").After(drainRetry)
	}
	return wire.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func spec(api *native.Face) wire.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		d, err := api.Documents()
		if err != nil {
			return err
		}
		return send(w, "application/json", "", d.Spec)
	}
}

func page(api *native.Face) wire.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		d, err := api.Documents()
		if err != nil {
			return err
		}
		return send(w, "text/html; charset=utf-8", d.CSP(), d.Page)
	}
}

func send(w http.ResponseWriter, media, csp string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if csp != "" {
		h.Set("Content-Security-Policy", csp)
		h.Set("Referrer-Policy", "no-referrer")
	}
	w.Write(body)
	return nil
}

func errorPage(api *native.Face) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		d, err := api.Documents()
		if err != nil {
			return err
		}
		page, ok := d.Error(r.PathValue("code"))
		if !ok {
			return fault.New(fault.NotFound, "There is no page for this code.")
		}
		return send(w, "text/html; charset=utf-8", d.CSP(), page)
	}
}

func welcome(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/docs", http.StatusFound)
	return nil
}

// unknown answers what no route serves: with the methods that the address has, or as
// not found.
func unknown(mux *http.ServeMux) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{"GET", "POST", "PATCH", "PUT", "DELETE"} {
			probe := r.Clone(r.Context())
			probe.Method = method
			if _, pattern := mux.Handler(probe); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			return fault.New(fault.NotFound, "There is nothing at this address; /docs lists what there is.")
		}
		methods := strings.Join(allowed, ", ")
		w.Header().Set("Allow", methods)
		return wire.WithStatus(http.StatusMethodNotAllowed,
			fault.New(fault.Invalid, "This address answers to %s, not to %.20s.", methods, r.Method))
	}
}
