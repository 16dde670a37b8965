package storetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

func managementKeyChecks() []check {
	return []check{
		{"come back as they went in", managementKeyInsert},
		{"are listed ascending, page by page", managementKeyPages},
		{"rotating ends the old secret at once", managementKeyRotate},
		{"deleting ends the secret at once", managementKeyDelete},
		{"belong to their project alone", managementKeyIsolation},
	}
}

func (w *world) managementKey() directory.ManagementKey {
	now := w.clock.Now()
	return directory.ManagementKey{
		ID: id.NewManagementKey(now), Project: w.project.ID, Name: "backend", Kind: secret.Management,
		Digest: secret.NewKey(secret.Management).Digest(), CreatedAt: now,
	}
}

func (w *world) newManagementKey(t *testing.T) directory.ManagementKey {
	t.Helper()
	k := w.managementKey()
	ok(t, w.ManagementKeys().Insert(w.ctx, k, w.event(k.Project, audit.ManagementKeyCreated)))
	w.news(t)
	return k
}

func managementKeyInsert(t *testing.T, w *world) {
	plain, full := w.managementKey(), w.managementKey()
	other := full
	full = filled[directory.ManagementKey](t)
	full.ID, full.Project, full.Kind, full.ProjectDeleted = other.ID, other.Project, secret.Verify, false
	full.Scopes = []directory.Scope{directory.ScopeVerify, directory.ScopeEvents}
	full.Networks = append(full.Networks, netip.MustParsePrefix("2001:db8::/32"))
	for _, k := range []directory.ManagementKey{plain, full} {
		e := w.event(k.Project, audit.ManagementKeyCreated)
		ok(t, w.ManagementKeys().Insert(w.ctx, k, e))
		w.told(t, e)
		w.clock.Move(2 * time.Hour) // whether it has expired isn't the store's to judge
		got, err := w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
		ok(t, err)
		same(t, "the key", k, got)
		refused(t, w.ManagementKeys().Insert(w.ctx, k, e), fault.Conflict)
		k.ID = id.NewManagementKey(w.clock.Now())
		refused(t, w.ManagementKeys().Insert(w.ctx, k, e), fault.Conflict) // a secret opens one key
		w.told(t)
	}
	_, err := w.ManagementKeys().FindByDigest(w.ctx, secret.Digest{})
	refused(t, err, fault.NotFound)
}

func managementKeyPages(t *testing.T, w *world) {
	var all []directory.ManagementKey
	for range 5 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newManagementKey(t))
	}
	pages(t, all, func(after id.ManagementKey, limit int) ([]directory.ManagementKey, error) {
		return w.ManagementKeys().List(w.ctx, w.project.ID, after, limit)
	}, func(k directory.ManagementKey) id.ManagementKey { return k.ID })
}

func managementKeyRotate(t *testing.T, w *world) {
	k, fresh := w.newManagementKey(t), secret.NewKey(secret.Management).Digest()
	e := w.event(k.Project, audit.ManagementKeyRotated)
	got, err := w.ManagementKeys().Rotate(w.ctx, k.Project, k.ID, fresh, e)
	ok(t, err)
	w.told(t, e)
	_, err = w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
	refused(t, err, fault.NotFound)
	k.Digest = fresh
	same(t, "the returned key", k, got)
	got, err = w.ManagementKeys().FindByDigest(w.ctx, fresh)
	ok(t, err)
	same(t, "the stored key", k, got)
}

func managementKeyDelete(t *testing.T, w *world) {
	k := w.newManagementKey(t)
	e := w.event(k.Project, audit.ManagementKeyDeleted)
	ok(t, w.ManagementKeys().Delete(w.ctx, k.Project, k.ID, e))
	w.told(t, e)
	_, err := w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
	refused(t, err, fault.NotFound)
	refused(t, w.ManagementKeys().Delete(w.ctx, k.Project, k.ID, e), fault.NotFound)
	w.told(t)
}

