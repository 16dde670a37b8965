package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// page is how many rows are read at once.
const page = 500

// Export writes a project as it is. The same project gives the same bytes each time. What
// others change meanwhile is in the file as it was before or as it is afterwards, each
// line for itself; references to what was deleted are left out. progress is told of the
// lines written, now and then.
func (s *Service) Export(ctx context.Context, p id.Project, to io.Writer, progress func(Counts)) (Counts, error) {
	project, err := s.d.Store.Projects().Find(ctx, p)
	if err != nil {
		return nil, err
	}
	if project.Status == directory.Deleted {
		return nil, fault.New(fault.NotFound, "The project was deleted.")
	}
	buffered := bufio.NewWriterSize(to, 256<<10)
	e := exporter{
		s: s, ctx: ctx, p: p, out: json.NewEncoder(buffered), counts: Counts{}, progress: progress,
		roles: map[id.Role]id.Tenant{}, tenants: map[id.Tenant]bool{},
	}
	e.out.SetEscapeHTML(false)
	for _, step := range []func() error{
		func() error { return e.project(project) }, e.permissions, func() error { return e.rolesOf(id.Tenant{}) }, e.allTenants, e.users,
		e.accessKeys, e.templates, e.webhooks, e.end,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return e.counts, buffered.Flush()
}

type exporter struct {
	s        *Service
	ctx      context.Context
	p        id.Project
	out      *json.Encoder
	counts   Counts
	progress func(Counts)

	// What was written and may be referred to.
	roles   map[id.Role]id.Tenant
	tenants map[id.Tenant]bool
	last    id.User // all that aren't greater
}

func (e *exporter) write(k Kind, record any) error {
	e.counts[k]++
	return e.out.Encode(record)
}

// next is called between two pages.
func (e *exporter) next() error {
	e.progress(e.counts)
	return e.ctx.Err()
}

func (e *exporter) project(p directory.Project) error {
	if err := e.out.Encode(header{"project", format}); err != nil {
		return err
	}
	settings, err := json.Marshal(policy.Complete(p.Settings))
	if err != nil {
		return err
	}
	return e.write(Project, projectRecord{Project, p.ID, &p.Name, settings})
}

func (e *exporter) permissions() error {
	for after, more := "", true; more; {
		list, err := e.s.d.Store.Permissions().List(e.ctx, e.p, after, page)
		if err != nil {
			return err
		}
		for _, p := range list {
			if err := e.write(Permission, permissionRecord{Permission, p.Name, &p.Description, &p.CreatedAt}); err != nil {
				return err
			}
			after = p.Name
		}
		if more = len(list) == page; e.next() != nil {
			return e.ctx.Err()
		}
	}
	return nil
}

func (e *exporter) rolesOf(level id.Tenant) error {
	q := directory.RoleQuery{Project: e.p, Tenant: level, Limit: page}
	for more := true; more; {
		list, err := e.s.d.Store.Roles().List(e.ctx, q)
		if err != nil {
			return err
		}
		for _, r := range list {
			record := roleRecord{Kind: Role, ID: r.ID, Name: &r.Name, Description: &r.Description, Permissions: given(r.Permissions), CreatedAt: &r.CreatedAt}
			if !level.IsZero() {
				record.Tenant = &r.Tenant
			}
			if err := e.write(Role, record); err != nil {
				return err
			}
			e.roles[r.ID], q.After = level, r.ID
		}
		more = len(list) == page
	}
	return e.ctx.Err()
}

func (e *exporter) allTenants() error {
	q := directory.TenantQuery{Project: e.p, Limit: page}
	for more := true; more; {
		list, next, err := e.s.d.Store.Tenants().List(e.ctx, q)
		if err != nil {
			return err
		}
		for _, t := range list {
			if err := e.tenant(t); err != nil {
				return err
			}
		}
		q.After, more = next, !next.IsZero()
		if err := e.next(); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) tenant(t directory.Tenant) error {
	settings, err := tenantSettings(t.Settings)
	if err != nil {
		return err
	}
	record := tenantRecord{
		Kind: Tenant, ID: t.ID, Name: &t.Name, Status: (*string)(&t.Status), Attributes: object(t.Attributes), Settings: settings, CreatedAt: &t.CreatedAt,
	}
	if err := e.write(Tenant, record); err != nil {
		return err
	}
	e.tenants[t.ID] = true
	return e.rolesOf(t.ID)
}

func (e *exporter) users() error {
	after := id.User{}
	for more := true; more; {
		list, err := e.s.d.Store.Users().List(e.ctx, e.p, after, page)
		if err != nil {
			return err
		}
		for _, u := range list {
			if err := e.write(User, e.user(u)); err != nil {
				return err
			}
			after, e.last = u.ID, u.ID
		}
		if more = len(list) == page; e.next() != nil {
			return e.ctx.Err()
		}
	}
	return nil
}

func (e *exporter) user(u directory.User) userRecord {
	roles, members := e.granted(u.Grants)
	return userRecord{
		Kind: User, ID: &u.ID, LoginIDs: given(u.LoginIDs), Name: &u.Name, Email: &u.Email, Phone: &u.Phone, Status: (*string)(&u.Status),
		Attributes: object(u.Attributes), Roles: &roles, Tenants: &members, CreatedAt: &u.CreatedAt,
	}
}

// granted returns those grants whose tenants and roles are in the file.
func (e *exporter) granted(g directory.Grants) ([]string, []memberRecord) {
	members := []memberRecord{}
	for _, m := range g.Memberships {
		if e.tenants[m.Tenant] {
			members = append(members, memberRecord{m.Tenant.String(), e.named(m.Roles, m.Tenant)})
		}
	}
	return e.named(g.Roles, id.Tenant{}), members
}

// named returns those roles that may be granted at a level and are in the file.
func (e *exporter) named(roles []id.Role, level id.Tenant) []string {
	out := []string{}
	for _, r := range roles {
		if of, written := e.roles[r]; written && (of.IsZero() || of == level) {
			out = append(out, r.String())
		}
	}
	return out
}

func (e *exporter) end() error {
	if err := e.out.Encode(endRecord{end, e.counts}); err != nil {
		return fmt.Errorf("the end of the export: %w", err)
	}
	return nil
}

// given is a list as a line has it: there, also when it is empty.
func given(list []string) *[]string {
	if list == nil {
		list = []string{}
	}
	return &list
}

func object(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("{}")
	}
	return raw
}
