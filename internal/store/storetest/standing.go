package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func standingChecks() []check {
	return []check{
		{"begins where its user may be", standingInsert},
		{"come back as they went in", standingWhole},
		{"ends with its tenant", standingDeaths},
		{"is where its user may be after a refresh", standingSettle},
		{"of who has left its tenant has nothing from there", standingLeft},
		{"of whom claims change keeps those, whoever set them before", standingGiven},
		{"changes its tenant", standingMove},
		{"keeps what a move brings", standingMoveWhole},
		{"a refused move changes nothing", standingMoveRefused},
		{"a move is told to verifiers, but not for the token that it makes", standingMoveTold},
		{"a stricter tenant bites", standingOverrides},
		{"is stepped up", standingStepUp},
		{"isn't stepped up when it can't be", standingStepUpRefused},
		{"ends with all of its tenant", standingEndTenant},
		{"is found by its tenant", standingFilter},
		{"of somebody who acts as the user is never counted", standingActor},
		{"a move and the end of what it needs never mix", standingRace},
	}
}

// member adds a user who is a member of tenants.
func (w *world) member(t testing.TB, tenants ...id.Tenant) directory.User {
	t.Helper()
	var g directory.Grants
	for _, tenant := range tenants {
		g.Memberships = append(g.Memberships, directory.Membership{Tenant: tenant})
	}
	return w.granted(t, g)
}

// signInTo adds a session in a tenant.
func (w *world) signInTo(t testing.TB, u id.User, tenant id.Tenant) session.Row {
	t.Helper()
	row := w.row(u)
	row.Tenant = tenant
	row, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	w.news(t)
	return row
}

// places are the ways in which a tenant is none for a user.
func (w *world) nowhere(t testing.TB, u directory.User) map[string]id.Tenant {
	t.Helper()
	disabled, deleted := w.newTenant(t).ID, w.newTenant(t).ID
	w.changeTenant(t, disabled, func(t *directory.Tenant) { t.Status = directory.Disabled })
	g := w.grantsOf(t, u.ID)
	g.Memberships = append(g.Memberships, directory.Membership{Tenant: disabled}, directory.Membership{Tenant: deleted})
	_, err := w.grant(u.ID, g)
	ok(t, err)
	w.deleteTenant(t, deleted)
	return map[string]id.Tenant{"not a member": w.newTenant(t).ID, "disabled": disabled, "deleted": deleted, "unknown": id.NewTenant(w.clock.Now())}
}

func standingInsert(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	u := w.member(t, tenant)
	for range 3 {
		ok(t, w.Bulk().EndTenant(w.ctx, w.project.ID, tenant, w.ending()))
	}
	w.news(t)
	row := w.row(u.ID)
	row.Tenant, row.TenantEpoch = tenant, 99 // would outlive every end of the tenant's sessions
	got, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	row.TenantEpoch = 3
	same(t, "the returned session", row, got)
	got, subject := w.find(t, row.ID)
	same(t, "the stored session", row, got)
	same(t, "the subject", session.Subject{UserKnown: true, UserEnabled: true, TenantEpoch: 3, Granted: true}, subject)
	w.news(t)
	for name, tenant := range w.nowhere(t, u) {
		row := w.row(u.ID)
		row.Tenant = tenant
		_, err := w.insert(t, row, session.Admission{EndOthers: true})
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
		w.absent(t, row)
		w.told(t)
	}
	same(t, "the session that was there", "active", w.status(t, got.ID))
}

func standingWhole(t *testing.T, w *world) {
	full := filled[session.Row](t)
	tenant := w.newTenant(t).ID
	u := w.member(t, tenant)
	full.ID, full.Project, full.User, full.Tenant = id.NewSession(w.clock.Now()), w.project.ID, u.ID, tenant
	full.EndedAt, full.EndReason = time.Time{}, ""
	full.Trace = session.Trace{}.Add(session.Entry{At: w.clock.Now(), Rule: session.Create, Issued: full.Newest})
	full.UserEpoch, full.ProjectEpoch, full.TenantEpoch = 0, 0, 0
	got, err := w.insert(t, full, session.Admission{})
	ok(t, err)
	same(t, "the returned session", full, got)
	got, _ = w.find(t, full.ID)
	same(t, "the stored session", full, got)
	if got.State != full.State {
		t.Fatalf("equal states must be ==: want %#v, got %#v", full.State, got.State)
	}
}