func managementKeyIsolation(t *testing.T, w *world) {
	k, other := w.newManagementKey(t), w.newProject(t)
	e := w.event(w.project.ID, audit.ManagementKeyRotated)
	for _, at := range []struct {
		project id.Project
		key     id.ManagementKey
	}{{other.ID, k.ID}, {id.NewProject(w.clock.Now()), k.ID}, {w.project.ID, id.NewManagementKey(w.clock.Now())}} {
		_, err := w.ManagementKeys().Rotate(w.ctx, at.project, at.key, secret.Digest{1}, e)
		refused(t, err, fault.NotFound)
		refused(t, w.ManagementKeys().Delete(w.ctx, at.project, at.key, e), fault.NotFound)
	}
	list, err := w.ManagementKeys().List(w.ctx, other.ID, id.ManagementKey{}, 9)
	ok(t, err)
	same(t, "the other project's keys", []directory.ManagementKey{}, list)
	got, err := w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
	ok(t, err)
	same(t, "the key", k, got)
	w.told(t)
}

func keyChecks() []check {
	return []check{
		{"change whole, with their events and the project's version", keyApply},
		{"don't change when the version is old", keyOldVersion},
		{"change whole or not at all", keyWhole},
		{"of an unknown project", keyUnknown},
		{"one of many concurrent changes wins", keyRace},
		{"are resealed, all or none, when they are still as they were", keyReseal},
	}
}

func (w *world) key() key.Key {
	now := w.clock.Now()
	k := id.NewKey(now)
	return key.Key{
		ID: k, Project: w.project.ID, Algorithm: key.ES256, State: key.Next, CreatedAt: now, ActivatesAt: now.Add(24 * time.Hour),
		Sealed: []byte("sealed " + k.String()),
	}
}

func (w *world) keysAre(t *testing.T, want ...key.Key) {
	t.Helper()
	got, err := w.Keys().List(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the keys", want, got)
}

func keyApply(t *testing.T, w *world) {
	w.keysAre(t)
	a := w.key()
	w.clock.Move(time.Millisecond)
	b := w.key()
	k := b.ID
	b = filled[key.Key](t)
	b.ID, b.Project, b.Algorithm, b.State = k, w.project.ID, key.RS256, key.Active
	events := []audit.Event{w.event(w.project.ID, audit.KeyCreated), w.event(w.project.ID, audit.KeyCreated)}
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{b, a}, Events: events}))
	w.keysAre(t, a, b)
	w.told(t, events...)
	same(t, "the version", int64(2), w.version(t))

	w.clock.Move(time.Millisecond)
	c, asked := w.key(), filled[key.Key](t)
	asked.ID, asked.Algorithm, asked.State = a.ID, key.EdDSA, key.Revoked
	changed := asked // but what must stay as it is
	changed.Project, changed.CreatedAt, changed.Sealed = a.Project, a.CreatedAt, a.Sealed
	events = []audit.Event{w.event(w.project.ID, audit.KeyRevoked)}
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{
		Insert: []key.Key{c}, Update: []key.Key{asked}, Remove: []id.Key{b.ID}, Events: events,
	}))
	w.keysAre(t, changed, c)
	w.told(t, events...)
	same(t, "the version", int64(3), w.version(t))
}

func keyOldVersion(t *testing.T, w *world) {
	a := w.key()
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{a}}))
	e := []audit.Event{w.event(w.project.ID, audit.KeyRemoved)}
	for _, version := range []int64{1, 3, 0} {
		refused(t, w.Keys().Apply(w.ctx, w.project.ID, version, key.Change{Remove: []id.Key{a.ID}, Events: e}), fault.Conflict)
	}
	// Settings and keys share one version.
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, 2, w.project.Settings, w.event(w.project.ID, audit.SettingsChanged)))
	w.news(t)
	refused(t, w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{Remove: []id.Key{a.ID}, Events: e}), fault.Conflict)
	w.keysAre(t, a)
	w.told(t)
	same(t, "the version", int64(3), w.version(t))
}

