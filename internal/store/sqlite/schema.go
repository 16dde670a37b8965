package sqlite

import (
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// ErrSchema means that a file isn't a database of this version of latchkey.
var ErrSchema = errors.New("the database doesn't have the schema of this version of latchkey")

// ErrDamaged means that a file isn't a whole SQLite database.
var ErrDamaged = errors.New("the database file is damaged")

type schemaError struct{ text string }

func (e *schemaError) Error() string        { return e.text }
func (e *schemaError) Is(target error) bool { return target == ErrSchema }

type damageError struct {
	path  string
	cause error
}

func (e *damageError) Error() string {
	return fmt.Sprintf("%s is damaged or not a SQLite database. Restore it from a backup, together with its -wal file if there is one. (%v)", e.path, e.cause)
}
func (e *damageError) Is(target error) bool { return target == ErrDamaged }
func (e *damageError) Unwrap() error        { return e.cause }

// applicationID marks a file as ours, for file(1) and for inspect: "Latk".
const applicationID = 0x4c61746b

// foreign is what inspect returns for a database that something else made.
const foreign = -1

// inspect returns the schema version of a database: 0 for an empty one. All of it is
// read from one state of the file, since another process may be about to migrate it.
func inspect(c *engine.Conn) (int, error) {
	if c.InTransaction() {
		return versionOf(c)
	}
	if err := c.Run("BEGIN"); err != nil {
		return 0, err
	}
	have, err := versionOf(c)
	return have, errors.Join(err, c.Run("COMMIT"))
}

func versionOf(c *engine.Conn) (int, error) {
	mark, err := number(c, "PRAGMA application_id")
	if err != nil {
		return 0, err
	}
	if mark == applicationID {
		return version(c)
	}
	tables, err := number(c, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, err
	}
	if mark != 0 || tables != 0 {
		return foreign, nil
	}
	return 0, nil
}

func version(c *engine.Conn) (int, error) {
	v, err := number(c, "SELECT version FROM schema_version")
	return int(v), err
}

// number returns the only value of a query.
func number(c *engine.Conn, sql string) (int64, error) {
	q := c.Query(sql)
	var v int64
	if q.Next() {
		v = q.ReadInt()
	}
	return v, q.Close()
}

// fits returns ErrSchema, with a sentence that says what to do, unless the version is
// the wanted one.
func fits(path string, have int) error {
	want := len(migrations())
	switch {
	case have == foreign:
		return notOurs(path)
	case have == 0:
		return &schemaError{fmt.Sprintf("The database %s is empty. Run \"latchkey migrate\" first.", path)}
	case have < want:
		return &schemaError{fmt.Sprintf("The database %s has schema %d and this version of latchkey needs %d. Run \"latchkey migrate\" first.", path, have, want)}
	case have > want:
		return tooNew(path, have)
	}
	return nil
}

func notOurs(path string) error {
	return &schemaError{fmt.Sprintf("%s is a database of another program.", path)}
}

func tooNew(path string, have int) error {
	return &schemaError{fmt.Sprintf("The database %s has schema %d: it was made by a newer version of latchkey, which knows more than this one (%d). Run that version.", path, have, len(migrations()))}
}
