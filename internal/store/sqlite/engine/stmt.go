package engine

import (
	"errors"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Stmt is a statement on its way: parameters go in from left to right, then Next or
// Exec runs it, then columns come out from left to right. The first error sticks and
// comes out of Exec or Close, so nothing in between needs a check. Whoever calls
// Conn.Query has to call Exec or Close.
type Stmt struct {
	c      *Conn
	handle uintptr
	param  int32 // the last one that was set
	column int32 // the next one to read
	open   bool  // between Query and Close
	err    error
}

// transient is SQLITE_TRANSIENT: SQLite copies the value before the call returns.
const transient = ^uintptr(0)

// Query returns the statement for sql, ready for its parameters. It is prepared once
// per connection: sql must come from a small set.
func (c *Conn) Query(sql string) *Stmt {
	s := c.stmts[sql]
	if s == nil {
		var err error
		if s, err = c.prepare(sql); err != nil {
			return &Stmt{c: c, err: err}
		}
		c.stmts[sql] = s
	}
	if s.open { // left behind by a panic
		s.Close()
	}
	s.param, s.column, s.open, s.err = 0, 0, true, nil
	return s
}

func (c *Conn) prepare(sql string) (*Stmt, error) {
	text, err := libc.CString(sql)
	if err != nil {
		return nil, &Error{code: sqlite3.SQLITE_NOMEM, text: err.Error()}
	}
	defer libc.Xfree(c.tls, text)
	out, err := c.buffer(int(unsafe.Sizeof(c.db)))
	if err != nil {
		return nil, err
	}
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, 0)
	if err := c.check(rc); err != nil {
		return nil, err
	}
	return &Stmt{c: c, handle: *(*uintptr)(pointer(out))}, nil
}

func (s *Stmt) next() int32 {
	s.param++
	return s.param
}

func (s *Stmt) bound(rc int32) *Stmt {
	if rc != sqlite3.SQLITE_OK {
		s.err = s.c.check(rc)
	}
	return s
}

// Int sets the next parameter to a number.
func (s *Stmt) Int(v int64) *Stmt {
	if s.err != nil {
		return s
	}
	return s.bound(sqlite3.Xsqlite3_bind_int64(s.c.tls, s.handle, s.next(), v))
}

// Null sets the next parameter to NULL.
func (s *Stmt) Null() *Stmt {
	if s.err != nil {
		return s
	}
	return s.bound(sqlite3.Xsqlite3_bind_null(s.c.tls, s.handle, s.next()))
}

// Text sets the next parameter to a text.
func (s *Stmt) Text(v string) *Stmt {
	p := s.hand(unsafe.Slice(unsafe.StringData(v), len(v)))
	if s.err != nil {
		return s
	}
	return s.bound(sqlite3.Xsqlite3_bind_text(s.c.tls, s.handle, s.next(), p, int32(len(v)), transient))
}

// Blob sets the next parameter to bytes; none are the empty blob, not NULL.
func (s *Stmt) Blob(v []byte) *Stmt {
	p := s.hand(v)
	if s.err != nil {
		return s
	}
	return s.bound(sqlite3.Xsqlite3_bind_blob(s.c.tls, s.handle, s.next(), p, int32(len(v)), transient))
}

// hand copies v to memory of the C side. SQLite must not be given the address of v
// itself: Go may move it, since it may lie on a stack that grows during the call.
func (s *Stmt) hand(v []byte) uintptr {
	if s.err != nil {
		return 0
	}
	if len(v) > 1<<30 {
		s.err = &Error{code: sqlite3.SQLITE_TOOBIG, text: "value too large"}
		return 0
	}
	p, err := s.c.buffer(max(len(v), 1)) // an address of 0 would mean NULL
	if err != nil {
		s.err = err
		return 0
	}
	copy(unsafe.Slice((*byte)(pointer(p)), len(v)), v)
	return p
}

// Fail makes the statement fail with err when it is run: the next parameter can't be
// had.
func (s *Stmt) Fail(err error) *Stmt {
	if s.err == nil {
		s.err = err
	}
	return s
}

// Next goes to the next row and reports whether there is one.
func (s *Stmt) Next() bool {
	if s.err != nil {
		return false
	}
	s.column = 0
	switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.handle); rc {
	case sqlite3.SQLITE_ROW:
		return true
	case sqlite3.SQLITE_DONE:
		return false
	default:
		s.err = s.c.check(rc)
		return false
	}
}

// Close ends the run of the statement and returns its first error.
func (s *Stmt) Close() error {
	if s.open {
		s.open = false
		// The code is that of the last step, which is in s.err already.
		sqlite3.Xsqlite3_reset(s.c.tls, s.handle)
	}
	return s.err
}

// Exec runs the statement to its end.
func (s *Stmt) Exec() error {
	for s.Next() {
	}
	return s.Close()
}

// errSize means that a column doesn't hold what it was written with.
var errSize = errors.New("sqlite: a stored value has the wrong size")

func (s *Stmt) read() int32 {
	s.column++
	return s.column - 1
}

// IsNull reports whether the next column is NULL, without passing it.
func (s *Stmt) IsNull() bool {
	return sqlite3.Xsqlite3_column_type(s.c.tls, s.handle, s.column) == sqlite3.SQLITE_NULL
}

// Skip passes a column.
func (s *Stmt) Skip() { s.column++ }

// ReadInt returns the next column as a number; 0 for NULL.
func (s *Stmt) ReadInt() int64 { return sqlite3.Xsqlite3_column_int64(s.c.tls, s.handle, s.read()) }

// ReadText returns the next column as text; "" for NULL.
func (s *Stmt) ReadText() string { return string(s.view()) }

// ReadBlob returns a copy of the next column; nil for NULL.
func (s *Stmt) ReadBlob() []byte {
	if s.IsNull() {
		s.Skip()
		return nil
	}
	return append([]byte{}, s.view()...)
}

// ReadInto fills v with the next column, or with zeros for NULL. A column of another
// size is an error.
func (s *Stmt) ReadInto(v []byte) {
	b := s.view()
	clear(v)
	if len(b) != len(v) && len(b) != 0 {
		s.Fail(errSize)
		return
	}
	copy(v, b)
}

// ReadWith hands the bytes of the next column to read, which must not keep them.
func (s *Stmt) ReadWith(read func([]byte) error) {
	if err := read(s.view()); err != nil {
		s.Fail(err)
	}
}

// view returns the next column where SQLite keeps it: valid until the next step.
func (s *Stmt) view() []byte {
	i := s.read()
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.handle, i)
	n := sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, i)
	if p == 0 || n <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(p)), int(n))
}
