package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

func TestOpen(t *testing.T) {
	t.Chdir(t.TempDir())
	clock := storetest.NewClock()
	for _, dsn := range []string{
		"sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "absolute 100%.db")),
		"sqlite:" + filepath.ToSlash(filepath.Join(t.TempDir(), "plain.db")),
		"sqlite:relative.db",
		"sqlite:./relative too.db",
		"memory:",
	} {
		from, to, err := store.Migrate(t.Context(), dsn, nil)
		if err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		again, still, err := store.Migrate(t.Context(), dsn, nil)
		if err != nil || from != 0 || again != to || still != to {
			t.Errorf("%s: migrated from %d to %d, then from %d to %d: %v", dsn, from, to, again, still, err)
		}
		s, err := store.Open(t.Context(), dsn, store.Options{Now: clock.Now})
		if err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
		if all, err := s.Projects().List(t.Context(), id.Project{}, 1); err != nil || len(all) != 0 {
			t.Errorf("%s: it isn't empty: %v %v", dsn, all, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	t.Chdir(t.TempDir())
	const canary = "hunter2"
	for dsn, want := range map[string]string{
		"":             "not a known store",
		"sqlite":       "not a known store",
		"memory":       "not a known store",
		":":            "not a known store",
		"/var/lib/a.d": "not a known store",
		"SQLite:a.db":  "not a known store",
		"sqlite3:a.db": "not a known store",
		"postgres://latchkey:" + canary + "@db/latchkey": "not a known store",
		"sqlite:":                         "missing",
		"sqlite://":                       "third",
		"sqlite://host/a.db":              "third",
		"sqlite://a.db":                   "third",
		"sqlite:///":                      "folder",
		"sqlite:folder/":                  "folder",
		"sqlite::memory:":                 "memory:",
		"sqlite:a.db?mode=memory":         "options",
		"sqlite:///a.db?key=" + canary:    "options",
		"sqlite:a.db#part":                "options",
		"sqlite:a\x00b":                   "options",
		"memory:name":                     "memory:",
		"memory://":                       "memory:",
		"file:a.db":                       "not a known store",
		"sqlite ://a.db":                  "not a known store",
		"mysql://root:" + canary + "@/db": "not a known store",
	} {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		_, _, migrateErr := store.Migrate(t.Context(), dsn, nil)
		for _, err := range []error{err, migrateErr} {
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one with %q", dsn, err, want)
			} else if strings.Contains(err.Error(), canary) {
				t.Errorf("%q: the error tells the password: %v", dsn, err)
			}
		}
		if s != nil {
			t.Errorf("%q: a store in spite of an error: %#v", dsn, s)
		}
	}
	if left, err := filepath.Glob("*"); err != nil || len(left) != 0 {
		t.Errorf("refused names left files behind: %q %v", left, err)
	}
}

// Serving must not make an empty database where a path was mistyped.
func TestOpenMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mistyped.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if !errors.Is(err, sqlite.ErrSchema) || s != nil {
		t.Errorf("%v, store %v, want sqlite.ErrSchema and no store", err, s)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 0 {
		t.Errorf("files %q %v", left, err)
	}
}

// What is told can be read already.
func TestOnRevocation(t *testing.T) {
	for _, dsn := range []string{"memory:", "sqlite:" + filepath.Join(t.TempDir(), "a.db")} {
		if _, _, err := store.Migrate(t.Context(), dsn, nil); err != nil {
			t.Fatal(err)
		}
		var s store.Store
		var told []int64
		s, err := store.Open(t.Context(), dsn, store.Options{OnRevocation: func() {
			last, err := s.Revocations().Last(t.Context())
			if err != nil {
				t.Error(err)
			}
			told = append(told, last)
		}})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		p := directory.Project{ID: id.NewProject(now), Name: "acme", Settings: policy.Defaults(), CreatedAt: now, SealedMAC: []byte("sealed")}
		if err := s.Projects().Insert(t.Context(), p, audit.New(p.ID, now, audit.ProjectCreated, audit.Origin{})); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bulk().EndAll(t.Context(), id.NewProject(now), id.User{}, id.Session{}, session.Ending{}); err == nil {
			t.Fatal("ended the sessions of nobody")
		}
		if len(told) != 0 {
			t.Errorf("%s: told %v before anything was revoked", dsn, told)
		}
		for range 2 {
			if _, err := s.Bulk().EndAll(t.Context(), p.ID, id.User{}, id.Session{}, session.Ending{}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Projects().Find(t.Context(), p.ID); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(told, []int64{1, 2}) {
			t.Errorf("%s: told %v, want 1 and 2", dsn, told)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOptions(t *testing.T) {
	clock := storetest.NewClock()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "a.db")
	var steps []string
	if _, to, err := store.Migrate(t.Context(), dsn, func(step string) { steps = append(steps, step) }); err != nil || to != len(steps) {
		t.Fatalf("version %d after %q: %v", to, steps, err)
	}
	commits := 0
	s, err := store.Open(t.Context(), dsn, store.Options{Now: clock.Now, OnCommit: func(calls int, d time.Duration) {
		if calls < 1 || d < 0 {
			t.Errorf("a transaction of %d calls in %v", calls, d)
		}
		commits++
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Bulk().Sweep(t.Context(), clock.Now(), 1); err != nil {
		t.Fatal(err)
	}
	if commits == 0 {
		t.Error("no transaction was told")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, dsn := range []string{dsn, "memory:"} {
		if _, _, err := store.Migrate(ctx, dsn, nil); err == nil && dsn == "memory:" {
			t.Errorf("%s: migrated with a context that had ended", dsn)
		}
		if s, err := store.Open(ctx, dsn, store.Options{}); !errors.Is(err, context.Canceled) || s != nil {
			t.Errorf("%s: opened with a context that had ended: %v", dsn, err)
		}
	}
}
