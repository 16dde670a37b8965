package directory

import (
	"bytes"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// What is said of somebody as a whole, as by a line of a file, rather than as a change by
// a caller: attributes replace those there are. It is checked without a store, so whoever
// says it answers for what is referred to. Whole returns what comes of it, and everything
// that is wrong with that; Turned what a store writes when a stored one is to become like
// this at now, and the events, none when there is nothing to be written.

// Whole is said of a user; grants are left alone.
func (c UserChange) Whole(old User) (User, []fault.Field) {
	if c.Attributes != nil {
		old.Attributes = nil
	}
	var bad problems
	return c.apply(old, &bad), bad
}

// Whole is said of a tenant; settings are left alone.
func (c TenantChange) Whole(old Tenant) (Tenant, []fault.Field) {
	if c.Attributes != nil {
		old.Attributes = nil
	}
	var bad problems
	return c.apply(old, &bad), bad
}

// Whole is said of a role.
func (c RoleChange) Whole(old Role) (Role, []fault.Field) {
	var bad problems
	return c.apply(old, &bad), bad
}

// Whole is everything that is wrong with a permission.
func (p Permission) Whole() []fault.Field {
	var bad problems
	checkWord(&bad, "/name", p.Name)
	checkDescription(&bad, p.Description)
	return bad
}

// Tidy returns grants that mean the same, with every list sorted, and nil when it is empty.
func (g Grants) Tidy() Grants { return g.tidy() }

// Created is the event of a new user.
func (u User) Created(now time.Time, o audit.Origin) audit.Event {
	return grantEvent(audit.New(u.Project, now, audit.UserCreated, o).Of(id.Session{}, u.ID), Grants{}, u.Grants)
}

// Turned is said of a user. Disabling ends their sessions for good.
func (u User) Turned(old User, now time.Time, o audit.Origin) (User, []audit.Event) {
	next := old.Clone()
	next.LoginIDs, next.Name, next.Email, next.Phone = u.LoginIDs, u.Name, u.Email, u.Phone
	next.Status, next.Attributes = u.Status, u.Attributes
	var events []audit.Event
	if next.Status != old.Status || next.Outdated(old) {
		next.UpdatedAt = millis(now)
		t := audit.UserUpdated
		switch {
		case next.Disables(old):
			t = audit.UserDisabled
			next.Epoch++
		case next.Status != old.Status:
			t = audit.UserEnabled
		}
		events = append(events, audit.New(old.Project, now, t, o).Of(id.Session{}, old.ID))
	}
	next, regranted := next.granted(u.Grants, now, o)
	return next, append(events, regranted...)
}

// Created is the event of a new tenant.
func (t Tenant) Created(now time.Time, o audit.Origin) audit.Event {
	return t.event(audit.New(t.Project, now, audit.TenantCreated, o))
}

func (t Tenant) event(e audit.Event) audit.Event {
	return e.With("tenant", t.ID.String()).With("name", t.Name)
}

// Turned is said of a tenant. Disabling ends the sessions in which it is the current one.
func (t Tenant) Turned(old Tenant, now time.Time, o audit.Origin) (Tenant, []audit.Event) {
	next := old
	next.Name, next.Status, next.Attributes, next.Settings = t.Name, t.Status, t.Attributes, t.Settings
	var events []audit.Event
	kind := audit.Type("")
	switch {
	case old.Status == Enabled && next.Status == Disabled:
		kind = audit.TenantDisabled
		next.Epoch++
	case next.Status != old.Status:
		kind = audit.TenantEnabled
	case next.Name != old.Name || !bytes.Equal(next.Attributes, old.Attributes):
		kind = audit.TenantUpdated
	}
	if kind != "" {
		events = append(events, next.event(audit.New(old.Project, now, kind, o)))
	}
	if !sameOverrides(next.Settings, old.Settings) {
		events = append(events, next.event(audit.New(old.Project, now, audit.TenantSettings, o)))
	}
	if len(events) > 0 {
		next.UpdatedAt = millis(now)
	}
	return next, events
}

// Created is the event of a new role.
func (r Role) Created(now time.Time, o audit.Origin) audit.Event {
	return r.event(audit.New(r.Project, now, audit.RoleCreated, o)).With("permissions", texts(r.Permissions))
}

// Turned is said of a role.
func (r Role) Turned(old Role, now time.Time, o audit.Origin) (Role, []audit.Event) {
	if r.Name == old.Name && r.Description == old.Description && slices.Equal(r.Permissions, old.Permissions) {
		return old, nil
	}
	next := old
	next.Name, next.Description, next.Permissions, next.UpdatedAt = r.Name, r.Description, r.Permissions, millis(now)
	e := next.event(audit.New(old.Project, now, audit.RoleUpdated, o))
	if next.Name != old.Name {
		e = e.With("formerName", old.Name)
	}
	if added := without(next.Permissions, old.Permissions); len(added) > 0 {
		e = e.With("added", texts(added))
	}
	if removed := without(old.Permissions, next.Permissions); len(removed) > 0 {
		e = e.With("removed", texts(removed))
	}
	return next, []audit.Event{e}
}
