package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// altered returns a migrated database after some SQL.
func altered(t *testing.T, sql string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if _, _, err := Migrate(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	alter(t, path, sql)
	return path
}

func alter(t *testing.T, path, sql string) {
	t.Helper()
	c, err := engine.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Run(sql); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func foreigner(t *testing.T) string {
	path := file(t, "")
	alter(t, path, "CREATE TABLE theirs (x)")
	return path
}

func TestOpenRefusesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		is   error
		says string
	}{
		"missing":  {filepath.Join(t.TempDir(), "none.db"), ErrSchema, `Run "latchkey migrate"`},
		"empty":    {file(t, ""), ErrSchema, `Run "latchkey migrate"`},
		"older":    {altered(t, "UPDATE schema_version SET version = 0"), ErrSchema, `Run "latchkey migrate"`},
		"newer":    {altered(t, "UPDATE schema_version SET version = 99"), ErrSchema, "made by a newer version of latchkey"},
		"foreign":  {foreigner(t), ErrSchema, "of another program"},
		"folder":   {t.TempDir(), ErrSchema, "not a file"},
		"no SQL":   {file(t, strings.Repeat("not a database. ", 1000)), ErrDamaged, "Restore it from a backup"},
		"cut":      {file(t, "SQLite format 3\x00\x10\x00"), ErrDamaged, "Restore it from a backup"},
		"scrawled": {scrawled(t), ErrDamaged, "Restore it from a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadFile(c.path)
			s, err := Open(t.Context(), c.path, Options{})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("error %q, want %q that says %q and where", err, c.is, c.says)
			}
			if after, _ := os.ReadFile(c.path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

// scrawled is a database with its first tables overwritten.
func scrawled(t *testing.T) string {
	t.Helper()
	path := altered(t, "")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("x", 8000)), 100); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefusesAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, altered(t, ""), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if v, err := SchemaVersion(t.Context(), path); v != 0 || err != nil {
		t.Fatalf("version %d, %v of a file that isn't there", v, err)
	}
	want := len(migrations())
	var steps []string
	from, to, err := Migrate(t.Context(), path, func(step string) { steps = append(steps, step) })
	if err != nil || from != 0 || to != want || len(steps) != want || steps[0] != "0001_core" {
		t.Fatalf("from %d to %d by %q: %v", from, to, steps, err)
	}
	if v, err := SchemaVersion(t.Context(), path); v != want || err != nil {
		t.Fatalf("version %d, %v, want %d", v, err, want)
	}
	from, to, err = Migrate(t.Context(), path, func(step string) { t.Errorf("step %q again", step) })
	if err != nil || from != want || to != want {
		t.Fatalf("again: from %d to %d: %v", from, to, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %o: others can read it", mode)
	}
}

func TestMigrateRefuses(t *testing.T) {
	newer := altered(t, "UPDATE schema_version SET version = 99")
	for name, c := range map[string]struct {
		path string
		is   error
	}{
		"newer":     {newer, ErrSchema},
		"foreign":   {foreigner(t), ErrSchema},
		"no folder": {filepath.Join(t.TempDir(), "none", "latchkey.db"), os.ErrNotExist},
		"folder":    {t.TempDir(), ErrSchema},
		"no SQL":    {file(t, strings.Repeat("not a database. ", 1000)), ErrDamaged},
	} {
		if _, _, err := Migrate(t.Context(), c.path, nil); !errors.Is(err, c.is) {
			t.Errorf("%s: error %v, want %v", name, err, c.is)
		}
	}
	if v, err := SchemaVersion(t.Context(), newer); v != 99 || err != nil {
		t.Errorf("version %d, %v, want 99", v, err)
	}
	if _, err := SchemaVersion(t.Context(), foreigner(t)); !errors.Is(err, ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Migrate(ctx, filepath.Join(t.TempDir(), "x.db"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestAStepThatFailsLeavesNothing(t *testing.T) {
	path := file(t, "")
	alter(t, path, "PRAGMA application_id = 1281455211; CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (0)")
	if _, _, err := Migrate(t.Context(), path, nil); err == nil { // the table is there already
		t.Fatal("migrated")
	}
	if v, err := SchemaVersion(t.Context(), path); v != 0 || err != nil {
		t.Errorf("version %d, %v, want 0", v, err)
	}
	c, err := engine.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := number(c, "SELECT count(*) FROM sqlite_schema"); n != 1 || err != nil {
		t.Errorf("%d tables and indexes, %v, want 1", n, err)
	}
}

func TestManyMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	var mu sync.Mutex
	var all sync.WaitGroup
	steps := 0
	for range 8 {
		all.Go(func() {
			_, to, err := Migrate(t.Context(), path, func(string) {
				mu.Lock()
				defer mu.Unlock()
				steps++
			})
			if err != nil || to != len(migrations()) {
				t.Errorf("to %d: %v", to, err)
			}
		})
	}
	all.Wait()
	if steps != len(migrations()) {
		t.Errorf("%d steps, want each once", steps)
	}
	open(t, path, Options{})
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	for i, name := range migrations() {
		if base := filepath.Base(name); !strings.HasPrefix(base, []string{"0001_", "0002_", "0003_", "0004_", "0005_", "0006_", "0007_", "0008_", "0009_"}[i]) {
			t.Errorf("migration %d is called %s", i+1, base)
		}
	}
}
