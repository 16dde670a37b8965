package token

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Outlook is a project as it is going to be.
type Outlook struct {
	Project   id.Project
	Name      string
	Settings  latchkey.Settings
	Templates []json.RawMessage // for users: those of which a session may get any; none: no template
}

// Gauge tells how long the session tokens of users would be in a project that needn't be
// there yet. It signs nothing, and asks no store. It isn't safe for concurrent use.
type Gauge struct {
	p         *project
	templates []compiled
	overhead  int
	limit     int
	row       session.Row
}

// Gauge returns a Gauge. A template that this server can't use counts as none, as it does
// when tokens are made.
func (s *Service) Gauge(o Outlook) *Gauge {
	now := session.Instant(s.d.Now())
	g := &Gauge{p: s.outline(directory.Project{ID: o.Project, Name: o.Name, Settings: o.Settings}), limit: claim.MaxToken}
	for _, doc := range o.Templates {
		c, _ := s.compile(document.User, 0, doc)
		g.templates = append(g.templates, c)
	}
	if len(g.templates) == 0 {
		g.templates = []compiled{{}}
	}
	g.overhead = key.Overhead(key.Algorithm(g.p.Settings.SigningAlgorithm), key.AccessToken)
	if name := g.p.cookieNames[0]; name != "" {
		g.limit = claim.MaxCookie
		g.overhead += len(name)
	}
	g.row = session.Row{
		ID: id.NewSession(now), Project: o.Project,
		State:   session.State{Newest: id.NewRefresh(), RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(g.p.policy.AbsoluteTimeout)},
		Profile: session.Profile{AuthTime: now, AMR: []string{"pwd"}},
	}
	return g
}

// Plain reports whether nothing is known of a user that a Gauge would tell: no template is
// in use and nothing is granted, so the token is as short as any.
func (g *Gauge) Plain(u directory.User) bool {
	return u.Grants.None() && len(g.templates) == 1 && g.templates[0].template == nil
}

// Measure returns how many bytes the longest first token of a user takes before anything is
// left out of it, with the name of its cookie, and how many it may take. What the
// application and sign-in actions add to a session is not in it.
func (g *Gauge) Measure(h directory.Holder) (size, limit int) {
	may := h.Authorize(h.User.Grants)
	b := bearer{row: g.row, holder: h, may: &may, policy: g.p.policy}
	b.row.User = h.User.ID
	m := moment{rule: session.Create, at: g.row.CreatedAt, held: g.row.Newest}
	for _, c := range g.templates {
		for _, b.row.Tenant = range entrances(may, g.p.Settings.AutoTenant) {
			payload := g.p.payload(b, m, g.p.shapedBy(c, b, m.at))
			size = max(size, g.overhead+base64.RawURLEncoding.EncodedLen(len(payload)))
		}
	}
	return size, g.limit
}

// entrances are the current tenants with which a token is tried out: the one that somebody
// gets who asks for none, and the one of which there is most to tell. There may be fifty,
// and a template makes different claims in each.
func entrances(may directory.Authorization, auto bool) []id.Tenant {
	var first id.Tenant
	if auto {
		first = may.Sole()
	}
	list := []id.Tenant{first}
	if len(may.Tenants) == 0 {
		return list
	}
	fullest := slices.MaxFunc(may.Tenants, func(a, b directory.TenantAuthorization) int { return breadth(a) - breadth(b) })
	if fullest.ID != first {
		list = append(list, fullest.ID)
	}
	return list
}

// breadth is about how much there is to tell of a tenant.
func breadth(t directory.TenantAuthorization) int {
	n := len(t.Name) + len(t.Attributes)
	for _, names := range [][]string{t.Roles, t.Permissions} {
		for _, name := range names {
			n += len(name)
		}
	}
	return n
}

// outline returns what of a project is decided by its settings.
func (s *Service) outline(row directory.Project) *project {
	row.Settings = policy.Complete(row.Settings)
	settings := row.Settings
	p := &project{
		Project: row, policy: policy.Of(settings), minted: &s.minted, issuer: quote(s.Issuer(row.ID)),
		sessionDRN: quote(settings.Cookies.SessionName), refreshDRN: quote(settings.Cookies.RefreshName),
		opaque: settings.RefreshTokenFormat == "opaque", claimsInRT: settings.ClaimsInRefreshToken,
	}
	p.shared()
	session, refresh := policy.CookieNames(settings.Cookies)
	if settings.Delivery.Session == "cookie" {
		p.cookieNames[0] = session
	}
	if settings.Delivery.Refresh == "cookie" {
		p.cookieNames[1] = refresh
	}
	return p
}
