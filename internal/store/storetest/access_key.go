package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func accessKeyChecks() []check {
	return []check{
		{"come back as they went in", accessKeyInsert},
		{"unknown ones are not found", accessKeyUnknown},
		{"are refused what isn't there", accessKeyRefusals},
		{"are listed ascending, page by page", accessKeyPages},
		{"are found by text, status and user", accessKeySearch},
		{"open with what their grants lead to", accessKeyOpen},
		{"note their use to an hour", accessKeyUse},
		{"open at an instant in the order of changes", accessKeyInstant},
		{"change with their events and tell verifiers", accessKeyChange},
		{"keep what never changes", accessKeyFixed},
		{"a refused change changes nothing", accessKeyRefusedChange},
		{"a new secret ends the old one at once", accessKeyRotate},
		{"change one after the other", accessKeyChangeRace},
		{"deleting ends the secret at once", accessKeyDelete},
		{"end with their user", accessKeyUser},
		{"the largest are found", accessKeyLargest},
		{"their entries last as long as their tokens", accessKeyLife},
	}
}

func (w *world) accessKey() directory.AccessKey {
	now := session.Instant(w.clock.Now())
	return directory.AccessKey{
		ID: id.NewAccessKey(now), Project: w.project.ID, Name: "nightly import", Status: directory.Enabled,
		Digest: secret.NewKey(secret.Access).Digest(), CreatedAt: now, UpdatedAt: now,
	}
}

// newAccessKey adds an enabled access key, changed as change says.
func (w *world) newAccessKey(t testing.TB, change ...func(*directory.AccessKey)) directory.AccessKey {
	t.Helper()
	k := w.accessKey()
	for _, c := range change {
		c(&k)
	}
	ok(t, w.AccessKeys().Insert(w.ctx, k, w.event(k.Project, audit.AccessKeyCreated)))
	w.news(t)
	return k
}

func (w *world) changeAccessKey(t testing.TB, k id.AccessKey, change func(*directory.AccessKey)) directory.AccessKey {
	t.Helper()
	changed, err := w.AccessKeys().Change(w.ctx, w.project.ID, k, func(old directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
		change(&old)
		return old, nil, nil
	})
	ok(t, err)
	return changed
}

func (w *world) findAccessKey(t testing.TB, k id.AccessKey) directory.AccessKey {
	t.Helper()
	found, err := w.AccessKeys().Find(w.ctx, w.project.ID, k)
	ok(t, err)
	return found
}

func (w *world) openAccessKey(t testing.TB, k directory.AccessKey) directory.Opened {
	t.Helper()
	opened, err := w.AccessKeys().Open(w.ctx, k.Project, k.ID, k.Digest)
	ok(t, err)
	return opened
}

// granting are a role of the project, a tenant and a role of its own, and grants of all.
func (w *world) granting(t testing.TB) (directory.Grants, directory.Resolved) {
	t.Helper()
	tenant := w.newTenant(t)
	role, own := w.newRole(t, id.Tenant{}, "importer", "read"), w.newRole(t, tenant.ID, "owner", "write")
	return directory.Grants{
		Roles: []id.Role{role.ID}, Memberships: []directory.Membership{{Tenant: tenant.ID, Roles: []id.Role{own.ID, role.ID}}},
	}, directory.Resolved{Tenants: []directory.Tenant{tenant}, Roles: []directory.Role{role, own}}
}

func accessKeyInsert(t *testing.T, w *world) {
	grants, _ := w.granting(t)
	plain, full := w.accessKey(), filled[directory.AccessKey](t)
	full.ID, full.Project, full.User, full.Status, full.Grants = id.NewAccessKey(w.clock.Now()), w.project.ID, w.newUser(t).ID, directory.Disabled, grants
	for _, k := range []directory.AccessKey{plain, full} {
		e := w.event(k.Project, audit.AccessKeyCreated)
		ok(t, w.AccessKeys().Insert(w.ctx, k, e))
		w.told(t, e)
		w.clock.Move(2 * time.Hour) // whether it has expired isn't the store's to judge
		same(t, "the key", k, w.findAccessKey(t, k.ID))
		got, err := w.AccessKeys().FindByDigest(w.ctx, k.Digest)
		ok(t, err)
		same(t, "the key of the digest", k, got)
		refused(t, w.AccessKeys().Insert(w.ctx, k, e), fault.Conflict)
		k.ID = id.NewAccessKey(w.clock.Now())
		refused(t, w.AccessKeys().Insert(w.ctx, k, e), fault.Conflict) // a secret opens one key
		w.told(t)
	}
	w.fed(t) // whoever has never had a token needs to be told nothing
}

