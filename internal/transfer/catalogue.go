package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// at returns when something was made: as the file says, or now.
func (r *reading) at(given *time.Time) time.Time {
	if given != nil {
		return time.UnixMilli(given.UnixMilli()).UTC()
	}
	return time.UnixMilli(r.d.Now().UnixMilli()).UTC()
}

// stored returns what a store has, and whether it has any.
func stored[T any](r *reading, find func() (T, error)) (T, bool, error) {
	var none T
	if r.target.New {
		return none, false, nil
	}
	found, err := find()
	if fault.KindOf(err) == fault.NotFound {
		return none, false, nil
	}
	return found, err == nil, err
}

func (r *reading) projectLine(n int, record projectRecord) error {
	if r.project > 0 {
		r.report.problem(n, "", "duplicate", fmt.Sprintf("Line %d is about the project, too.", r.project))
		return nil
	}
	r.project = n
	old, there, err := stored(r, func() (directory.Project, error) { return r.d.Directory.Project(r.ctx, r.target.Project) })
	if err != nil {
		return err
	}
	next := old
	if !there {
		next = directory.Project{Name: "imported", Settings: policy.Defaults()}
	}
	if record.Name != nil {
		next.Name = *record.Name
		r.report.fields(n, "", directory.ProjectChange{Name: record.Name}.Check())
	}
	if record.Settings != nil {
		if next.Settings, err = r.settings(n, next.Settings, record.Settings); err != nil {
			return err
		}
	}
	r.report.outlook.name, r.report.outlook.settings = next.Name, &next.Settings
	same := there && next.Name == old.Name && equalJSON(next.Settings, policy.Complete(old.Settings))
	r.report.count(Project, there, same)
	if !r.apply || same || r.report.Found > 0 {
		return nil
	}
	if _, err := r.d.Directory.ChangeProject(r.ctx, r.target.Project, directory.ProjectChange{Name: &next.Name}, r.target.Origin); err != nil {
		return err
	}
	if record.Settings == nil {
		return nil
	}
	_, err = r.d.Directory.ChangeSettings(r.ctx, r.target.Project, record.Settings, r.target.Origin)
	return err
}

