package server_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// foreseen is a project with generated sessions.
type foreseen struct {
	*world
	g       *rand.Rand
	project directory.Project
	tenants []directory.Tenant
	places  map[id.User][]id.Tenant
	roles   []id.Role
	gone    map[id.User]bool // disabled or deleted
	closed  map[id.Tenant]bool
	rows    []session.Row
}

func (f *foreseen) span() time.Duration {
	return []time.Duration{5 * time.Minute, time.Hour, 24 * time.Hour, 3 * 24 * time.Hour, 10 * 24 * time.Hour, 28 * 24 * time.Hour}[f.g.IntN(6)]
}

// patch is a random change of the settings that matter, for a project or a tenant.
func (f *foreseen) patch() string {
	absolute := f.span()
	idle := "off"
	if f.g.IntN(3) > 0 {
		idle = latchkey.Duration(min(absolute, f.span())).String()
	}
	switch f.g.IntN(4) {
	case 0:
		return fmt.Sprintf(`{"sessionTokenTTL":"1m","idleTimeout":%q,"absoluteTimeout":null}`, idle)
	case 1:
		return fmt.Sprintf(`{"sessionTokenTTL":"1m","idleTimeout":null,"absoluteTimeout":%q}`, latchkey.Duration(absolute))
	case 2:
		return `{"sessionTokenTTL":"2m","idleTimeout":null,"absoluteTimeout":null,"maxSessionsPerUser":1}`
	}
	return fmt.Sprintf(`{"sessionTokenTTL":"1m","idleTimeout":%q,"absoluteTimeout":%q}`, idle, latchkey.Duration(absolute))
}

// generate makes a project with tenants, users in up to three of them, and sessions of
// every age that were refreshed or repeated at any time. Some are in a tenant, in some
// somebody acts as the user, and of some the user or the tenant is disabled or gone.
func generate(t *testing.T, seed uint64, sessions int) *foreseen {
	t.Helper()
	f := &foreseen{world: newApp(t, slog.LevelError), g: rand.New(rand.NewPCG(seed, seed)), places: map[id.User][]id.Tenant{}, gone: map[id.User]bool{}, closed: map[id.Tenant]bool{}}
	var err error
	f.project, err = f.app.CreateProject(t.Context(), "acme", operator)
	f.must(err)
	// No rate limit, and no reuse window in which a session gets no new end.
	_, err = f.app.Directory.ChangeSettings(t.Context(), f.project.ID, []byte(`{"reuseWindow":"0s","refreshRateLimit":100000}`), operator)
	f.must(err)
	_, err = f.app.Directory.ChangeSettings(t.Context(), f.project.ID, []byte(f.patch()), operator)
	f.must(err)
	now := f.clock.Now()
	for i := range 6 {
		tenant := directory.Tenant{ID: id.NewTenant(now), Project: f.project.ID, Name: fmt.Sprint("tenant ", i), Status: directory.Enabled, CreatedAt: now, UpdatedAt: now}
		if i == 5 {
			tenant.Status = directory.Disabled
		}
		f.must(f.store.Tenants().Insert(t.Context(), tenant, audit.New(f.project.ID, now, audit.TenantCreated, operator)))
		if f.g.IntN(3) > 0 {
			_, err = f.app.Directory.ChangeTenantSettings(t.Context(), f.project.ID, tenant.ID, []byte(f.patch()), operator)
			f.must(err)
		}
		f.tenants = append(f.tenants, tenant)
	}
	role := directory.Role{ID: id.NewRole(now), Project: f.project.ID, Name: "admin", CreatedAt: now, UpdatedAt: now}
	f.must(f.store.Roles().Insert(t.Context(), role, audit.New(f.project.ID, now, audit.RoleCreated, operator)))
	f.roles = []id.Role{role.ID}
	var users []id.User
	for i := range 50 {
		users = append(users, f.user(fmt.Sprintf("user%d@example.com", i)))
	}
	version, err := f.store.Projects().Version(t.Context(), f.project.ID)
	f.must(err)
	keys, err := f.store.Keys().List(t.Context(), f.project.ID)
	f.must(err)
	for range sessions {
		row := f.session(users[f.g.IntN(len(users))])
		row.SigningKey = keys[0].ID
		row, err := f.store.Sessions().Insert(t.Context(), row, version, session.Admission{})
		f.must(err)
		f.rows = append(f.rows, row)
	}
	f.close(users)
	return f
}

// close disables and deletes what sessions stand on.
func (f *foreseen) close(users []id.User) {
	for i, u := range users[:6] {
		f.gone[u] = true
		if i < 3 {
			_, err := f.app.Directory.ChangeUser(f.t.Context(), f.project.ID, u, directory.UserChange{Status: new(directory.Disabled)}, operator)
			f.must(err)
			continue
		}
		f.must(f.app.Directory.DeleteUser(f.t.Context(), f.project.ID, u, operator))
	}
	if f.g.IntN(2) == 0 {
		f.closed[f.tenants[4].ID] = true
		_, err := f.app.Directory.ChangeTenant(f.t.Context(), f.project.ID, f.tenants[4].ID, directory.TenantChange{Status: new(directory.Disabled)}, operator)
		f.must(err)
	}
}

