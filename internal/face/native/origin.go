package native

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Pages of other origins (the Fetch standard calls it CORS). End-user endpoints let the
// pages of a project's approvedOrigins read answers and send cookies; an origin is
// compared as a whole, byte for byte. Public documents are for every page, without
// cookies. Management endpoints are for no page.
const (
	// preflightAge is for how long a browser need not ask again. An origin that is taken
	// off the list is refused at once all the same: actual requests are looked at, too.
	preflightAge = 10 * time.Minute

	allowedHeaders = "Authorization, Content-Type, X-Request-Id"
	exposedHeaders = "Retry-After, X-Request-Id"
)

// openTo says to browsers which pages may read the answer.
func (f *Face) openTo(w http.ResponseWriter, r *http.Request, tag string) error {
	h := w.Header()
	switch tag {
	case tagDiscovery:
		h.Set("Access-Control-Allow-Origin", "*")
		return nil
	case tagTokens:
	default:
		return nil
	}
	// Always: an answer without an Origin must not be given to a page that has one.
	h.Add("Vary", "Origin")
	origins := r.Header["Origin"]
	if len(origins) != 1 {
		return nil
	}
	project, err := pathProject(r)
	if err != nil {
		return err
	}
	p, err := f.d.Tokens.Settings(r.Context(), project)
	if err != nil {
		return err
	}
	if slices.Contains(p.Settings.ApprovedOrigins, origins[0]) {
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
	return nil
}

// Preflight answers what browsers ask before a page of another origin sends a request.
type Preflight struct {
	Pattern string // as of Route
	tag     string
	methods []string
	face    *Face
}

// Preflights returns one for each address that pages may have a use for.
func (f *Face) Preflights() []Preflight {
	var all []Preflight
	for _, r := range f.routes {
		if r.Tag != tagTokens && r.Tag != tagDiscovery {
			continue
		}
		at := slices.IndexFunc(all, func(p Preflight) bool { return p.Pattern == r.Pattern })
		if at < 0 {
			at = len(all)
			all = append(all, Preflight{Pattern: r.Pattern, tag: r.Tag, face: f})
		}
		all[at].methods = append(all[at].methods, r.Method)
	}
	return all
}

// Or returns a handler of OPTIONS requests; those that aren't preflights get otherwise.
func (p Preflight) Or(otherwise wire.Handler) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(r.Header["Origin"]) == 0 || len(r.Header["Access-Control-Request-Method"]) == 0 {
			return otherwise(w, r)
		}
		h := w.Header()
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if err := p.face.openTo(w, r, p.tag); err != nil {
			return err
		}
		if h.Get("Access-Control-Allow-Origin") == "" {
			return fault.New(fault.Forbidden, "Pages of this origin may not use this project: approvedOrigins doesn't have it.")
		}
		h.Set("Access-Control-Allow-Methods", strings.Join(p.methods, ", "))
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(preflightAge.Seconds())))
		h.Set("X-Content-Type-Options", "nosniff")
		wire.NoStore(h)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