func accessKeyUnknown(t *testing.T, w *world) {
	k, other := w.newAccessKey(t), w.newProject(t)
	e := w.event(w.project.ID, audit.AccessKeyDeleted)
	for _, at := range []struct {
		project id.Project
		key     id.AccessKey
	}{{w.project.ID, id.NewAccessKey(w.clock.Now())}, {w.project.ID, id.AccessKey{}}, {other.ID, k.ID}, {id.NewProject(w.clock.Now()), k.ID}} {
		_, err := w.AccessKeys().Find(w.ctx, at.project, at.key)
		refused(t, err, fault.NotFound)
		_, err = w.AccessKeys().Open(w.ctx, at.project, at.key, k.Digest)
		refused(t, err, fault.NotFound)
		_, err = w.AccessKeys().Change(w.ctx, at.project, at.key, func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			k.Name = "changed"
			return k, []audit.Event{e}, nil
		})
		refused(t, err, fault.NotFound)
		refused(t, w.AccessKeys().Delete(w.ctx, at.project, at.key, e), fault.NotFound)
		if at.project != w.project.ID {
			list, next, err := w.AccessKeys().List(w.ctx, directory.AccessKeyQuery{Project: at.project, Limit: 9})
			ok(t, err)
			same(t, "where to go on", id.AccessKey{}, next)
			same(t, "the keys of another project", 0, len(list))
		}
	}
	_, err := w.AccessKeys().FindByDigest(w.ctx, secret.Digest{})
	refused(t, err, fault.NotFound)
	_, err = w.AccessKeys().Open(w.ctx, w.project.ID, k.ID, secret.Digest{1})
	refused(t, err, fault.NotFound)
	stranger := w.accessKey()
	stranger.Project = id.NewProject(w.clock.Now())
	refused(t, w.AccessKeys().Insert(w.ctx, stranger, e), fault.NotFound)
	w.told(t)
	w.fed(t)
	same(t, "the key", k, w.findAccessKey(t, k.ID))
}

func accessKeyRefusals(t *testing.T, w *world) {
	grants, _ := w.granting(t)
	foreign := w.newUser(t)
	w.project, foreign = w.newProject(t), w.newUserOf(t, w.newProject(t).ID)
	for name, c := range map[string]struct {
		change func(*directory.AccessKey)
		want   fault.Kind
	}{
		"a user of nobody":         {func(k *directory.AccessKey) { k.User = id.NewUser(w.clock.Now()) }, fault.NotFound},
		"another project's user":   {func(k *directory.AccessKey) { k.User = foreign.ID }, fault.NotFound},
		"another project's grants": {func(k *directory.AccessKey) { k.Grants = grants }, fault.Invalid},
	} {
		k := w.accessKey()
		c.change(&k)
		err := w.AccessKeys().Insert(w.ctx, k, w.event(k.Project, audit.AccessKeyCreated))
		if fault.KindOf(err) != c.want || err == nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	u := w.newUserOf(t, w.project.ID)
	for range directory.MaxUserKeys {
		w.newAccessKey(t, func(k *directory.AccessKey) { k.User = u.ID })
	}
	k := w.accessKey()
	k.User = u.ID
	refused(t, w.AccessKeys().Insert(w.ctx, k, w.event(k.Project, audit.AccessKeyCreated)), fault.Conflict)
}

// newUserOf adds a user of any project.
func (w *world) newUserOf(t testing.TB, p id.Project) directory.User {
	t.Helper()
	u := w.user()
	u.Project = p
	ok(t, w.Users().Insert(w.ctx, u, w.event(p, audit.UserCreated)))
	return u
}

func accessKeyPages(t *testing.T, w *world) {
	var all []directory.AccessKey
	for range 5 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newAccessKey(t))
	}
	pages(t, all, func(after id.AccessKey, limit int) ([]directory.AccessKey, error) {
		page, _, err := w.AccessKeys().List(w.ctx, directory.AccessKeyQuery{Project: w.project.ID, After: after, Limit: limit})
		return page, err
	}, func(k directory.AccessKey) id.AccessKey { return k.ID })
}