func (f *foreseen) user(login string) id.User {
	now := f.clock.Now()
	u := directory.User{ID: id.NewUser(now), Project: f.project.ID, LoginIDs: []string{login}, Status: directory.Enabled, CreatedAt: now, UpdatedAt: now}
	for _, i := range f.g.Perm(len(f.tenants))[:f.g.IntN(4)] {
		u.Memberships = append(u.Memberships, directory.Membership{Tenant: f.tenants[i].ID, Roles: f.roles[:f.g.IntN(2)]})
		f.places[u.ID] = append(f.places[u.ID], f.tenants[i].ID)
	}
	u.Roles = f.roles[:f.g.IntN(2)]
	f.must(f.store.Users().Insert(f.t.Context(), u, audit.New(f.project.ID, now, audit.UserCreated, operator)))
	return u.ID
}

func (f *foreseen) session(u id.User) session.Row {
	now := f.clock.Now()
	ago := func(span time.Duration) time.Time {
		return session.Instant(now.Add(-time.Duration(f.g.Int64N(int64(span) + 1))))
	}
	made := ago(min(f.span(), f.span(), f.span())) // or hardly any would live
	row := session.Row{ID: id.NewSession(made), Project: f.project.ID, User: u, State: session.State{
		Newest: id.NewRefresh(), CreatedAt: made, RotatedAt: made, AbsoluteAt: made.Add(28 * 24 * time.Hour),
	}}
	if f.g.IntN(4) == 0 {
		row.AbsoluteAt = made.Add(f.span())
	}
	if f.g.IntN(2) == 0 {
		row.RotatedAt = ago(now.Sub(made))
	}
	if f.g.IntN(3) == 0 {
		row.ReplayedAt = ago(now.Sub(row.RotatedAt))
	}
	if f.g.IntN(2) == 0 {
		row.IdleAt = row.LastSeen().Add(f.span())
	}
	if f.g.IntN(5) == 0 {
		row.IdleLimit = f.span()
	}
	if f.g.IntN(6) == 0 {
		row.Actor = "support"
	}
	if in := f.places[u]; len(in) > 0 && in[0] != f.tenants[5].ID && f.g.IntN(2) == 0 {
		row.Tenant = in[0]
	}
	if f.g.IntN(20) == 0 {
		row.EndedAt, row.EndReason = ago(now.Sub(made)), session.Logout
	}
	return row
}

