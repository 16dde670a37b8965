package engine

import (
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"
)

// Error is a failure that SQLite reports. Its text may quote SQL and is for logs only.
type Error struct {
	code int32
	text string
}

// Error returns the text and the extended result code.
func (e *Error) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

// primary is the code without its extension.
func (e *Error) primary() int32 { return e.code & 0xff }

// Transient reports whether the same call may succeed later: the file is locked by
// another process, the disk is full or failing, memory is short.
func (e *Error) Transient() bool {
	switch e.primary() {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// Busy reports whether another process holds a lock.
func (e *Error) Busy() bool { return e.primary() == sqlite3.SQLITE_BUSY }

// Interrupted reports whether the context of Conn.Until ended the statement.
func (e *Error) Interrupted() bool { return e.primary() == sqlite3.SQLITE_INTERRUPT }

// Damaged reports whether the file isn't a database, or not a whole one.
func (e *Error) Damaged() bool {
	return e.primary() == sqlite3.SQLITE_CORRUPT || e.primary() == sqlite3.SQLITE_NOTADB
}
