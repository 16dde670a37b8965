// Package native is Latchkey's own HTTP API: the end-user endpoints below each
// project's issuer and the management endpoints below /v1/projects. It translates:
// each handler parses its request once into a typed value, makes one call into the
// domain, and renders the outcome. Its routes are a table, and the OpenAPI document is
// made from the same table.
//
// It decides nothing about sessions and knows no store.
package native

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Limiter bounds what one network may ask of the end-user endpoints.
type Limiter interface {
	// Allow reports whether one more request is admitted now, and otherwise when to
	// try again.
	Allow(network netip.Prefix, now time.Time) (ok bool, retryAfter time.Duration)
}

// Counter is told what happened, for metrics.
type Counter interface {
	Refreshed(rule session.Rule)
	SessionCreated()
	SessionsEnded(why session.Reason, n int)
	RateLimited(limit string) // "session" or "network"
	// ClaimsFlagged is told of a call whose claims look like personal data or secrets,
	// and what was done about it.
	ClaimsFlagged(policy claim.LintPolicy)
}

// Deps is what a Face stands on.
type Deps struct {
	Tokens    *token.Service
	Sessions  *session.Service
	Directory *directory.Service
	Keys      *key.Service
	Documents *document.Service
	Events    audit.Store
	// EventWatch wakes those who follow the events; they are let go when Draining is
	// closed.
	EventWatch *audit.Watch
	Webhooks   *webhook.Service
	// Revocations is the revocation feed; its subscribers are let go when Draining is
	// closed.
	Revocations *revocation.Hub
	Draining    <-chan struct{}
	Limiter     Limiter // of requests with an authentic token
	Junk        Limiter // of requests with anything else
	Changes     Limiter // of what the client of one session changes; see changes
	Counter     Counter
	FeedMeter   FeedMeter
	Proxies     wire.Proxies
	Edge        wire.Edge
	PublicURL   string
	Version     string
	Now         func() time.Time
}

// Face serves the native API. It is safe for concurrent use.
type Face struct {
	d       Deps
	address *url.URL // the public URL
	routes  []Route
	// documents are made when somebody asks for them first: that takes longer than
	// everything else at the start of a server.
	documents func() (*Documents, error)
}

// New returns a Face. All members of d but Edge and Proxies are needed.
func New(d Deps) (*Face, error) {
	if d.Tokens == nil || d.Sessions == nil || d.Directory == nil || d.Keys == nil || d.Documents == nil || d.Events == nil || d.EventWatch == nil || d.Webhooks == nil || d.Revocations == nil || d.FeedMeter == nil ||
		d.Limiter == nil || d.Junk == nil || d.Changes == nil || d.Counter == nil || d.Now == nil || d.PublicURL == "" {
		return nil, errors.New("native: a dependency is missing")
	}
	public, err := url.Parse(d.PublicURL)
	if err != nil {
		return nil, errors.New("native: the public URL can't be read")
	}
	f := &Face{d: d, address: public}
	f.routes = f.table()
	for _, r := range f.routes {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	f.documents = sync.OnceValues(func() (*Documents, error) { return newDocuments(f.routes, d.PublicURL, d.Version) })
	return f, nil
}

// Documents returns what describes the API.
func (f *Face) Documents() (*Documents, error) { return f.documents() }

// Routes returns the table of the API.
func (f *Face) Routes() []Route { return f.routes }

// Route is one operation: what serves it, and what the OpenAPI document says of it.
type Route struct {
	Method  string
	Pattern string // as of http.ServeMux, without the method
	ID      string // operationId
	Tag     string
	Summary string
	About   string // more than the summary, when there is more to say
	Scope   directory.Scope
	Query   any // struct of query parameters, nil for none
	Body    any // struct of the request's body, nil for none
	Answer  any // of status 200 or Status
	Status  int // when it isn't 200
	Media   string
	Codes   []latchkey.Code // besides those that every operation may answer
	Lints   bool            // the setting claimLint is obeyed: invalid_request may have status 422
	serve   wire.Handler
	// before says to browsers which pages may read the answer, be it a refusal.
	before func(w http.ResponseWriter, r *http.Request) error
}

// Handler returns what serves the route. It refuses credentials in the URL, and query
// parameters on a route that has none.
func (r Route) Handler(e wire.Edge) http.Handler {
	return e.Handle(func(w http.ResponseWriter, req *http.Request) error {
		if r.before != nil {
			if err := r.before(w, req); err != nil {
				return err
			}
		}
		if err := wire.TokenInURL(req); err != nil {
			return err
		}
		// A parameter that nobody reads, such as a dryRun in the wrong place, must not
		// be taken for one that was obeyed. Public documents take any: some clients
		// add one to get around caches.
		if r.Query == nil && r.Tag != tagDiscovery {
			if err := wire.Query(req, &nothing{}); err != nil {
				return err
			}
		}
		return r.serve(w, req)
	})
}

func (r Route) check() error {
	if r.serve == nil || r.ID == "" || r.Summary == "" || r.Tag == "" {
		return errors.New("native: incomplete route " + r.Method + " " + r.Pattern)
	}
	for _, shape := range []any{r.Query, r.Body} {
		if shape == nil {
			continue
		}
		if err := wire.Check(shape); err != nil {
			return err
		}
	}
	return nil
}

// The tags group operations for readers.
const (
	tagTokens     = "Tokens"
	tagDiscovery  = "Discovery"
	tagSessions   = "Sessions"
	tagUsers      = "Users"
	tagTenants    = "Tenants"
	tagRoles      = "Roles"
	tagSettings   = "Settings"
	tagKeys       = "Signing keys"
	tagTemplates  = "Templates"
	tagEvents     = "Events"
	tagWebhooks   = "Webhooks"
	tagManagement = "Management keys"
	tagAccess     = "Access keys"
	// tagRevocations is what verifiers follow.
	tagRevocations = "Revocations"
)

func (f *Face) table() []Route {
	var all []Route
	for _, part := range [][]Route{
		f.discoveryRoutes(), f.revocationRoutes(), f.tokenRoutes(), f.ownRoutes(), f.standingRoutes(), f.sessionRoutes(), f.endRoutes(),
		f.userRoutes(), f.grantRoutes(), f.batchRoutes(), f.tenantRoutes(), f.roleRoutes(), f.permissionRoutes(), f.projectRoutes(), f.settingsRoutes(), f.tenantSettingsRoutes(), f.templateRoutes(),
		f.keyRoutes(), f.eventRoutes(), f.webhookRoutes(), f.managementKeyRoutes(), f.accessKeyRoutes(),
	} {
		all = append(all, part...)
	}
	for i, r := range all {
		if r.Tag == tagTokens || r.Tag == tagDiscovery {
			all[i].before = func(w http.ResponseWriter, req *http.Request) error { return f.openTo(w, req, r.Tag) }
		}
	}
	return all
}

// origin is who asked for a change, for audit events.
func (f *Face) origin(ctx context.Context, c wire.Client, actor audit.Actor) audit.Origin {
	o := audit.Origin{Actor: actor, RequestID: wire.RequestID(ctx)}
	if c.IP.IsValid() {
		o.IP = c.IP.String()
	}
	return o
}
