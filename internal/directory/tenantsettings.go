package directory

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// TenantSettings returns what a tenant overrides of its project's settings;
// fault.NotFound when the project has no such tenant.
func (s *Service) TenantSettings(ctx context.Context, p id.Project, t id.Tenant) (latchkey.TenantSettingsAnswer, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return latchkey.TenantSettingsAnswer{}, err
	}
	tenant, err := s.tenants.Find(ctx, p, t)
	if err != nil {
		return latchkey.TenantSettingsAnswer{}, err
	}
	warnings, err := policy.CheckTenant(tenant.Settings, policy.Complete(project.Settings))
	if err != nil {
		// Ranges may have become narrower since: show what is stored all the same.
		warnings = []latchkey.Warning{{Detail: "The stored settings are outside today's ranges: " + err.Error()}}
	}
	return tenantAnswer(project, tenant.Settings, warnings), nil
}

func tenantAnswer(p Project, t latchkey.TenantSettings, warnings []latchkey.Warning) latchkey.TenantSettingsAnswer {
	return latchkey.TenantSettingsAnswer{Settings: t, Effective: policy.Effective(policy.Complete(p.Settings), t), Warnings: warnings}
}

// ChangeTenantSettings applies a JSON merge patch to what a tenant overrides; null takes an
// override away. When anything is wrong nothing changes and every problem is reported.
// Sessions of the tenant's members are judged by the result from their next refresh on.
func (s *Service) ChangeTenantSettings(ctx context.Context, p id.Project, t id.Tenant, patch []byte, o audit.Origin) (latchkey.TenantSettingsAnswer, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return latchkey.TenantSettingsAnswer{}, err
	}
	if project.Status == Deleted {
		return latchkey.TenantSettingsAnswer{}, errGone()
	}
	if _, err := policy.PatchTenant(latchkey.TenantSettings{}, patch); err != nil {
		// What can't be read on any settings isn't worth a transaction.
		return latchkey.TenantSettingsAnswer{}, err
	}
	now := s.now()
	var warnings []latchkey.Warning
	changed, err := s.tenants.Change(ctx, p, t, func(old Tenant) (Tenant, []audit.Event, error) {
		next := old
		var err error
		if next.Settings, warnings, err = patchedTenant(project, old, patch); err != nil {
			return old, nil, err
		}
		if sameOverrides(next.Settings, old.Settings) {
			return old, nil, nil
		}
		next.UpdatedAt = millis(now)
		var plain bytes.Buffer
		if err := json.Compact(&plain, patch); err != nil {
			return old, nil, err // PatchTenant has read it, so it can't happen
		}
		return next, []audit.Event{audit.New(p, now, audit.TenantSettings, o).With("tenant", t.String()).With("patch", plain.String())}, nil
	})
	if err != nil {
		return latchkey.TenantSettingsAnswer{}, err
	}
	return tenantAnswer(project, changed.Settings, warnings), nil
}

func patchedTenant(p Project, t Tenant, patch []byte) (latchkey.TenantSettings, []latchkey.Warning, error) {
	next, err := policy.PatchTenant(t.Settings, patch)
	if err != nil {
		return latchkey.TenantSettings{}, nil, err
	}
	warnings, err := policy.CheckTenant(next, policy.Complete(p.Settings))
	return next, warnings, err
}

// Proposal is a change of settings that could be made.
type Proposal struct {
	Before, After policy.Rules
	Warnings      []latchkey.Warning // never nil
}

// ProposeSettings refuses what ChangeSettings would refuse, and changes nothing. Whether
// a custom domain is another project's is known with some seconds of delay.
func (s *Service) ProposeSettings(ctx context.Context, p id.Project, patch []byte) (Proposal, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return Proposal{}, err
	}
	settings, warnings, err := s.patched(project, patch)
	if err != nil {
		return Proposal{}, err
	}
	if settings.CustomDomain != "" && settings.CustomDomain != project.Settings.CustomDomain {
		other, taken, err := s.ProjectAt(ctx, settings.CustomDomain)
		if err != nil {
			return Proposal{}, err
		}
		if taken && other != p {
			return Proposal{}, DomainTaken()
		}
	}
	before, err := s.rules(ctx, project)
	if err != nil {
		return Proposal{}, err
	}
	after := before
	after.Project = policy.Of(settings)
	return Proposal{before, after, warnings}, nil
}

// ProposeTenantSettings is ProposeSettings for ChangeTenantSettings.
func (s *Service) ProposeTenantSettings(ctx context.Context, p id.Project, t id.Tenant, patch []byte) (Proposal, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return Proposal{}, err
	}
	if project.Status == Deleted {
		return Proposal{}, errGone()
	}
	tenant, err := s.tenants.Find(ctx, p, t)
	if err != nil {
		return Proposal{}, err
	}
	next, warnings, err := patchedTenant(project, tenant, patch)
	if err != nil {
		return Proposal{}, err
	}
	before, err := s.rules(ctx, project)
	if err != nil {
		return Proposal{}, err
	}
	after := policy.Rules{Project: before.Project, Tenants: map[id.Tenant]latchkey.TenantSettings{}}
	for t, overrides := range before.Tenants {
		after.Tenants[t] = overrides
	}
	if tenant.Status == Enabled {
		// A disabled tenant decides nothing until it is enabled again.
		after.Tenants[t] = next
	}
	return Proposal{before, after, warnings}, nil
}

// rules returns what the project and its tenants decide.
func (s *Service) rules(ctx context.Context, p Project) (policy.Rules, error) {
	overrides, err := s.tenants.Overrides(ctx, p.ID)
	if err != nil {
		return policy.Rules{}, err
	}
	r := policy.Rules{Project: policy.Of(policy.Complete(p.Settings)), Tenants: map[id.Tenant]latchkey.TenantSettings{}}
	for _, t := range overrides {
		r.Tenants[t.ID] = t.Settings
	}
	return r, nil
}
