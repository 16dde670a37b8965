package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// domains leads requests that come in at a project's custom domain to that project's
// end-user endpoints, and to nothing else: management and metrics aren't there, and
// another project's endpoints neither. Every other host gets the whole server, as
// health checks and proxies need it.
type domains struct {
	directory *directory.Service
	own       string // host of the public URL, with its port unless that is the usual one
	custom    http.Handler
	whole     http.Handler
	edge      wire.Edge
}

// atDomains makes the handler of both.
func (s *Server) atDomains(api *native.Face, whole http.Handler) http.Handler {
	d := &domains{directory: s.deps.App.Directory, whole: whole, edge: s.edge, custom: s.mountCustom(api)}
	if u, err := url.Parse(s.deps.PublicURL); err == nil {
		d.own = u.Host
	}
	return d
}

// mountCustom is what a custom domain serves: the end-user endpoints without the
// project in their path.
func (s *Server) mountCustom(api *native.Face) http.Handler {
	mux := http.NewServeMux()
	mount := func(method, pattern string, h http.Handler) {
		if short, ok := strings.CutPrefix(pattern, projectPath); ok {
			mux.Handle(method+" "+short, s.deps.Metrics.Route(pattern).Wrap(h))
		}
	}
	for _, r := range api.Routes() {
		mount(r.Method, r.Pattern, r.Handler(s.edge))
	}
	for _, p := range api.Preflights() {
		mount(http.MethodOptions, p.Pattern, s.edge.Handle(p.Or(unknown(mux))))
	}
	mux.Handle("/", s.deps.Metrics.Route(label("/")).Wrap(s.edge.Handle(unknown(mux))))
	return mux
}

const projectPath = "/{project}"

func (d *domains) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := wire.Host(r)
	if host == d.own || !nameable(host) {
		d.whole.ServeHTTP(w, r)
		return
	}
	project, ok, err := d.directory.ProjectAt(r.Context(), host)
	switch {
	case err != nil:
		// Whose request it is isn't known: the whole server is not for custom domains.
		d.edge.Handle(func(http.ResponseWriter, *http.Request) error {
			return fault.Wrap(fault.Unavailable, err, "The server can't tell now which project is at this host.").After(drainRetry)
		}).ServeHTTP(w, r)
	case !ok:
		d.whole.ServeHTTP(w, r)
	default:
		d.lead(w, r, project)
	}
}

// nameable tells whether host could be a custom domain: no address, no port, and more
// than one label. What asks for readiness by address needn't wait for the store.
func nameable(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return false
	}
	return strings.Contains(host, ".")
}

// lead passes the request on with the project in place. The path may have the project
// too, as the issuer has it.
func (d *domains) lead(w http.ResponseWriter, r *http.Request, p id.Project) {
	named := "/" + p.String()
	inner := r.WithContext(r.Context())
	if r.URL.RawPath == "" && strings.HasPrefix(r.URL.Path, named+"/") {
		u := *r.URL
		u.Path = strings.TrimPrefix(u.Path, named)
		inner.URL = &u
	}
	inner.SetPathValue("project", p.String())
	d.custom.ServeHTTP(w, inner)
}
