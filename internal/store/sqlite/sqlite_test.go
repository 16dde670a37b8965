package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// fresh opens an empty store and closes it at the end of the test.
func fresh(t testing.TB, o Options) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if _, _, err := Migrate(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	return open(t, path, o), path
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

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		s, _ := fresh(t, Options{Now: now})
		return s
	})
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string, now func() time.Time) storetest.Store {
		path := filepath.Join(dir, "latchkey.db")
		if _, _, err := Migrate(t.Context(), path, nil); err != nil {
			t.Fatal(err)
		}
		return open(t, path, Options{Now: now})
	})
}
