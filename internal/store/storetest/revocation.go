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
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func revocationChecks() []check {
	return []check{
		{"every way to end a session writes its entry", revocationOfSessions},
		{"what is over already writes none", revocationOfTheDead},
		{"a verb that is refused writes none", revocationRefused},
		{"ending all of a user or project is one entry", revocationOfMany},
		{"a sign-in spares itself", revocationOfOthers},
		{"a user's change or end", revocationOfUsers},
		{"a revoked key", revocationOfKeys},
		{"claims that change make tokens outdated", revocationOfClaims},
		{"an entry stays for as long as a token lives", revocationUntil},
		{"a shorter lifetime doesn't shorten the tokens from before", revocationShortened},
		{"a clock that was set back hides no token from before", revocationBehind},
	}
}

// entries returns the project's entries since the last call, without what is random.
func (w *world) entries(t testing.TB) []revocation.Entry {
	t.Helper()
	list, err := w.Revocations().Of(w.ctx, w.project.ID, w.read, 100_000)
	ok(t, err)
	for i := range list {
		if list[i].Seq <= w.read {
			t.Fatalf("an entry %d after %d", list[i].Seq, w.read)
		}
		w.read = list[i].Seq
		list[i].Seq, list[i].Tag = 0, 0
	}
	return list
}

// fed fails unless exactly these entries were written since the last call.
func (w *world) fed(t testing.TB, want ...revocation.Entry) {
	t.Helper()
	same(t, "the entries", want, w.entries(t))
}

// entry is one that was written just now, with the default lifetime of tokens.
func (w *world) entry(k revocation.Kind, about string) revocation.Entry {
	now := session.Instant(w.clock.Now())
	return revocation.Entry{
		Project: w.project.ID, Kind: k, ID: about, At: now,
		Until: now.Add(policy.Defaults().SessionTokenTTL.Std() + revocation.Leeway),
	}
}

func (w *world) sparing(e revocation.Entry, s id.Session) revocation.Entry {
	e.Except = s
	return e
}

func revocationOfSessions(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	w.fed(t)
	_, err := w.Sessions().End(w.ctx, w.project.ID, row.ID, w.ending())
	ok(t, err)
	w.fed(t, w.entry(revocation.Session, row.ID.String()))

	row = w.signIn(t, u.ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	w.decided(t, f, session.Rotate)
	w.decided(t, f, session.Replay)
	w.fed(t)
	w.clock.Move(time.Second)
	w.decided(t, w.refresh(t, row.ID, id.NewRefresh(), id.NewRefresh()), session.Theft)
	w.fed(t, w.entry(revocation.Session, row.ID.String()))

	var rows []session.Row
	for range 4 {
		w.clock.Move(time.Second)
		rows = append(rows, w.signIn(t, u.ID))
	}
	_, err = w.insert(t, w.row(u.ID), session.Admission{Max: 3})
	ok(t, err)
	w.fed(t, w.entry(revocation.Session, rows[0].ID.String()), w.entry(revocation.Session, rows[1].ID.String()))

	_, _, err = w.Bulk().EndMatching(w.ctx, session.Filter{Project: w.project.ID, CreatedTo: rows[3].CreatedAt, Limit: 99}, w.ending())
	ok(t, err)
	w.fed(t, w.entry(revocation.Session, rows[2].ID.String()))
}

func revocationOfTheDead(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		row := w.signIn(t, w.newUser(t).ID)
		kill(row)
		w.entries(t)
		_, err := w.Sessions().End(w.ctx, w.project.ID, row.ID, w.ending())
		ok(t, err)
		_, _, err = w.Bulk().EndMatching(w.ctx, session.Filter{Project: w.project.ID, Limit: 999}, w.ending())
		ok(t, err)
		_, v, err := w.Sessions().Rotate(w.ctx, w.refresh(t, row.ID, id.NewRefresh(), id.NewRefresh()))
		ok(t, err)
		if got := w.entries(t); len(got) != 0 {
			t.Errorf("%s, then a refresh that was decided as %q: entries %+v", name, v.Rule, got)
		}
	}
}