func standingDeaths(t *testing.T, w *world) {
	for want, kill := range map[string]func(id.Tenant){
		"tenant_disabled": func(tenant id.Tenant) {
			w.changeTenant(t, tenant, func(t *directory.Tenant) { t.Status = directory.Disabled })
		},
		"tenant_deleted": func(tenant id.Tenant) { w.deleteTenant(t, tenant) },
		"superseded":     func(tenant id.Tenant) { ok(t, w.Bulk().EndTenant(w.ctx, w.project.ID, tenant, w.ending())) },
	} {
		tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
		u := w.member(t, tenant, other)
		row, bystander, none := w.signInTo(t, u.ID, tenant), w.signInTo(t, u.ID, other), w.signIn(t, u.ID)
		w.clock.Move(window)
		kill(tenant)
		w.news(t)
		if got := w.status(t, row.ID); got != want {
			t.Errorf("%s: it is %s", want, got)
		}
		if w.confirm(t, row.ID, row.Newest) {
			t.Errorf("%s: confirmed", want)
		}
		_, err := w.Sessions().SetClaims(w.ctx, row.Project, row.ID, 0, nil, nil)
		refused(t, err, fault.SessionRevoked)
		active, err := w.Sessions().End(w.ctx, row.Project, row.ID, w.ending())
		ok(t, err)
		same(t, "whether it was active", false, active)
		// In a list it says why, before and after the refresh that finds out.
		list, subjects, _, err := w.Bulk().List(w.ctx, session.Filter{Project: row.Project, Tenant: tenant, Status: session.Over, Limit: 9})
		ok(t, err)
		same(t, "the number of ended sessions", 1, len(list))
		_, reason := list[0].Status(subjects[0], w.clock.Now())
		same(t, "the reason in a list", want, string(reason))
		f := w.newest(t, row)
		f.AutoTenant = true // no way out
		ended, v := w.decide(t, f)
		same(t, "the rule", session.Revoked, v.Rule)
		same(t, "the reason", want, string(ended.EndReason))
		for _, row := range []session.Row{bystander, none} {
			w.decided(t, w.newest(t, row), session.Rotate)
		}
	}
}

func standingSettle(t *testing.T, w *world) {
	first, second := w.newTenant(t).ID, w.newTenant(t).ID
	u := w.member(t)
	row := w.signIn(t, u.ID)
	last := id.Tenant{}
	step := func(name string, auto bool, want id.Tenant, tenants ...id.Tenant) {
		t.Helper()
		var g directory.Grants
		for _, tenant := range tenants {
			g.Memberships = append(g.Memberships, directory.Membership{Tenant: tenant})
		}
		_, err := w.grant(u.ID, g)
		ok(t, err)
		w.news(t)
		w.entries(t)
		w.clock.Move(window)
		f := w.newest(t, row)
		f.AutoTenant = auto
		row = w.decided(t, f, session.Rotate)
		stored, _ := w.find(t, row.ID)
		same(t, name+": the stored session", row, stored)
		same(t, name+": the tenant", want, row.Tenant)
		events := 0
		for _, e := range w.news(t) {
			same(t, name+": the event", audit.TenantChanged, e.Type)
			events++
		}
		same(t, name+": whether it was told", want != last, events == 1)
		w.fed(t) // what made it so was told already
		last = want
	}
	ok(t, w.Bulk().EndTenant(w.ctx, w.project.ID, first, w.ending())) // epochs aren't all alike
	step("nothing granted", true, id.Tenant{})
	step("not automatic", false, id.Tenant{}, first)
	step("the only one", true, first, first)
	same(t, "the epoch", int64(1), row.TenantEpoch)
	step("another one beside it", true, first, first, second)
	step("left", true, second, second)
	same(t, "the epoch", int64(0), row.TenantEpoch)
	step("left, not automatic", false, id.Tenant{})
	step("two", true, id.Tenant{}, first, second)
	w.changeTenant(t, second, func(t *directory.Tenant) { t.Status = directory.Disabled })
	step("two, of which one is disabled", true, first, second, first)
	same(t, "the state of the session", "active", w.status(t, row.ID))
}

