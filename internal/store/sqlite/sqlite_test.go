package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// fresh opens an empty store and closes it at the end of the test.
func fresh(t testing.TB, o Options) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	blank(t, path)
	return open(t, path, o), path
}

// blankFile is a database without anything in it but the schema. It is made once:
// migrating takes SQLite a good part of a second under the race detector.
var blankFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "latchkey")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "latchkey.db")
	if _, _, err := Migrate(context.Background(), path, nil); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// blank makes a database at path, unless there is one.
func blank(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	file, err := blankFile()
	if err == nil {
		err = os.WriteFile(path, file, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// volatile is fresh without waiting for the disk, for tests that don't ask what a crash
// leaves: writing takes most of their time.
func volatile(t testing.TB, o Options) *Store {
	t.Helper()
	s, _ := fresh(t, o)
	if err := s.queue.conn.Run("PRAGMA synchronous = OFF"); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		return volatile(t, Options{Now: now})
	})
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string, now func() time.Time) storetest.Store {
		path := filepath.Join(dir, "latchkey.db")
		blank(t, path)
		return open(t, path, Options{Now: now})
	})
}