func revocationRefused(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	p := w.project.ID
	_, err := w.insert(t, w.row(u.ID), session.Admission{Max: 1, Deny: true})
	refused(t, err, fault.Conflict)
	_, err = w.Sessions().Insert(w.ctx, w.row(u.ID), w.version(t)+1, session.Admission{EndOthers: true})
	isErrVersion(t, err)
	_, err = w.insert(t, w.row(id.NewUser(w.clock.Now())), session.Admission{EndOthers: true})
	refused(t, err, fault.NotFound)
	_, err = w.insert(t, row, session.Admission{EndOthers: true})
	refused(t, err, fault.Conflict)
	_, err = w.Sessions().SetClaims(w.ctx, p, row.ID, 7, nil, nil, w.event(p, audit.SessionClaims))
	refused(t, err, fault.Conflict)
	_, err = w.Users().Change(w.ctx, p, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Status = directory.Disabled
		return u, nil, fault.New(fault.Invalid, "no")
	})
	refused(t, err, fault.Invalid)
	k := w.key()
	ok(t, w.Keys().Apply(w.ctx, p, 1, key.Change{Insert: []key.Key{k}}))
	k.State = key.Revoked
	refused(t, w.Keys().Apply(w.ctx, p, 1, key.Change{Update: []key.Key{k}}), fault.Conflict)
	refused(t, w.Keys().Apply(w.ctx, p, 2, key.Change{Update: []key.Key{k, w.key()}}), fault.NotFound)
	w.fed(t)
}

func revocationOfMany(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	keep, stranger := w.signIn(t, u.ID), w.signIn(t, v.ID)
	w.signIn(t, u.ID)
	user, project := w.entry(revocation.User, u.ID.String()), w.entry(revocation.Project, w.project.ID.String())
	w.endAll(t, u.ID, keep.ID, session.Ended)
	w.fed(t, w.sparing(user, keep.ID))
	// One that isn't the user's, or isn't there, is not spared.
	for _, s := range []id.Session{stranger.ID, id.NewSession(w.clock.Now()), {}} {
		w.endAll(t, u.ID, s, session.Ended)
		w.fed(t, user)
	}
	// Neither is one that is over.
	w.endAll(t, u.ID, keep.ID, session.Ended)
	w.fed(t, user)
	w.endAll(t, id.User{}, stranger.ID, session.Ended)
	w.fed(t, w.sparing(project, stranger.ID))
	w.endAll(t, id.User{}, keep.ID, session.Ended)
	w.fed(t, project)
}

func revocationOfOthers(t *testing.T, w *world) {
	u := w.newUser(t)
	w.signIn(t, u.ID)
	row, err := w.insert(t, w.row(u.ID), session.Admission{EndOthers: true, Max: 1})
	ok(t, err)
	w.fed(t, w.sparing(w.entry(revocation.User, u.ID.String()), row.ID))
}

func revocationOfUsers(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	want := w.entry(revocation.User, u.ID.String())
	outdated := w.entry(revocation.Epoch, u.ID.String())
	w.change(t, u.ID, func(u *directory.User) { u.UpdatedAt = u.UpdatedAt.Add(time.Hour) })
	w.fed(t)
	tenant := w.newTenant(t).ID
	for _, change := range []func(*directory.User){
		func(u *directory.User) { u.Name = "Grace" },
		func(u *directory.User) { u.Email = "grace@example.org" },
		func(u *directory.User) { u.Phone = "" },
		func(u *directory.User) { u.LoginIDs = append(u.LoginIDs, "grace@example.org") },
		func(u *directory.User) { u.Attributes = json.RawMessage(`{"plan":"pro"}`) },
		func(u *directory.User) { u.Memberships = []directory.Membership{{Tenant: tenant}} },
		func(u *directory.User) { u.Memberships = nil },
	} {
		w.change(t, u.ID, change)
		w.fed(t, outdated)
	}
	w.change(t, u.ID, func(u *directory.User) { u.Status, u.Name = directory.Disabled, "Ada" })
	w.fed(t, want)
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Enabled })
	w.fed(t)
	// With the same epoch the session is back; what the entry asks for is a refresh.
	same(t, "the status", "active", w.status(t, row.ID))
	w.change(t, u.ID, func(u *directory.User) { u.Epoch++ })
	w.fed(t, want)
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
	w.fed(t, want)
	refused(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)), fault.NotFound)
	w.fed(t)
}

func revocationOfKeys(t *testing.T, w *world) {
	short, long := w.key(), w.key()
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{short, long}}))
	short.State, long.State = key.Active, key.Retired
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{Update: []key.Key{short, long}}))
	w.fed(t)
	short.State, short.GoneAt = key.Revoked, w.clock.Now()
	// Sub-milliseconds aren't stored, so they aren't told either.
	long.State, long.GoneAt = key.Revoked, w.clock.Now().Add(28*24*time.Hour+300*time.Microsecond)
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 3, key.Change{Update: []key.Key{short, long}}))
	later := w.entry(revocation.Key, long.ID.String())
	later.Until = session.Instant(long.GoneAt).Add(revocation.Leeway)
	w.fed(t, w.entry(revocation.Key, short.ID.String()), later)
	// Once is enough.
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 4, key.Change{Update: []key.Key{short}, Remove: []id.Key{long.ID}}))
	w.fed(t)
}