// goal is a move that brings nothing but a tenant.
func goal(row session.Row, tenant id.Tenant) *session.Move {
	return &session.Move{Tenant: tenant, ClaimsEpoch: row.ClaimsEpoch, Claims: row.Claims, Audience: row.Audience, Acted: row.Acted}
}

func standingMove(t *testing.T, w *world) {
	first, second := w.newTenant(t).ID, w.newTenant(t).ID
	ok(t, w.Bulk().EndTenant(w.ctx, w.project.ID, second, w.ending()))
	row := w.signInTo(t, w.member(t, first, second).ID, first)
	w.news(t)
	for _, at := range []struct {
		wait   time.Duration
		rule   session.Rule
		tenant id.Tenant
		epoch  int64
	}{{time.Second, session.Replay, second, 1}, {window, session.Rotate, first, 0}, {2 * window, session.Rotate, second, 1}, {0, session.Replay, second, 1}} {
		w.clock.Move(at.wait)
		f := w.newest(t, row)
		f.Move = goal(row, at.tenant)
		from := row.Tenant
		row = w.decided(t, f, at.rule)
		same(t, "the tenant", at.tenant, row.Tenant)
		same(t, "the epoch", at.epoch, row.TenantEpoch)
		stored, _ := w.find(t, row.ID)
		same(t, "the stored session", row, stored)
		news := w.news(t)
		same(t, "whether it was told", from != at.tenant, len(news) == 1)
		for _, e := range news {
			same(t, "the event", audit.TenantChanged, e.Type)
			same(t, "the tenant in it", any(at.tenant.String()), e.Data["tenant"])
		}
	}
}