// settings returns the project's settings with those of the file.
func (r *reading) settings(n int, base latchkey.Settings, given json.RawMessage) (latchkey.Settings, error) {
	next, err := policy.Patch(base, given)
	if r.refused(n, "/settings", err) {
		return base, nil
	}
	if _, err := policy.Check(next, ""); r.refused(n, "/settings", err) {
		return base, nil
	}
	if next.CustomDomain == "" {
		return next, nil
	}
	other, taken, err := r.d.Directory.ProjectAt(r.ctx, next.CustomDomain)
	if taken && other != r.target.Project {
		r.refused(n, "/settings", directory.DomainTaken())
	}
	return next, err
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func (r *reading) permissionLine(n int, record permissionRecord) error {
	if at, twice := r.known.permLines[record.Name]; twice {
		r.report.problem(n, "/name", "duplicate", fmt.Sprintf("Line %d has this permission, too.", at))
		return nil
	}
	r.known.permLines[record.Name] = n
	all, err := r.known.catalogue(r.ctx)
	if err != nil {
		return err
	}
	old, there := all[record.Name]
	next := directory.Permission{Project: r.target.Project, Name: record.Name, Description: old.Description, CreatedAt: r.at(record.CreatedAt)}
	if record.Description != nil {
		next.Description = *record.Description
	}
	r.report.fields(n, "", next.Whole())
	if all[next.Name] = next; len(all) == directory.MaxPermissions+1 && !there {
		r.report.problem(n, "", "size", fmt.Sprintf("A project has at most %d permissions.", directory.MaxPermissions))
	}
	same := there && old.Description == next.Description
	r.report.count(Permission, there, same)
	if !r.apply || same || r.report.Found > 0 {
		return nil
	}
	e := audit.New(r.target.Project, r.d.Now(), audit.PermissionCreated, r.target.Origin).With("name", next.Name)
	if !there {
		return r.d.Store.Permissions().Insert(r.ctx, next, e)
	}
	e.Type = audit.PermissionUpdated
	_, err = r.d.Store.Permissions().Describe(r.ctx, r.target.Project, next.Name, next.Description, e)
	return err
}

func (r *reading) roleLine(n int, record roleRecord) error {
	if at, twice := r.known.roleLines[record.ID]; twice {
		r.report.problem(n, "/id", "duplicate", fmt.Sprintf("Line %d has this id, too.", at))
		return nil
	}
	r.known.roleLines[record.ID] = n
	old, there, err := stored(r, func() (directory.Role, error) { return r.d.Store.Roles().Find(r.ctx, r.target.Project, record.ID) })
	if err != nil {
		return err
	}
	if record.Name == nil && !there {
		record.Name = new(string)
	}
	next, bad := directory.RoleChange{Name: record.Name, Description: record.Description, Permissions: record.Permissions}.Whole(old)
	r.report.fields(n, "", bad)
	if !there {
		next.ID, next.Project, next.CreatedAt = record.ID, r.target.Project, r.at(record.CreatedAt)
		next.UpdatedAt = r.at(nil)
	}
	if fine, err := r.place(n, record.Tenant, old, &next, there); err != nil || !fine {
		return err
	}
	if err := r.rolePermissions(n, record.Permissions); err != nil {
		return err
	}
	r.known.keepRole(next)
	turned, events := next.Turned(old, r.d.Now(), r.target.Origin)
	r.report.count(Role, there, len(events) == 0)
	switch {
	case !r.apply || r.report.Found > 0:
	case !there:
		return r.d.Store.Roles().Insert(r.ctx, next, next.Created(r.d.Now(), r.target.Origin))
	case len(events) > 0:
		_, err = r.d.Store.Roles().Change(r.ctx, r.target.Project, turned.ID, func(old directory.Role) (directory.Role, []audit.Event, error) {
			turned, events := next.Turned(old, r.d.Now(), r.target.Origin)
			return turned, events, nil
		})
	}
	return err
}

// place finds where a role belongs and whether there is room and its name is free, and
// makes it known to the lines behind it.
func (r *reading) place(n int, given *id.Tenant, old directory.Role, next *directory.Role, there bool) (bool, error) {
	t := old.Tenant
	if given != nil {
		t = *given
	}
	if there && t != old.Tenant {
		r.report.problem(n, "/tenant", "conflict", "The project has this role at another level, and a role stays where it is.")
		return false, nil
	}
	next.Tenant = t
	if !t.IsZero() {
		if known, err := r.known.tenant(r.ctx, t); err != nil || !known {
			if err == nil {
				r.report.problem(n, "/tenant", "unknown", "There is no such tenant, neither before this line nor in the project.")
			}
			return false, err
		}
	}
	l, err := r.known.level(r.ctx, t)
	if err != nil {
		return false, err
	}
	if other, taken := l.byName[next.Name]; taken && other != next.ID {
		r.report.problem(n, "/name", "duplicate", fmt.Sprintf("The role %s has this name at the same level.", other))
		return false, nil
	}
	most := directory.MaxProjectRoles
	if !t.IsZero() {
		most = directory.MaxTenantRoles
	}
	if l.put(next.ID, next.Name); len(l.byID) > most && !there {
		r.report.problem(n, "", "size", fmt.Sprintf("There are at most %d roles at this level.", most))
	}
	return true, nil
}

func (r *reading) rolePermissions(n int, names *[]string) error {
	if names == nil {
		return nil
	}
	all, err := r.known.catalogue(r.ctx)
	if err != nil {
		return err
	}
	for i, name := range *names {
		if _, there := all[name]; !there {
			r.report.problem(n, fmt.Sprintf("/permissions/%d", i), "unknown", "There is no such permission, neither before this line nor in the project.")
		}
	}
	return nil
}

func (r *reading) tenantLine(n int, record tenantRecord) error {
	if at, twice := r.known.tenantLines[record.ID]; twice {
		r.report.problem(n, "/id", "duplicate", fmt.Sprintf("Line %d has this id, too.", at))
		return nil
	}
	r.known.tenantLines[record.ID] = n
	r.known.tenants[record.ID] = true
	old, there, err := stored(r, func() (directory.Tenant, error) { return r.d.Store.Tenants().Find(r.ctx, r.target.Project, record.ID) })
	if err != nil {
		return err
	}
	base := old
	if !there {
		base = directory.Tenant{ID: record.ID, Project: r.target.Project, Status: directory.Enabled, CreatedAt: r.at(record.CreatedAt), UpdatedAt: r.at(nil)}
	}
	change := directory.TenantChange{Name: record.Name, Status: (*directory.Status)(record.Status), Attributes: record.Attributes}
	next, bad := change.Whole(base)
	r.report.fields(n, "", bad)
	if record.Settings != nil {
		r.overrides(n, record.Settings, &next)
	}
	r.known.keepTenant(next)
	_, events := next.Turned(old, r.d.Now(), r.target.Origin)
	r.report.count(Tenant, there, len(events) == 0)
	switch {
	case !r.apply || r.report.Found > 0:
	case !there:
		return r.d.Store.Tenants().Insert(r.ctx, next, next.Created(r.d.Now(), r.target.Origin))
	case len(events) > 0:
		_, err = r.d.Store.Tenants().Change(r.ctx, r.target.Project, next.ID, func(old directory.Tenant) (directory.Tenant, []audit.Event, error) {
			turned, events := next.Turned(old, r.d.Now(), r.target.Origin)
			return turned, events, nil
		})
	}
	return err
}

// overrides reads what a tenant overrides: all of it, so nothing is left from before.
func (r *reading) overrides(n int, given json.RawMessage, next *directory.Tenant) {
	settings, err := policy.PatchTenant(latchkey.TenantSettings{}, given)
	if err == nil {
		_, err = policy.CheckTenant(settings, policy.Defaults())
	}
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		r.report.fields(n, "/settings", slices.Clone(refusal.Fields))
		return
	}
	if !r.refused(n, "/settings", err) {
		next.Settings = settings
	}
}