func accessKeySearch(t *testing.T, w *world) {
	u := w.newUser(t)
	var keys []directory.AccessKey
	for i, change := range []func(*directory.AccessKey){
		func(k *directory.AccessKey) { k.Name = "Import Äpfel" },
		func(k *directory.AccessKey) { k.Name, k.User = "export", u.ID },
		func(k *directory.AccessKey) { k.Name, k.Status = "export 100%", directory.Disabled },
	} {
		w.clock.Move(time.Duration(i) * time.Millisecond)
		keys = append(keys, w.newAccessKey(t, change))
	}
	for name, c := range map[string]struct {
		q    directory.AccessKeyQuery
		want []int
	}{
		"everything":   {directory.AccessKeyQuery{}, []int{0, 1, 2}},
		"text":         {directory.AccessKeyQuery{Text: "EXPORT"}, []int{1, 2}},
		"umlaut":       {directory.AccessKeyQuery{Text: "äpf"}, []int{0}},
		"no wildcard":  {directory.AccessKeyQuery{Text: "%"}, []int{2}},
		"id":           {directory.AccessKeyQuery{Text: keys[1].ID.String()}, []int{1}},
		"status":       {directory.AccessKeyQuery{Status: directory.Disabled}, []int{2}},
		"user":         {directory.AccessKeyQuery{User: u.ID}, []int{1}},
		"user, status": {directory.AccessKeyQuery{User: u.ID, Status: directory.Disabled}, nil},
		"after":        {directory.AccessKeyQuery{After: keys[1].ID}, []int{2}},
		"user, after":  {directory.AccessKeyQuery{User: u.ID, After: keys[1].ID}, nil},
	} {
		c.q.Project, c.q.Limit = w.project.ID, 9
		var want []directory.AccessKey
		for _, i := range c.want {
			want = append(want, keys[i])
		}
		got, next, err := w.AccessKeys().List(w.ctx, c.q)
		ok(t, err)
		same(t, name, want, got)
		same(t, name+": where to go on", id.AccessKey{}, next)
	}
}

func accessKeyOpen(t *testing.T, w *world) {
	grants, resolved := w.granting(t)
	u := w.newUser(t)
	k := w.newAccessKey(t, func(k *directory.AccessKey) { k.Grants, k.User = grants, u.ID })
	opened := w.openAccessKey(t, k)
	now := session.Instant(w.clock.Now())
	k.LastUsedAt = now
	same(t, "the key", k, opened.Key)
	same(t, "its user", u, *opened.User)
	same(t, "the instant", now, opened.At)
	same(t, "how far the clock is behind", time.Duration(0), opened.Behind)
	same(t, "what it may do", resolved.Authorize(grants), opened.Authorize(grants))
	same(t, "the number of roles", len(resolved.Roles), len(opened.Roles))
	if nobody := w.openAccessKey(t, w.newAccessKey(t)); nobody.User != nil {
		t.Errorf("a key of nobody has the user %v", nobody.User.ID)
	}
	// What was deleted since gives nothing.
	ok(t, w.Tenants().Delete(w.ctx, w.project.ID, resolved.Tenants[0].ID, w.event(w.project.ID, audit.TenantDeleted)))
	if left := w.openAccessKey(t, k).Authorize(grants); len(left.Tenants) != 0 || len(left.Roles) != 1 {
		t.Errorf("after its tenant was deleted it has %+v", left)
	}
	w.changeUserStatus(t, u.ID, directory.Disabled)
	if got := w.openAccessKey(t, k).User.Status; got != directory.Disabled {
		t.Errorf("its user is %s", got)
	}
}