func standingMoveWhole(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	row := w.signIn(t, w.member(t, tenant).ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	soon := session.Instant(w.clock.Now()).Add(6 * time.Minute)
	f.Move = &session.Move{
		Tenant: tenant, ClaimsEpoch: 0, Claims: json.RawMessage(`{"badge":7}`), Audience: []string{"a", "b"},
		Acted: session.Acted{Claims: []string{"badge"}, Audience: []string{"b"}}, AbsoluteAt: soon, IdleLimit: 5 * time.Minute,
	}
	moved := w.decided(t, f, session.Rotate)
	stored, _ := w.find(t, row.ID)
	same(t, "the stored session", moved, stored)
	same(t, "what was brought", []any{*f.Move}, []any{session.Move{
		Tenant: stored.Tenant, Claims: stored.Claims, Audience: stored.Audience, Acted: stored.Acted, AbsoluteAt: stored.AbsoluteAt, IdleLimit: stored.IdleLimit,
	}})
	same(t, "the epoch of the claims", int64(1), stored.ClaimsEpoch)
	same(t, "the claims of the client", row.NSec, stored.NSec)
	// The session ends as early as it says: a sweep finds it then.
	w.clock.Set(soon.Add(time.Second))
	same(t, "the status", "expired", w.status(t, row.ID))
	w.sweep(t, w.clock.Now(), 9, 1)
	w.gone(t, row)
}

func standingMoveRefused(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	u := w.member(t, tenant)
	row := w.signInTo(t, u.ID, tenant)
	places := w.nowhere(t, u)
	w.clock.Move(window)
	w.news(t)
	w.entries(t)
	for name, to := range places {
		f := w.newest(t, row)
		f.Move = goal(row, to)
		_, _, err := w.Sessions().Rotate(w.ctx, f)
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := w.newest(t, row)
	f.Move = goal(row, tenant)
	f.Move.ClaimsEpoch++
	_, _, err := w.Sessions().Rotate(w.ctx, f)
	refused(t, err, fault.Conflict)
	got, _ := w.find(t, row.ID)
	same(t, "the session", row, got)
	w.told(t)
	w.fed(t)
	// A token that isn't good for a refresh is judged as ever, and learns nothing.
	f = w.refresh(t, row.ID, id.NewRefresh(), id.NewRefresh())
	f.Move = goal(row, places["unknown"])
	w.decided(t, f, session.Theft)
	same(t, "the status", "token_reuse", w.status(t, row.ID))
}

// A token that was minted before is outdated; the one of the move itself isn't, also while
// the clock is behind.
func standingMoveTold(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	row := w.signInTo(t, w.member(t, tenant, other).ID, tenant)
	epc := func(v session.Verdict) int64 { return v.At.Add(v.Behind).UnixMilli() }
	before := session.Instant(w.clock.Now()).UnixMilli()
	for _, wait := range []time.Duration{time.Second, window, -time.Hour, time.Minute} {
		w.clock.Move(wait)
		w.entries(t)
		f := w.newest(t, row)
		to := tenant
		if row.Tenant == tenant {
			to = other
		}
		f.Move = goal(row, to)
		o := w.rotate(f)
		ok(t, o.err)
		row = o.row
		list := w.entries(t)
		same(t, "the number of entries", 1, len(list))
		e := list[0]
		same(t, "the kind", revocation.Epoch, e.Kind)
		same(t, "whom it concerns", row.ID.String(), e.ID)
		if at := e.At.UnixMilli(); at < before || at >= epc(o.verdict) {
			t.Errorf("after %v: the entry is of %d, the token before of %d, the one that it made of %d", wait, at, before, epc(o.verdict))
		}
		// What follows is as new as it says.
		next := w.rotate(w.newest(t, row))
		ok(t, next.err)
		if e.At.UnixMilli() >= epc(next.verdict) {
			t.Errorf("after %v: the token of the next refresh is outdated", wait)
		}
		before = epc(next.verdict)
		// And what is ended in the same instant ends with all its tokens.
		active, err := w.Sessions().End(w.ctx, row.Project, row.ID, w.ending())
		ok(t, err)
		same(t, "whether it was active", true, active)
		if end := w.entries(t)[0].At.UnixMilli(); end < before {
			t.Errorf("after %v: the end of %d spares the token of %d", wait, end, before)
		}
		row = w.signInTo(t, row.User, tenant)
	}
}

func standingOverrides(t *testing.T, w *world) {
	strict, lax := w.newTenant(t).ID, w.newTenant(t).ID
	hour := latchkey.Duration(time.Hour)
	overrides := map[id.Tenant]latchkey.TenantSettings{strict: {IdleTimeout: &hour}}
	for name, c := range map[string]struct {
		user directory.User
		want session.Rule
	}{
		"a member": {w.member(t, lax, strict), session.RanOut}, "of another": {w.member(t, lax), session.Rotate}, "of none": {w.newUser(t), session.Rotate},
	} {
		row := w.signIn(t, c.user.ID)
		w.clock.Move(time.Hour)
		f := w.newest(t, row)
		f.Overrides = overrides
		o := w.rotate(f)
		ok(t, o.err)
		same(t, name+": the rule", c.want, o.verdict.Rule)
		same(t, name+": whether tokens have to show grants", len(c.user.Memberships) > 0, o.verdict.Granted)
	}
}

func standingStepUp(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.entries(t)
	w.clock.Move(1234567 * time.Microsecond)
	by := session.StepUp{AMR: []string{"pwd", "totp", "mfa"}, TTL: 10*time.Minute + time.Microsecond, Origin: origin}
	want, event, err := row.SteppedUpBy(by, session.Instant(w.clock.Now()))
	ok(t, err)
	got, err := w.Sessions().StepUp(w.ctx, row.Project, row.ID, by)
	ok(t, err)
	same(t, "the returned session", want, got)
	got, _ = w.find(t, row.ID)
	same(t, "the stored session", want, got)
	w.told(t, event)
	w.fed(t, w.entry(revocation.Epoch, row.ID.String()))
	// A refresh leaves it alone, and another proof replaces it.
	w.clock.Move(window)
	rotated := w.decided(t, w.newest(t, row), session.Rotate)
	same(t, "the methods", by.AMR, rotated.StepUpAMR)
	by.AMR, by.TTL = []string{"pwd", "webauthn", "mfa"}, time.Minute
	got, err = w.Sessions().StepUp(w.ctx, row.Project, row.ID, by)
	ok(t, err)
	same(t, "the methods", by.AMR, got.StepUpAMR)
	same(t, "the end", session.Instant(w.clock.Now()).Add(time.Minute), got.StepUpUntil)
}

func standingStepUpRefused(t *testing.T, w *world) {
	u := w.newUser(t)
	by := session.StepUp{AMR: []string{"pwd"}, TTL: time.Minute, Origin: origin}
	_, err := w.Sessions().StepUp(w.ctx, w.project.ID, id.NewSession(w.clock.Now()), by)
	refused(t, err, fault.NotFound)
	ended, late := w.signIn(t, u.ID), w.row(u.ID)
	late.AbsoluteAt = w.clock.Now().Add(time.Minute)
	_, err = w.insert(t, late, session.Admission{})
	ok(t, err)
	acted := w.row(u.ID)
	acted.Actor = "support"
	_, err = w.insert(t, acted, session.Admission{})
	ok(t, err)
	_, err = w.Sessions().End(w.ctx, u.Project, ended.ID, w.ending())
	ok(t, err)
	w.clock.Move(time.Minute)
	w.news(t)
	w.entries(t)
	for sid, kind := range map[id.Session]fault.Kind{ended.ID: fault.SessionRevoked, late.ID: fault.SessionExpired, acted.ID: fault.Forbidden} {
		before, _ := w.find(t, sid)
		_, err := w.Sessions().StepUp(w.ctx, w.project.ID, sid, by)
		refused(t, err, kind)
		after, _ := w.find(t, sid)
		same(t, "the session", before, after)
	}
	w.told(t)
	w.fed(t)
}

func standingEndTenant(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	u, v := w.member(t, tenant, other), w.member(t, tenant)
	rows := []session.Row{w.signInTo(t, u.ID, tenant), w.signInTo(t, v.ID, tenant)}
	spared := []session.Row{w.signInTo(t, u.ID, other), w.signIn(t, u.ID)}
	w.entries(t)
	e := w.ending()
	ok(t, w.Bulk().EndTenant(w.ctx, w.project.ID, tenant, e))
	w.told(t, session.EndedIn(w.project.ID, tenant, e, session.Instant(w.clock.Now())))
	w.fed(t, w.entry(revocation.Tenant, tenant.String()))
	w.statuses(t, "superseded", rows...)
	w.statuses(t, "active", spared...)
	w.statuses(t, "active", w.signInTo(t, u.ID, tenant))
	refused(t, w.Bulk().EndTenant(w.ctx, w.project.ID, id.NewTenant(w.clock.Now()), e), fault.NotFound)
	refused(t, w.Bulk().EndTenant(w.ctx, w.newProject(t).ID, tenant, e), fault.NotFound)
	refused(t, w.Bulk().EndTenant(w.ctx, id.NewProject(w.clock.Now()), tenant, e), fault.NotFound)
	w.told(t)
}

func standingFilter(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	u, v := w.member(t, tenant, other), w.member(t, tenant)
	want := []session.Row{w.signInTo(t, u.ID, tenant), w.signInTo(t, v.ID, tenant)}
	w.signInTo(t, u.ID, other)
	w.signIn(t, u.ID)
	n, err := w.Bulk().Count(w.ctx, session.Filter{Project: w.project.ID, Tenant: tenant})
	ok(t, err)
	same(t, "the count", 2, n)
	n, err = w.Bulk().Count(w.ctx, session.Filter{Project: w.project.ID, User: u.ID, Tenant: tenant})
	ok(t, err)
	same(t, "the count of the user", 1, n)
	n, err = w.Bulk().Count(w.ctx, session.Filter{Project: w.newProject(t).ID, Tenant: tenant})
	ok(t, err)
	same(t, "the count in another project", 0, n)
	w.endMatching(t, session.Filter{Project: w.project.ID, Tenant: tenant, Limit: 1})
	w.statuses(t, "revoked", want...)
	n, err = w.Bulk().Count(w.ctx, session.Filter{Project: w.project.ID, User: u.ID, Status: session.Active})
	ok(t, err)
	same(t, "what is left", 2, n)
}

func standingActor(t *testing.T, w *world) {
	u := w.newUser(t)
	own := w.signIn(t, u.ID)
	w.clock.Move(time.Second)
	acted := w.row(u.ID)
	acted.Actor = "support: Eve"
	_, err := w.insert(t, acted, session.Admission{Max: 1, Deny: true})
	ok(t, err)
	same(t, "the user's own", "active", w.status(t, own.ID))
	// The user's next sign-in ends the user's session, not that one.
	w.clock.Move(time.Second)
	next := w.row(u.ID)
	_, err = w.insert(t, next, session.Admission{Max: 1})
	ok(t, err)
	same(t, "the older of the user", "session_limit", w.status(t, own.ID))
	same(t, "the newer of the user", "active", w.status(t, next.ID))
	same(t, "the one that isn't the user's", "active", w.status(t, acted.ID))
	w.news(t)
	_, err = w.Sessions().End(w.ctx, u.Project, acted.ID, w.ending())
	ok(t, err)
	w.told(t, w.ended(acted, session.Ended).With("impersonator", acted.Actor))
}

// Whatever happens to a tenant while sessions move to it: none lives in it afterwards that
// mustn't.
func standingRace(t *testing.T, w *world) {
	for name, end := range map[string]func(id.Tenant, id.User) error{
		"removal": func(_ id.Tenant, u id.User) error {
			_, err := w.grant(u, directory.Grants{})
			return err
		},
		"disabling": func(tenant id.Tenant, _ id.User) error {
			_, err := w.Tenants().Change(w.ctx, w.project.ID, tenant, func(old directory.Tenant) (directory.Tenant, []audit.Event, error) {
				old.Status = directory.Disabled
				return old, nil, nil
			})
			return err
		},
		"deletion": func(tenant id.Tenant, _ id.User) error {
			return w.Tenants().Delete(w.ctx, w.project.ID, tenant, w.event(w.project.ID, audit.TenantDeleted))
		},
		"the end of its sessions": func(tenant id.Tenant, _ id.User) error {
			return w.Bulk().EndTenant(w.ctx, w.project.ID, tenant, w.ending())
		},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := w.newTenant(t).ID
			u := w.member(t, tenant)
			moves := make([]session.Refresh, 12)
			for i := range moves {
				row := w.signIn(t, u.ID)
				moves[i] = w.newest(t, row)
				moves[i].Move = goal(row, tenant)
			}
			w.clock.Move(window)
			outcomes := together(len(moves)+1, func(i int) outcome {
				if i == len(moves) {
					return outcome{err: end(tenant, u.ID)}
				}
				return w.rotate(moves[i])
			})
			ok(t, outcomes[len(moves)].err)
			w.clock.Move(window)
			for i, o := range outcomes[:len(moves)] {
				stored, subject := w.find(t, moves[i].Session)
				if o.err != nil {
					refused(t, o.err, fault.NotFound)
					if stored.Newest != moves[i].Request.Token || !stored.Tenant.IsZero() {
						t.Errorf("a refused move moved the session on")
					}
					continue
				}
				same(t, "the stored session", o.row, stored)
				if !stored.Tenant.IsZero() && stored.TenantEpoch > subject.TenantEpoch {
					t.Errorf("the session is of epoch %d, the tenant of %d", stored.TenantEpoch, subject.TenantEpoch)
				}
				after := w.rotate(w.newest(t, stored))
				ok(t, after.err)
				// In the tenant only whose sessions were ended at once, and who came after that.
				if live := after.verdict.Issues() && after.row.Tenant == tenant; live && (name != "the end of its sessions" || stored.TenantEpoch != subject.TenantEpoch) {
					t.Errorf("a session lives on in the tenant")
				}
			}
		})
	}
}
