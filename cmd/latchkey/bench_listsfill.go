package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite"
)

// listsRun is one run.
type listsRun struct {
	*bench
	lists listsPlan
	url   string
	key   secret.Text // management key

	people    []id.User
	tenants   []id.Tenant
	role      id.Role // that every tenth user has
	from, to  time.Time
	concerned int      // sessions of users with the role
	sampled   []string // identifiers of some sessions
}

const (
	perTenant = 100                 // members of one tenant
	span      = 20 * 24 * time.Hour // over which sessions were made
	userBatch = 1000
)

// permissionsOfRole are what the role has, by turns.
var permissionsOfRole = [...]string{"invoice:read", "invoice:write"}

// fill makes the store.
func (r *listsRun) fill(ctx context.Context) error {
	st, app, err := r.found(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	_, key, err := app.Directory.CreateKey(ctx, r.project, directory.NewKey{Name: "bench", Kind: secret.Management}, directory.ManagementKey{}, byCLI)
	if err != nil {
		return err
	}
	r.key = key
	r.to = time.Now()
	r.from = r.to.Add(-span)
	if err := r.makeGrants(ctx, st); err != nil {
		return err
	}
	if err := r.makeUsers(ctx, st); err != nil {
		return err
	}
	held, err := r.makeSessions(ctx, st)
	if err != nil {
		return err
	}
	return r.mintFor(ctx, app, held)
}

// event is what a store wants to know of each change.
func (r *listsRun) event(kind audit.Type) audit.Event { return audit.New(r.project, r.to, kind, byCLI) }

func (r *listsRun) makeGrants(ctx context.Context, st *sqlite.Store) error {
	for _, name := range permissionsOfRole {
		p := directory.Permission{Project: r.project, Name: name, CreatedAt: r.from}
		if err := st.Permissions().Insert(ctx, p, r.event(audit.PermissionCreated)); err != nil {
			return err
		}
	}
	r.role = id.NewRole(r.from)
	role := directory.Role{ID: r.role, Project: r.project, Name: "clerk", Permissions: []string{permissionsOfRole[0]}, CreatedAt: r.from, UpdatedAt: r.from}
	if err := st.Roles().Insert(ctx, role, r.event(audit.RoleCreated)); err != nil {
		return err
	}
	for i := range r.lists.users/perTenant + 1 {
		t := directory.Tenant{ID: id.NewTenant(r.from), Project: r.project, Name: fmt.Sprintf("Customer %d", i), Status: directory.Enabled, CreatedAt: r.from, UpdatedAt: r.from}
		if err := st.Tenants().Insert(ctx, t, r.event(audit.TenantCreated)); err != nil {
			return err
		}
		r.tenants = append(r.tenants, t.ID)
	}
	return nil
}

var (
	firstNames = [...]string{"Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Ken", "Radia", "Tony"}
	lastNames  = [...]string{"Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Allen", "Thompson", "Perlman", "Hoare"}
)

// makeUsers adds the users. Every tenth has the role, every other one is in one tenant, and
// every fiftieth is disabled.
func (r *listsRun) makeUsers(ctx context.Context, st *sqlite.Store) error {
	for len(r.people) < r.lists.users {
		var edits []directory.UserEdit
		for range min(userBatch, r.lists.users-len(r.people)) {
			u := r.person(len(r.people))
			r.people = append(r.people, u.ID)
			edits = append(edits, directory.UserEdit{User: u.ID, Edit: func(directory.User) (directory.User, []audit.Event, error) { return u, nil, nil }})
		}
		refusals, err := st.Batches().Apply(ctx, r.project, edits)
		if err = errors.Join(append(refusals, err)...); err != nil {
			return err
		}
		r.show.show("storing users: %d of %d", len(r.people), r.lists.users)
	}
	return nil
}

func (r *listsRun) person(i int) directory.User {
	at := session.Instant(r.from.Add(time.Duration(i) * (span / time.Duration(r.lists.users))))
	email := fmt.Sprintf("user%d@example.com", i)
	u := directory.User{
		ID: id.NewUser(at), Project: r.project, LoginIDs: []string{email}, Email: email, Status: directory.Enabled, CreatedAt: at, UpdatedAt: at,
		Name: fmt.Sprintf("%s %s %d", firstNames[i%10], lastNames[i/10%10], i),
	}
	if i%10 == 0 {
		u.Roles = []id.Role{r.role}
	}
	if i%2 == 0 {
		u.Memberships = []directory.Membership{{Tenant: r.tenants[i%len(r.tenants)]}}
	}
	if i%50 == 49 {
		u.Status = directory.Disabled
	}
	return u
}

// makeSessions stores sessions of users at random, and returns some of those that a change
// of the role concerns.
func (r *listsRun) makeSessions(ctx context.Context, st *sqlite.Store) (held []session.Row, err error) {
	_, err = st.Load(ctx, r.logins(func(i, user int, row session.Row) {
		live := user%50 != 49 && row.EndedAt.IsZero()
		if user%10 == 0 && live {
			if r.concerned++; len(held) < inHand {
				held = append(held, row)
			}
		}
		if i%(r.lists.sessions/1000+1) == 0 {
			r.sampled = append(r.sampled, row.ID.String())
		}
		r.show.show("storing sessions: %d of %d", i+1, r.lists.sessions)
	}))
	return held, err
}

// logins are the sessions, oldest first. Some were ended, and those of members are in
// their tenant.
func (r *listsRun) logins(each func(i, user int, row session.Row)) iter.Seq[session.Row] {
	return func(yield func(session.Row) bool) {
		for i := range r.lists.sessions {
			at := session.Instant(r.from.Add(time.Duration(i) * (span / time.Duration(r.lists.sessions))))
			user := rand.IntN(len(r.people))
			row := benchRow(r.project, r.people[user], at, i)
			if user%2 == 0 {
				row.Tenant = r.tenants[user%len(r.tenants)]
			}
			if i%40 == 39 {
				row.EndedAt, row.EndReason = at.Add(time.Hour), session.Logout
			}
			each(i, user, row)
			if !yield(row) {
				return
			}
		}
	}
}

func (r *listsRun) mintFor(ctx context.Context, app *server.App, rows []session.Row) error {
	if len(rows) == 0 {
		return errors.New("no user with the role has a session: take more users and sessions")
	}
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return r.mint(ctx, app, rows)
}
