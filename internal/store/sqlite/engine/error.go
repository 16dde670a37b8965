package engine

import "zombiezen.com/go/sqlite"

// Error is a failure that SQLite reports. Its text may quote SQL and is for logs only.
type Error struct {
	code sqlite.ResultCode
	text string
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return &Error{code: sqlite.ErrCode(err), text: err.Error()}
}

// Error returns the text and the result code.
func (e *Error) Error() string { return e.text }

// Transient reports whether the same call may succeed later: the file is locked by
// another process, the disk is full or failing, memory is short.
func (e *Error) Transient() bool {
	switch e.code.ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultCantOpen,
		sqlite.ResultProtocol, sqlite.ResultNoMem, sqlite.ResultReadOnly:
		return true
	}
	return false
}

// Busy reports whether another process holds a lock.
func (e *Error) Busy() bool { return e.code.ToPrimary() == sqlite.ResultBusy }

// Interrupted reports whether the context of Conn.Until ended the statement.
func (e *Error) Interrupted() bool { return e.code.ToPrimary() == sqlite.ResultInterrupt }

// Damaged reports whether the file isn't a database, or not a whole one.
func (e *Error) Damaged() bool {
	p := e.code.ToPrimary()
	return p == sqlite.ResultCorrupt || p == sqlite.ResultNotADB
}