func keyWhole(t *testing.T, w *world) {
	a, b := w.key(), w.key()
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{a}}))
	active := a
	active.State = key.Active
	err := w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{
		Insert: []key.Key{b, a}, Update: []key.Key{active}, Events: []audit.Event{w.event(w.project.ID, audit.KeyCreated)},
	})
	refused(t, err, fault.Conflict) // a is there already
	err = w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{
		Update: []key.Key{active, b}, Remove: []id.Key{a.ID}, Events: []audit.Event{w.event(w.project.ID, audit.KeyRemoved)},
	})
	refused(t, err, fault.NotFound) // b is not
	w.keysAre(t, a)
	w.told(t)
	same(t, "the version", int64(2), w.version(t))
}

func keyUnknown(t *testing.T, w *world) {
	unknown := id.NewProject(w.clock.Now())
	list, err := w.Keys().List(w.ctx, unknown)
	ok(t, err)
	same(t, "the keys", []key.Key{}, list)
	k := w.key()
	k.Project = unknown
	refused(t, w.Keys().Apply(w.ctx, unknown, 1, key.Change{Insert: []key.Key{k}}), fault.NotFound)
	// Another project's keys are out of reach.
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{w.key()}}))
	other := w.newProject(t)
	list, err = w.Keys().List(w.ctx, other.ID)
	ok(t, err)
	same(t, "the other project's keys", []key.Key{}, list)
}

func keyRace(t *testing.T, w *world) {
	errs := together(16, func(int) error {
		return w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{
			Insert: []key.Key{w.key()}, Events: []audit.Event{w.event(w.project.ID, audit.KeyCreated)},
		})
	})
	onlyWinner(t, errs, fault.Conflict)
	list, err := w.Keys().List(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the number of keys", 1, len(list))
	same(t, "the number of events", 1, len(w.news(t)))
}

func keyReseal(t *testing.T, w *world) {
	a := w.key()
	w.clock.Move(time.Millisecond)
	b := w.key()
	w.clock.Move(time.Millisecond)
	c := w.key()
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{a, b, c}}))
	reseal := func(k key.Key, old string) key.Resealed {
		return key.Resealed{ID: k.ID, Old: []byte(old), Sealed: []byte("anew\x00" + k.ID.String())}
	}
	right := reseal(a, string(a.Sealed))
	e := w.event(w.project.ID, audit.MasterKeyResealed).With("signingKeys", 2.0)
	for _, wrong := range []key.Resealed{reseal(b, ""), reseal(b, string(a.Sealed)), reseal(w.key(), string(a.Sealed))} {
		refused(t, w.Keys().Reseal(w.ctx, w.project.ID, []key.Resealed{right, wrong}, e), fault.Conflict)
		w.keysAre(t, a, b, c)
	}
	refused(t, w.Keys().Reseal(w.ctx, id.NewProject(w.clock.Now()), []key.Resealed{right}, e), fault.NotFound)
	other := w.newProject(t)
	refused(t, w.Keys().Reseal(w.ctx, other.ID, []key.Resealed{right}, w.event(other.ID, audit.MasterKeyResealed)), fault.Conflict)
	w.keysAre(t, a, b, c)
	w.told(t)

	both := []key.Resealed{reseal(c, string(c.Sealed)), right}
	ok(t, w.Keys().Reseal(w.ctx, w.project.ID, both, e))
	a.Sealed, c.Sealed = slices.Clone(both[1].Sealed), slices.Clone(both[0].Sealed)
	clear(both[0].Sealed) // it is the caller's
	w.keysAre(t, a, b, c)
	w.told(t, e)
	same(t, "the version", int64(2), w.version(t))
	refused(t, w.Keys().Reseal(w.ctx, w.project.ID, both, e), fault.Conflict)
	// A change that was planned before is still right, and keeps what was resealed.
	retired := a
	retired.State, retired.Sealed = key.Retired, []byte("outdated")
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 2, key.Change{Update: []key.Key{retired}}))
	retired.Sealed = a.Sealed
	w.keysAre(t, retired, b, c)
	w.told(t)
}
