package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// first makes a database with the schema of the first version.
func first(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	c, err := engine.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := prepare(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, now, err := step(c, 0, migrations()[0]); err != nil || now != 1 {
		t.Fatalf("version %d: %v", now, err)
	}
	return path
}

// What a database of the first version holds is there after the migration, and its
// sessions can be ended: for tokens that nobody knows the lifetime of, the longest counts.
func TestMigrateFromTheFirstVersion(t *testing.T) {
	path := first(t)
	p, u := project(), id.NewUser(epoch)
	c, err := engine.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	tx := &transaction{Conn: c, now: epoch}
	q := tx.Query("INSERT INTO projects (" + firstColumns + ") VALUES (?, 1, 0, ?, ?, ?, ?)")
	putTime(q.Blob(p.ID[:]), p.CreatedAt).Text(p.Name).Blob(p.SealedMAC)
	if err := putJSON(q, p.Settings).Exec(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrSchema) {
		t.Fatalf("error %v, want ErrSchema", err)
	}
	before := time.Now().Truncate(time.Second)
	if from, to, err := Migrate(t.Context(), path, nil); err != nil || from != 1 || to != len(migrations()) {
		t.Fatalf("from %d to %d: %v", from, to, err)
	}
	s := open(t, path, Options{})
	got, err := s.Projects().Find(t.Context(), p.ID)
	if err != nil || got.Name != p.Name || got.Settings.SessionTokenTTL != p.Settings.SessionTokenTTL {
		t.Fatalf("the project %+v, %v", got, err)
	}
	addUsers(t, s, p.ID, []id.User{u})
	end := func() revocation.Entry {
		t.Helper()
		if _, err := s.Bulk().EndAll(t.Context(), p.ID, u, id.Session{}, session.Ending{Reason: session.Ended}); err != nil {
			t.Fatal(err)
		}
		list, err := s.Revocations().Of(t.Context(), p.ID, 0, 99)
		if err != nil || len(list) == 0 {
			t.Fatalf("entries %v, %v", list, err)
		}
		return list[len(list)-1]
	}
	from := before.Add(24*time.Hour + revocation.Leeway)
	if e := end(); e.Until.Before(from) || e.Until.After(from.Add(time.Minute)) {
		t.Errorf("the entry is kept until %v, want about %v", e.Until, from)
	}
	// A change of settings doesn't forget that.
	settings := policy.Defaults()
	settings.SessionTokenTTL = latchkey.Duration(time.Minute)
	if err := s.Projects().ChangeSettings(t.Context(), p.ID, 1, settings, audit.New(p.ID, epoch, audit.SettingsChanged, audit.Origin{})); err != nil {
		t.Fatal(err)
	}
	if e := end(); e.Until.Before(from) {
		t.Errorf("the entry is kept until %v, want at least %v", e.Until, from)
	}
}

// A refresh that ends nothing asks nothing about the feed: it works without one. An end
// doesn't, and leaves the session as it was.
func TestRefreshDoesNotTouchTheFeed(t *testing.T) {
	s, _ := fresh(t, Options{Now: newTick().Now})
	_, rows := populate(t, s, 1)
	row := rows[0]
	if err := s.queue.conn.Run("DROP TABLE revocations; ALTER TABLE projects DROP COLUMN tokens_until"); err != nil {
		t.Fatal(err)
	}
	if _, v, err := s.Sessions().Rotate(t.Context(), refresh(row, 1, unlimited())); err != nil || v.Rule != session.Rotate {
		t.Fatal(v.Rule, err)
	}
	if _, err := s.Sessions().End(t.Context(), row.Project, row.ID, session.Ending{Reason: session.Logout}); err == nil {
		t.Fatal("a session ended without its entry")
	}
	found, subject, err := s.Sessions().Find(t.Context(), row.Project, row.ID)
	if status, _ := found.Status(subject, s.clock()); err != nil || status != session.Active {
		t.Errorf("the session is %q: %v", status, err)
	}
}

// TestEntrySize measures what an entry takes on disk with its indexes.
func TestEntrySize(t *testing.T) {
	const n = 2000
	clock := storetest.NewClock()
	s, _ := fresh(t, Options{Now: clock.Now})
	p, _ := populate(t, s, n)
	for f := (session.Filter{Project: p.ID, Limit: 500}); ; {
		_, next, err := s.Bulk().EndMatching(t.Context(), f, session.Ending{Reason: session.Ended})
		if err != nil {
			t.Fatal(err)
		}
		if f.After = next; next.IsZero() {
			break
		}
		clock.Move(time.Millisecond)
	}
	if rows := rowsIn(t, s, "revocations"); rows != n {
		t.Fatalf("%d entries, want %d", rows, n)
	}
	bytes, err := number(s.queue.conn, `SELECT sum(pgsize) FROM dbstat WHERE name IN
(SELECT name FROM sqlite_schema WHERE tbl_name = 'revocations')`)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes an entry", bytes/n)
	if bytes/n > 130 {
		t.Errorf("an entry takes %d bytes, want at most 130", bytes/n)
	}
}
