package latchkey

import (
	"context"
	"net/http"
	"time"
)

// TenantSettings returns what a tenant overrides of the project's settings. Scope settings.
func (c *Client) TenantSettings(ctx context.Context, tenantID string) (TenantSettingsAnswer, error) {
	return manageCall[TenantSettingsAnswer](ctx, c, http.MethodGet, nil, "tenants", tenantID, "settings")
}

// ChangeTenantSettings changes what a tenant overrides, all of the patch or nothing; nil
// takes an override away. Scope settings. CodeOutOfRange and CodeContradiction say in
// Error.Errors what doesn't fit.
func (c *Client) ChangeTenantSettings(ctx context.Context, tenantID string, patch SettingsPatch) (TenantSettingsAnswer, error) {
	return manageCall[TenantSettingsAnswer](ctx, c, http.MethodPatch, patch.body(), "tenants", tenantID, "settings")
}

// dryRunTime is how long a dry-run may take when the caller has set no earlier deadline:
// the server looks at every session, and lets refreshes pass.
const dryRunTime = 10 * time.Minute

func (c *Client) dryRun(ctx context.Context, patch SettingsPatch, path ...string) (DryRun, error) {
	return managed[DryRun](ctx, c, http.MethodPost, patch.body(), func(op *operation) { op.repeat, op.longest = always, dryRunTime }, path)
}

// DryRunSettings says what ChangeSettings would do to the sessions that live now, and does
// nothing. It refuses what that would refuse. Scope settings. A million sessions take the
// server half a minute when it is busy.
func (c *Client) DryRunSettings(ctx context.Context, patch SettingsPatch) (DryRun, error) {
	return c.dryRun(ctx, patch, "settings", "dry-run")
}

// DryRunTenantSettings is DryRunSettings for ChangeTenantSettings. Scope settings.
func (c *Client) DryRunTenantSettings(ctx context.Context, tenantID string, patch SettingsPatch) (DryRun, error) {
	return c.dryRun(ctx, patch, "tenants", tenantID, "settings", "dry-run")
}

// body is what is sent: a patch that changes nothing is an empty object, not null.
func (p SettingsPatch) body() SettingsPatch {
	if p == nil {
		return SettingsPatch{}
	}
	return p
}