func revocationOfClaims(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	_, err := w.Sessions().SetClaims(w.ctx, row.Project, row.ID, 0, nil, nil, w.event(row.Project, audit.SessionClaims))
	ok(t, err)
	w.fed(t, w.entry(revocation.Epoch, row.ID.String()))
}

func revocationUntil(t *testing.T, w *world) {
	u := w.newUser(t)
	// No token outlives its session, whatever the idle timeout was meanwhile.
	row := w.row(u.ID)
	row.AbsoluteAt, row.IdleAt = w.clock.Now().Add(3*time.Minute), w.clock.Now().Add(time.Minute)
	_, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	_, err = w.Sessions().SetClaims(w.ctx, row.Project, row.ID, 0, nil, nil, w.event(row.Project, audit.SessionClaims))
	ok(t, err)
	_, err = w.Sessions().End(w.ctx, row.Project, row.ID, w.ending())
	ok(t, err)
	outdated, over := w.entry(revocation.Epoch, row.ID.String()), w.entry(revocation.Session, row.ID.String())
	outdated.Until = row.AbsoluteAt.Add(revocation.Leeway)
	over.Until = outdated.Until
	w.fed(t, outdated, over)
	w.news(t)
	// Another project's lifetime is its own.
	settings := policy.Defaults()
	settings.SessionTokenTTL *= 6
	mine, other := w.project, w.newProject(t)
	ok(t, w.Projects().ChangeSettings(w.ctx, other.ID, 1, settings, w.event(other.ID, audit.SettingsChanged)))
	w.endAll(t, u.ID, id.Session{}, session.Ended)
	w.fed(t, w.entry(revocation.User, u.ID.String()))
	w.project = other
	w.news(t)
	v := w.newUser(t)
	w.endAll(t, v.ID, id.Session{}, session.Ended)
	want := w.entry(revocation.User, v.ID.String())
	want.Until = want.At.Add(settings.SessionTokenTTL.Std() + revocation.Leeway)
	w.fed(t, want)
	w.project = mine
}

func revocationShortened(t *testing.T, w *world) {
	u := w.newUser(t)
	start := session.Instant(w.clock.Now())
	ttl := func(d time.Duration) {
		s := policy.Defaults()
		s.SessionTokenTTL = latchkey.Duration(d)
		ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, w.version(t), s, w.event(w.project.ID, audit.SettingsChanged)))
		w.news(t)
	}
	until := func(want time.Time) {
		t.Helper()
		w.endAll(t, u.ID, id.Session{}, session.Ended)
		got := w.entries(t)
		same(t, "the number of entries", 1, len(got))
		same(t, "its end", want.Add(revocation.Leeway), got[0].Until)
	}
	ttl(24 * time.Hour)
	w.clock.Move(time.Hour)
	until(start.Add(25 * time.Hour))
	ttl(time.Minute)
	until(start.Add(25 * time.Hour)) // a token of this very instant
	w.clock.Move(time.Hour)
	ttl(2 * time.Minute)
	ttl(time.Minute)
	until(start.Add(25 * time.Hour)) // still
	w.clock.Set(start.Add(25*time.Hour - time.Minute + time.Millisecond))
	until(start.Add(25*time.Hour + time.Millisecond))
}

// Attack 41: tokens from before the clock was set back carry later instants than those
// that the clock shows now. What ends them says so in their terms, and what is decided
// afterwards can be told from them.
func revocationBehind(t *testing.T, w *world) {
	u := w.newUser(t)
	keep := w.signIn(t, u.ID)
	w.clock.Move(window)
	keep = w.decided(t, w.newest(t, keep), session.Rotate)
	minted := session.Instant(w.clock.Now())
	w.clock.Move(-time.Minute)
	last := minted
	for range 2 {
		w.endAll(t, u.ID, keep.ID, session.Ended)
		want := w.sparing(w.entry(revocation.User, u.ID.String()), keep.ID)
		late := last.Sub(want.At)
		want.At, want.Until = last, want.Until.Add(late)
		w.fed(t, want)
		_, v := w.decide(t, w.newest(t, keep))
		if last = v.At.Add(v.Behind); !last.After(want.At) {
			t.Fatalf("a token of %v isn't told from those until %v", last, want.At)
		}
	}
	// Once the clock has caught up nothing is left of it.
	w.clock.Move(2 * time.Minute)
	w.endAll(t, u.ID, keep.ID, session.Ended)
	w.fed(t, w.sparing(w.entry(revocation.User, u.ID.String()), keep.ID))
	if _, v := w.decide(t, w.newest(t, keep)); v.Behind != 0 {
		t.Errorf("the clock is said to be %v behind", v.Behind)
	}
}