func (w *world) changeUserStatus(t testing.TB, u id.User, s directory.Status) {
	t.Helper()
	w.change(t, u, func(u *directory.User) { u.Status = s })
}

func accessKeyUse(t *testing.T, w *world) {
	k := w.newAccessKey(t)
	start := session.Instant(w.clock.Now())
	for _, c := range []struct{ pass, want time.Duration }{{0, 0}, {directory.UsedWithin - time.Millisecond, 0}, {time.Millisecond, directory.UsedWithin}, {time.Minute, directory.UsedWithin}} {
		w.clock.Move(c.pass)
		w.openAccessKey(t, k)
		same(t, fmt.Sprint("last used after ", c.pass), start.Add(c.want), w.findAccessKey(t, k.ID).LastUsedAt)
	}
	w.told(t) // a use is no event
	w.fed(t)
}

// What a token shows and what changes later are told apart by their instants.
func accessKeyInstant(t *testing.T, w *world) {
	k := w.newAccessKey(t)
	w.clock.Move(time.Second)
	before := w.openAccessKey(t, k)
	w.clock.Move(-time.Minute) // the clock is set back
	behind := w.openAccessKey(t, k)
	if got := behind.At.Add(behind.Behind); got.Before(before.At) {
		t.Errorf("opened at %v after %v", got, before.At)
	}
	w.changeAccessKey(t, k.ID, func(k *directory.AccessKey) { k.Status = directory.Disabled })
	entries := w.entries(t)
	if len(entries) != 1 || entries[0].At.Before(before.At) {
		t.Fatalf("a token of %v isn't ended by %+v", before.At, entries)
	}
	if got := w.openAccessKey(t, k); !got.At.Add(got.Behind).After(entries[0].At) {
		t.Errorf("what is opened after the change has an instant before it")
	}
}

func accessKeyChange(t *testing.T, w *world) {
	grants, _ := w.granting(t)
	k := w.newAccessKey(t, func(k *directory.AccessKey) { k.ExpiresAt = k.CreatedAt.Add(time.Hour) })
	outdated, ended := w.entry(revocation.Epoch, k.ID.String()), w.entry(revocation.User, k.ID.String())
	full := filled[directory.AccessKey](t)
	for _, c := range []struct {
		name   string
		change func(*directory.AccessKey)
		want   []revocation.Entry
	}{
		{"nothing", func(*directory.AccessKey) {}, nil},
		{"description", func(k *directory.AccessKey) { k.Description = "what for" }, nil},
		{"name", func(k *directory.AccessKey) { k.Name = "other" }, []revocation.Entry{outdated}},
		{"grants", func(k *directory.AccessKey) { k.Grants = grants }, []revocation.Entry{outdated}},
		{"claims", func(k *directory.AccessKey) { k.Claims = full.Claims }, []revocation.Entry{outdated}},
		{"attributes", func(k *directory.AccessKey) { k.Attributes = full.Attributes }, []revocation.Entry{outdated}},
		{"networks", func(k *directory.AccessKey) { k.Networks = full.Networks }, []revocation.Entry{outdated}},
		{"expiry", func(k *directory.AccessKey) { k.ExpiresAt = time.Time{} }, []revocation.Entry{outdated}},
		{"disabling", func(k *directory.AccessKey) { k.Status, k.Name = directory.Disabled, "off" }, []revocation.Entry{ended}},
		{"disabling again", func(k *directory.AccessKey) { k.Status = directory.Disabled }, nil},
		{"enabling", func(k *directory.AccessKey) { k.Status = directory.Enabled }, nil},
	} {
		e := w.event(w.project.ID, audit.AccessKeyChanged)
		want := w.findAccessKey(t, k.ID)
		c.change(&want)
		got, err := w.AccessKeys().Change(w.ctx, w.project.ID, k.ID, func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			c.change(&k)
			return k, []audit.Event{e}, nil
		})
		ok(t, err)
		same(t, c.name+": the answer", want, got)
		same(t, c.name+": the key", want, w.findAccessKey(t, k.ID))
		w.told(t, e)
		same(t, c.name+": the entries", c.want, w.entries(t))
	}
}

