package native_test

import (
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

func exerciseTenantSettings(t *testing.T, w *world, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	tenant, err := c.CreateTenant(ctx, latchkey.TenantRequest{Name: new("Bank")})
	must(t, err)
	user, err := c.CreateUser(ctx, latchkey.UserRequest{LoginIDs: &[]string{"teller@example.com"}})
	must(t, err)
	_, err = c.SetMembership(ctx, user.ID, tenant.ID)
	must(t, err)
	set, err := c.CreateSession(ctx, latchkey.SignInRequest{User: latchkey.UserNamed(user.ID), AMR: []string{"pwd"}})
	must(t, err)
	all, err := c.DryRunSettings(ctx, nil)
	must(t, err)
	w.clock.Move(time.Hour)

	patch := latchkey.SettingsPatch{"idleTimeout": latchkey.Duration(45 * time.Minute), "stepUpTTL": "1h", "onLimit": nil}
	dry, err := c.DryRunTenantSettings(ctx, tenant.ID, patch)
	must(t, err)
	if dry.Sessions != 1 || dry.Ended != 1 || len(dry.Sample.Ended) != 1 || dry.Sample.Ended[0].Session != set.Session.ID || dry.Sample.Ended[0].User != user.ID ||
		!dry.Sample.Ended[0].EndsAt.Equal(set.Session.ExpiresAt) || !dry.Sample.Ended[0].WouldEndAt.Equal(set.Session.CreatedAt.Add(45*time.Minute)) {
		t.Errorf("dry-run: %+v", dry)
	}
	if all.Sessions < 1 || all.Unchanged != all.Sessions || len(all.Sample.Ended) != 0 {
		t.Errorf("a dry-run of nothing: %+v", all)
	}
	changed, err := c.ChangeTenantSettings(ctx, tenant.ID, patch)
	must(t, err)
	if len(changed.Warnings) != 1 || len(dry.Warnings) != 1 || changed.Warnings[0] != dry.Warnings[0] {
		t.Errorf("warnings %v, in the dry-run %v", changed.Warnings, dry.Warnings)
	}
	read, err := c.TenantSettings(ctx, tenant.ID)
	must(t, err)
	if read.Settings.IdleTimeout.Std() != 45*time.Minute || read.Settings.OnLimit != nil || read.Effective.StepUpTTL.Std() != 10*time.Minute || *read.Effective.OnLimit != "endOldest" {
		t.Errorf("%+v", read)
	}
	if _, err := c.Refresh(ctx, latchkey.RefreshRequest{Token: set.RefreshToken}); latchkey.CodeOf(err) != latchkey.CodeSessionExpired {
		t.Errorf("the refresh after the dry-run's end: %v", err)
	}
	var refusal *latchkey.Error
	for what, call := range map[string]func(latchkey.SettingsPatch) error{
		"change":  func(p latchkey.SettingsPatch) error { _, err := c.ChangeTenantSettings(ctx, tenant.ID, p); return err },
		"dry-run": func(p latchkey.SettingsPatch) error { _, err := c.DryRunTenantSettings(ctx, tenant.ID, p); return err },
	} {
		err := call(latchkey.SettingsPatch{"idleTimeout": "1s", "maxSessionsPerUser": -1})
		if !errors.As(err, &refusal) || refusal.Code != latchkey.CodeOutOfRange || len(refusal.Errors) != 2 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