// ends says when a session is over by the settings that are stored now: worked out anew,
// from what the documentation says of each setting.
func (f *foreseen) ends(row session.Row) time.Time {
	f.t.Helper()
	project, err := f.app.Directory.Settings(f.t.Context(), f.project.ID)
	f.must(err)
	absolute, idle := project.Settings.AbsoluteTimeout.Std(), project.Settings.IdleTimeout.Std()
	for _, place := range f.places[row.User] {
		t, err := f.store.Tenants().Find(f.t.Context(), f.project.ID, place)
		f.must(err)
		if t.Status != directory.Enabled {
			continue
		}
		if s := t.Settings.AbsoluteTimeout; s != nil {
			absolute = min(absolute, s.Std())
		}
		if s := t.Settings.IdleTimeout; s != nil && s.Std() > 0 && (idle == 0 || s.Std() < idle) {
			idle = s.Std()
		}
	}
	end := row.AbsoluteAt
	for _, t := range []time.Time{row.IdleAt, row.CreatedAt.Add(absolute), quietEnd(row, idle), quietEnd(row, row.IdleLimit)} {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	return end
}

func quietEnd(row session.Row, idle time.Duration) time.Time {
	if idle == 0 {
		return time.Time{}
	}
	return row.LastSeen().Add(idle)
}

// refresh reports whether the session can be refreshed.
func (f *foreseen) refresh(row session.Row) bool {
	f.t.Helper()
	text, err := f.app.Tokens.RefreshToken(f.t.Context(), row)
	f.must(err)
	_, _, err = f.app.Tokens.Refresh(f.t.Context(), token.Presentation{Project: f.project.ID, Token: text}, false)
	switch fault.KindOf(err) {
	case fault.SessionExpired, fault.SessionRevoked:
		return false
	}
	f.must(err)
	return true
}

// TestDryRunIsWhatHappens makes 12,000 sessions in all, asks what a change would do, makes
// it, refreshes every session and compares: exactly.
func TestDryRunIsWhatHappens(t *testing.T) {
	var total session.Foreseen
	for seed := range uint64(40) {
		f := generate(t, seed, 300)
		var members id.Tenant
		patch := []byte(f.patch())
		propose := func() (directory.Proposal, error) {
			return f.app.Directory.ProposeSettings(t.Context(), f.project.ID, patch)
		}
		apply := func() error {
			_, err := f.app.Directory.ChangeSettings(t.Context(), f.project.ID, patch, operator)
			return err
		}
		if seed%2 == 1 {
			members = f.tenants[seed/2%6].ID
			propose = func() (directory.Proposal, error) {
				return f.app.Directory.ProposeTenantSettings(t.Context(), f.project.ID, members, patch)
			}
			apply = func() error {
				_, err := f.app.Directory.ChangeTenantSettings(t.Context(), f.project.ID, members, patch, operator)
				return err
			}
		}
		p, err := propose()
		f.must(err)
		got, err := f.app.Sessions.Foresee(t.Context(), f.project.ID, session.PolicyChange{Before: p.Before, After: p.After, Members: members})
		f.must(err)
		f.compare(got, members, apply)
		total.Ended.Count += got.Ended.Count
		total.Shortened.Count += got.Shortened.Count
		total.Extended.Count += got.Extended.Count
		total.Unchanged.Count += got.Unchanged.Count
	}
	// The generator is no good if any of them hardly ever comes.
	if total.Ended.Count < 200 || total.Shortened.Count < 200 || total.Extended.Count < 200 || total.Unchanged.Count < 500 {
		t.Errorf("%d ended, %d shortened, %d extended, %d unchanged", total.Ended.Count, total.Shortened.Count, total.Extended.Count, total.Unchanged.Count)
	}
}

// compare makes the change and holds what was foreseen to what then is.
func (f *foreseen) compare(got session.Foreseen, members id.Tenant, apply func() error) {
	f.t.Helper()
	now := f.clock.Now()
	var live []session.Row
	before := map[id.Session]time.Time{}
	for _, row := range f.rows {
		before[row.ID] = f.ends(row)
		over := !row.EndedAt.IsZero() || f.gone[row.User] || f.closed[row.Tenant]
		if !over && now.Before(before[row.ID]) && (members.IsZero() || contains(f.places[row.User], members)) {
			live = append(live, row)
		}
	}
	f.must(apply())
	want := map[string]map[id.Session]bool{"ended": {}, "shortened": {}, "extended": {}, "unchanged": {}}
	for _, row := range live {
		after := f.ends(row)
		sort := "unchanged"
		switch refreshed := f.refresh(row); {
		case !refreshed:
			sort = "ended"
		case after.Before(before[row.ID]):
			sort = "shortened"
		case after.After(before[row.ID]):
			sort = "extended"
		}
		want[sort][row.ID] = true
	}
	for sort, fates := range map[string]session.Fates{"ended": got.Ended, "shortened": got.Shortened, "extended": got.Extended, "unchanged": got.Unchanged} {
		if fates.Count != len(want[sort]) || len(fates.First) != min(fates.Count, session.MaxSample) {
			f.t.Errorf("%s: %d foreseen, %d came so", sort, fates.Count, len(want[sort]))
		}
		for _, fate := range fates.First {
			if !want[sort][fate.Session] || !fate.EndsAt.Equal(before[fate.Session]) {
				f.t.Errorf("%s: %v, which ended at %v, was foreseen as %+v", sort, fate.Session, before[fate.Session], fate)
			}
		}
	}
	if got.Live() != len(live) {
		f.t.Errorf("%d live were foreseen, there were %d", got.Live(), len(live))
	}
}

func contains(list []id.Tenant, t id.Tenant) bool {
	for _, have := range list {
		if have == t {
			return true
		}
	}
	return false
}

// What was foreseen of a session that nobody refreshes comes to the millisecond.
func TestDryRunIsExact(t *testing.T) {
	f := generate(t, 99, 300)
	_, err := f.app.Directory.ChangeSettings(t.Context(), f.project.ID, []byte(`{"sessionTokenTTL":"1m","idleTimeout":"3d","absoluteTimeout":"21d"}`), operator)
	f.must(err)
	patch := []byte(`{"sessionTokenTTL":"1m","idleTimeout":"12h","absoluteTimeout":"20d"}`)
	p, err := f.app.Directory.ProposeSettings(t.Context(), f.project.ID, patch)
	f.must(err)
	got, err := f.app.Sessions.Foresee(t.Context(), f.project.ID, session.PolicyChange{Before: p.Before, After: p.After})
	f.must(err)
	_, err = f.app.Directory.ChangeSettings(t.Context(), f.project.ID, patch, operator)
	f.must(err)
	fates := append(append(got.Shortened.First, got.Extended.First...), got.Unchanged.First...)
	if len(got.Shortened.First) == 0 || len(fates) < 10 {
		t.Fatalf("only %d sessions", len(fates))
	}
	subject := session.Subject{UserKnown: true, UserEnabled: true}
	for _, fate := range fates {
		row, _, err := f.store.Sessions().Find(t.Context(), f.project.ID, fate.Session)
		f.must(err)
		for d, over := range map[time.Duration]bool{-time.Millisecond: false, 0: true} {
			r := session.Request{Token: row.Newest, Next: id.NewRefresh(), Policy: p.After.For(f.places[row.User])}
			if _, v := session.Decide(row.State, subject, r, fate.WouldEndAt.Add(d)); (v.Rule == session.RanOut) != over {
				t.Errorf("%v from %v on: %v", fate.WouldEndAt, d, v.Rule)
			}
		}
	}
}