func accessKeyFixed(t *testing.T, w *world) {
	k := w.newAccessKey(t, func(k *directory.AccessKey) { k.User = w.newUser(t).ID })
	changed := w.changeAccessKey(t, k.ID, func(c *directory.AccessKey) {
		c.ID, c.Project, c.User, c.CreatedAt, c.LastUsedAt = id.NewAccessKey(w.clock.Now()), id.NewProject(w.clock.Now()), id.User{}, time.Time{}, w.clock.Now()
	})
	same(t, "the answer", k, changed)
	same(t, "the key", k, w.findAccessKey(t, k.ID))
}

func accessKeyRefusedChange(t *testing.T, w *world) {
	k := w.newAccessKey(t)
	other := w.newAccessKey(t)
	for name, c := range map[string]struct {
		change func(directory.AccessKey) (directory.AccessKey, []audit.Event, error)
		want   fault.Kind
	}{
		"by its caller": {func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			k.Name = "changed"
			return k, []audit.Event{w.event(w.project.ID, audit.AccessKeyChanged)}, fault.New(fault.OutOfRange, "no")
		}, fault.OutOfRange},
		"another's secret": {func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			k.Name, k.Digest = "changed", other.Digest
			return k, []audit.Event{w.event(w.project.ID, audit.AccessKeyChanged)}, nil
		}, fault.Conflict},
		"a role that isn't there": {func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			k.Name, k.Roles = "changed", []id.Role{id.NewRole(w.clock.Now())}
			return k, []audit.Event{w.event(w.project.ID, audit.AccessKeyChanged)}, nil
		}, fault.Invalid},
	} {
		_, err := w.AccessKeys().Change(w.ctx, w.project.ID, k.ID, c.change)
		if fault.KindOf(err) != c.want || err == nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		same(t, name+": the key", k, w.findAccessKey(t, k.ID))
		w.told(t)
		w.fed(t)
	}
}

func accessKeyRotate(t *testing.T, w *world) {
	k, fresh := w.newAccessKey(t), secret.NewKey(secret.Access).Digest()
	got := w.changeAccessKey(t, k.ID, func(k *directory.AccessKey) { k.Digest = fresh })
	w.fed(t, w.entry(revocation.User, k.ID.String())) // what a thief has got with it ends, too
	_, err := w.AccessKeys().FindByDigest(w.ctx, k.Digest)
	refused(t, err, fault.NotFound)
	_, err = w.AccessKeys().Open(w.ctx, w.project.ID, k.ID, k.Digest)
	refused(t, err, fault.NotFound)
	k.Digest = fresh
	same(t, "the answer", k, got)
	got, err = w.AccessKeys().FindByDigest(w.ctx, fresh)
	ok(t, err)
	same(t, "the key", k, got)
}

func accessKeyChangeRace(t *testing.T, w *world) {
	k := w.newAccessKey(t)
	errs := together(16, func(int) error {
		_, err := w.AccessKeys().Change(w.ctx, w.project.ID, k.ID, func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			k.Description += "x"
			return k, []audit.Event{w.event(w.project.ID, audit.AccessKeyChanged)}, nil
		})
		return err
	})
	for _, err := range errs {
		ok(t, err)
	}
	same(t, "the number of changes", 16, len(w.findAccessKey(t, k.ID).Description))
	same(t, "the number of events", 16, len(w.news(t)))
}

