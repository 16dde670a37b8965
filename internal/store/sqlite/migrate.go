package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// Migrations are named 0001_core.sql and so on, and run in that order, each in one
// transaction. They only expand: a server of the version before keeps working while
// and after one runs. What must go, goes one version after nobody reads it.
//
//go:embed migrations/*.sql
var files embed.FS

// migrations returns the names in order; the last one's number is the schema version
// that this version of latchkey wants.
func migrations() []string {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil // only a malformed pattern fails
	}
	return names
}

const (
	// migrationPatience is how long Migrate waits for another process that migrates.
	migrationPatience = 30 * time.Second

	// wait is how long to wait before the journal mode is tried again: SQLite itself
	// doesn't wait there.
	wait = 20 * time.Millisecond
)

// firstPragmas can't be set in a transaction, or not once there is a table.
const firstPragmas = `PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`

// Migrate brings the database at path to the schema of this version, and makes the
// file (readable by its owner alone) if there is none; its folder must exist. It
// returns the schema version before and after, and tells progress of each step that it
// has made. Several processes may migrate at the same time: each step is made once. A
// database of a newer version or of another program is ErrSchema and stays as it is.
func Migrate(ctx context.Context, path string, progress func(string)) (from, to int, err error) {
	if err := create(path); err != nil {
		return 0, 0, err
	}
	c, err := engine.Open(path, migrationPatience)
	if err != nil {
		return 0, 0, explain(path, err)
	}
	defer c.Close()
	from, err = inspect(c)
	if err == nil && from == foreign {
		from, err = 0, notOurs(path)
	}
	if err == nil {
		to, err = climb(ctx, c, from, progress)
	}
	if err == nil && to > len(migrations()) {
		err = tooNew(path, to)
	}
	return from, to, explain(path, err)
}

// SchemaVersion returns the schema version of the database at path: 0 when there is no
// such file or it is empty, ErrSchema when it is another program's.
func SchemaVersion(ctx context.Context, path string) (int, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, ctx.Err()
	}
	c, err := engine.Open(path, patience)
	if err != nil {
		return 0, explain(path, err)
	}
	defer c.Close()
	have, err := inspect(c)
	if err == nil && have == foreign {
		return 0, notOurs(path)
	}
	return have, explain(path, err)
}

// create makes an empty file if there is none. One that is there is never opened here:
// closing it again would take away the locks of connections that this process has.
func create(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return isFile(file)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// climb makes the steps that are missing and returns the version reached.
func climb(ctx context.Context, c *engine.Conn, have int, progress func(string)) (int, error) {
	names := migrations()
	for have < len(names) {
		if err := ctx.Err(); err != nil {
			return have, err
		}
		if have == 0 {
			if err := prepare(ctx, c); err != nil {
				return have, err
			}
		}
		made, now, err := step(c, have, names[have])
		if err != nil {
			return have, err
		}
		if made && progress != nil {
			progress(strings.TrimSuffix(path.Base(names[have]), ".sql"))
		}
		have = now
	}
	return have, nil
}

// grantsMigration makes the index of what users are called, which SQL can't fill.
const grantsMigration = "migrations/0004_grants.sql"

// prepare sets what a new file has for good. Another process that does the same makes
// SQLite give up at once, so it is tried again.
func prepare(ctx context.Context, c *engine.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, migrationPatience)
	defer cancel()
	for {
		err := c.Run(firstPragmas)
		var e *engine.Error
		if !errors.As(err, &e) || !e.Busy() {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// step makes one migration, unless another process has moved on from version have in
// the meantime. It returns the version afterwards.
func step(c *engine.Conn, have int, name string) (made bool, now int, err error) {
	sql, err := files.ReadFile(name)
	if err != nil {
		return false, have, err
	}
	if err := c.Run("BEGIN IMMEDIATE"); err != nil {
		return false, have, err
	}
	now, err = inspect(c)
	if err == nil && now == have {
		made, now = true, have+1
		err = c.Run(fmt.Sprintf("%s;\nUPDATE schema_version SET version = %d", sql, now))
	}
	if err == nil && made && name == grantsMigration {
		err = userTexts().reindexAll(c)
	}
	if err == nil {
		err = c.Run("COMMIT")
	}
	if err != nil {
		c.Run("ROLLBACK") // fails only when SQLite has rolled back by itself
		return false, have, err
	}
	return made, now, nil
}
