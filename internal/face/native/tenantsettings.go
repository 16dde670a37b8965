package native

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (f *Face) tenantSettingsRoutes() []Route {
	scope := directory.ScopeSettings
	path := "/v1/projects/{project}/tenants/{tenant}/settings"
	refusals := []latchkey.Code{latchkey.CodeOutOfRange, latchkey.CodeContradiction}
	about := "Takes what the change itself takes and refuses what it refuses. Counts the live sessions that the change would end or shorten, by the rule that refreshes follow, and shows the oldest of them."
	return []Route{
		{
			Method: "GET", Pattern: path, ID: "getTenantSettings", Tag: tagSettings, Scope: scope,
			Summary: "What a tenant overrides", Answer: latchkey.TenantSettingsAnswer{}, serve: f.managed(scope, f.getTenantSettings),
		},
		{
			Method: "PATCH", Pattern: path, ID: "changeTenantSettings", Tag: tagSettings, Scope: scope,
			Summary: "Change what a tenant overrides",
			About:   "A JSON merge patch (RFC 7396): members left out stay, null takes an override away. A tenant only ever makes things stricter; live sessions of its members obey from their next refresh on. Nothing changes unless everything fits.",
			Body:    latchkey.TenantSettings{}, Answer: latchkey.TenantSettingsAnswer{}, Codes: refusals, serve: f.managed(scope, f.changeTenantSettings),
		},
		{
			Method: "POST", Pattern: "/v1/projects/{project}/settings/dry-run", ID: "dryRunSettings", Tag: tagSettings, Scope: scope,
			Summary: "What a change of settings would do to live sessions; nothing changes", About: about,
			Body: latchkey.Settings{}, Answer: latchkey.DryRun{}, Codes: append(refusals, latchkey.CodeConflict), serve: f.managed(scope, f.dryRunSettings),
		},
		{
			Method: "POST", Pattern: path + "/dry-run", ID: "dryRunTenantSettings", Tag: tagSettings, Scope: scope,
			Summary: "What a change of a tenant's settings would do to the live sessions of its members; nothing changes", About: about,
			Body: latchkey.TenantSettings{}, Answer: latchkey.DryRun{}, Codes: refusals, serve: f.managed(scope, f.dryRunTenantSettings),
		},
	}
}

func (f *Face) getTenantSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	t, err := pathTenant(r)
	if err != nil {
		return err
	}
	answer, err := f.d.Directory.TenantSettings(r.Context(), c.project, t)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

// tenantPatch reads what the three requests about a tenant's settings have in common.
func tenantPatch(r *http.Request) (t id.Tenant, patch json.RawMessage, err error) {
	if t, err = pathTenant(r); err == nil {
		err = wire.Decode(r, wire.MaxBody, &patch)
	}
	return t, patch, err
}

func (f *Face) changeTenantSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	t, patch, err := tenantPatch(r)
	if err != nil {
		return err
	}
	answer, err := f.d.Directory.ChangeTenantSettings(r.Context(), c.project, t, patch, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (f *Face) dryRunSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	var patch json.RawMessage
	if err := wire.Decode(r, wire.MaxBody, &patch); err != nil {
		return err
	}
	p, err := f.d.Directory.ProposeSettings(r.Context(), c.project, patch)
	if err != nil {
		return err
	}
	return f.foresee(w, r, c, p, id.Tenant{})
}

func (f *Face) dryRunTenantSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	t, patch, err := tenantPatch(r)
	if err != nil {
		return err
	}
	p, err := f.d.Directory.ProposeTenantSettings(r.Context(), c.project, t, patch)
	if err != nil {
		return err
	}
	return f.foresee(w, r, c, p, t)
}

func (f *Face) foresee(w http.ResponseWriter, r *http.Request, c caller, p directory.Proposal, members id.Tenant) error {
	// Millions of sessions take longer than the server gives other answers. Who waits no
	// longer ends the context, so only the writing needs a deadline. A writer without
	// deadlines is one without a connection.
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Time{})
	seen, err := f.d.Sessions.Foresee(r.Context(), c.project, session.PolicyChange{Before: p.Before, After: p.After, Members: members})
	rc.SetWriteDeadline(time.Now().Add(patience))
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.DryRun{
		Sessions: seen.Live(), Ended: seen.Ended.Count, Shortened: seen.Shortened.Count, Extended: seen.Extended.Count, Unchanged: seen.Unchanged.Count,
		Sample:   latchkey.DryRunSample{Ended: renderFates(seen.Ended), Shortened: renderFates(seen.Shortened), Extended: renderFates(seen.Extended)},
		Warnings: p.Warnings,
	})
}

func renderFates(f session.Fates) []latchkey.DryRunSession {
	out := []latchkey.DryRunSession{}
	for _, fate := range f.First {
		out = append(out, latchkey.DryRunSession{
			Session: fate.Session.String(), User: fate.User.String(), EndsAt: fate.EndsAt.UTC(), WouldEndAt: fate.WouldEndAt.UTC(),
		})
	}
	return out
}