func accessKeyDelete(t *testing.T, w *world) {
	k := w.newAccessKey(t)
	e := w.event(k.Project, audit.AccessKeyDeleted)
	ok(t, w.AccessKeys().Delete(w.ctx, k.Project, k.ID, e))
	w.told(t, e)
	w.fed(t, w.entry(revocation.User, k.ID.String()))
	_, err := w.AccessKeys().FindByDigest(w.ctx, k.Digest)
	refused(t, err, fault.NotFound)
	_, err = w.AccessKeys().Open(w.ctx, k.Project, k.ID, k.Digest)
	refused(t, err, fault.NotFound)
	refused(t, w.AccessKeys().Delete(w.ctx, k.Project, k.ID, e), fault.NotFound)
	w.told(t)
}

func accessKeyUser(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	of := func(u id.User, s directory.Status) directory.AccessKey {
		w.clock.Move(time.Millisecond)
		return w.newAccessKey(t, func(k *directory.AccessKey) { k.User, k.Status = u, s })
	}
	a, off, b, others := of(u.ID, directory.Enabled), of(u.ID, directory.Disabled), of(u.ID, directory.Enabled), of(v.ID, directory.Enabled)
	w.change(t, u.ID, func(u *directory.User) { u.Name = "Eve" })
	w.fed(t, w.entry(revocation.Epoch, u.ID.String()))
	w.changeUserStatus(t, u.ID, directory.Disabled)
	w.fed(t, w.entry(revocation.User, u.ID.String()), w.entry(revocation.User, a.ID.String()), w.entry(revocation.User, b.ID.String()))
	same(t, "the key", a, w.findAccessKey(t, a.ID)) // enabled again they are good as before
	w.changeUserStatus(t, u.ID, directory.Enabled)
	w.fed(t)
	ok(t, w.Users().Delete(w.ctx, w.project.ID, u.ID, w.event(w.project.ID, audit.UserDeleted)))
	w.fed(t, w.entry(revocation.User, u.ID.String()), w.entry(revocation.User, a.ID.String()), w.entry(revocation.User, b.ID.String()))
	for _, k := range []directory.AccessKey{a, off, b} {
		_, err := w.AccessKeys().Find(w.ctx, w.project.ID, k.ID)
		refused(t, err, fault.NotFound)
		_, err = w.AccessKeys().FindByDigest(w.ctx, k.Digest)
		refused(t, err, fault.NotFound)
	}
	same(t, "another's key", others, w.findAccessKey(t, others.ID))
}

// Tokens of access keys may live longer than those of sessions: what ends them is told
// for as long.
func accessKeyLife(t *testing.T, w *world) {
	settings := policy.Defaults()
	settings.AccessKeyTokenTTL = latchkey.Duration(24 * time.Hour)
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, w.version(t), settings, w.event(w.project.ID, audit.SettingsChanged)))
	until := func(life time.Duration) time.Time {
		return session.Instant(w.clock.Now()).Add(life + revocation.Leeway)
	}
	last := func() time.Time {
		entries := w.entries(t)
		return entries[len(entries)-1].Until
	}
	k := w.newAccessKey(t)
	w.changeAccessKey(t, k.ID, func(k *directory.AccessKey) { k.Name = "a" })
	same(t, "the end of the key's entry", until(24*time.Hour), last())
	role := w.newRole(t, id.Tenant{}, "importer")
	ok(t, w.Roles().Delete(w.ctx, w.project.ID, role.ID, w.event(w.project.ID, audit.RoleDeleted)))
	same(t, "the end of a role's entry", until(24*time.Hour), last())
	u := w.newUser(t)
	w.change(t, u.ID, func(u *directory.User) { u.Name = "Eve" })
	same(t, "the end of a user's entry", until(settings.SessionTokenTTL.Std()), last())

	minted := session.Instant(w.clock.Now())
	settings.AccessKeyTokenTTL = latchkey.Duration(time.Hour)
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, w.version(t), settings, w.event(w.project.ID, audit.SettingsChanged)))
	w.clock.Move(time.Hour)
	w.changeAccessKey(t, k.ID, func(k *directory.AccessKey) { k.Name = "b" })
	same(t, "its end once tokens live shorter", minted.Add(24*time.Hour+revocation.Leeway), last())
}
