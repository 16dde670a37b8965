package engine

import (
	"errors"

	"zombiezen.com/go/sqlite"
)

// Stmt is a statement on its way: parameters go in from left to right, then Next or
// Exec runs it, then columns come out from left to right. The first error sticks and
// comes out of Exec or Close, so nothing in between needs a check. Whoever calls
// Conn.Query has to call Exec or Close.
type Stmt struct {
	c      *Conn
	s      *sqlite.Stmt
	reads  bool // it returns rows, and writes none
	param  int  // the last one that was set
	column int  // the next one to read
	open   bool // between Query and Close
	err    error
	buf    []byte // of ReadWith
}

// Query returns the statement for sql, ready for its parameters. It is prepared once
// per connection: sql must come from a small set.
func (c *Conn) Query(sql string) *Stmt {
	s := c.stmts[sql]
	if s == nil {
		prepared, err := c.c.Prepare(sql)
		if err != nil {
			return &Stmt{c: c, err: wrap(err)}
		}
		s = &Stmt{c: c, s: prepared, reads: prepared.ColumnCount() > 0}
		c.stmts[sql] = s
	}
	if s.open { // left behind by a panic
		s.Close()
	}
	s.param, s.column, s.open, s.err = 0, 0, true, nil
	return s
}

func (s *Stmt) next() int {
	s.param++
	return s.param
}

// Int sets the next parameter to a number.
func (s *Stmt) Int(v int64) *Stmt {
	if s.err == nil {
		s.s.BindInt64(s.next(), v)
	}
	return s
}

// Null sets the next parameter to NULL.
func (s *Stmt) Null() *Stmt {
	if s.err == nil {
		s.s.BindNull(s.next())
	}
	return s
}

// Text sets the next parameter to a text.
func (s *Stmt) Text(v string) *Stmt {
	if s.err == nil {
		s.s.BindText(s.next(), v)
	}
	return s
}

// Blob sets the next parameter to bytes; none are the empty blob, not NULL.
func (s *Stmt) Blob(v []byte) *Stmt {
	switch {
	case s.err != nil:
	case len(v) == 0:
		s.s.BindZeroBlob(s.next(), 0)
	default:
		s.s.BindBytes(s.next(), v)
	}
	return s
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
	row, err := s.s.Step()
	if err != nil {
		s.err = wrap(err)
		return false
	}
	if !row && !s.reads {
		s.c.written += int64(s.c.c.Changes())
	}
	return row
}

// Close ends the run of the statement and returns its first error.
func (s *Stmt) Close() error {
	if s.open {
		s.open = false
		// The error is that of the last step, which is in s.err already, or of a
		// parameter that no step has looked at.
		if err := s.s.Reset(); err != nil && s.err == nil {
			s.err = wrap(err)
		}
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

func (s *Stmt) read() int {
	s.column++
	return s.column - 1
}

// IsNull reports whether the next column is NULL, without passing it.
func (s *Stmt) IsNull() bool { return s.s.ColumnIsNull(s.column) }

// Skip passes a column.
func (s *Stmt) Skip() { s.column++ }

// ReadInt returns the next column as a number; 0 for NULL.
func (s *Stmt) ReadInt() int64 { return s.s.ColumnInt64(s.read()) }

// ReadText returns the next column as text; "" for NULL.
func (s *Stmt) ReadText() string { return s.s.ColumnText(s.read()) }

// ReadBlob returns a copy of the next column; nil for NULL.
func (s *Stmt) ReadBlob() []byte {
	i := s.read()
	if s.s.ColumnIsNull(i) {
		return nil
	}
	b := make([]byte, s.s.ColumnLen(i))
	s.s.ColumnBytes(i, b)
	return b
}

// ReadInto fills v with the next column, or with zeros for NULL. A column of another
// size is an error.
func (s *Stmt) ReadInto(v []byte) {
	i := s.read()
	clear(v)
	if n := s.s.ColumnLen(i); n != len(v) && n != 0 {
		s.err = errSize
		return
	}
	s.s.ColumnBytes(i, v)
}

// ReadWith hands the bytes of the next column to read, which must not keep them.
func (s *Stmt) ReadWith(read func([]byte) error) {
	i := s.read()
	n := s.s.ColumnLen(i)
	if cap(s.buf) < n {
		s.buf = make([]byte, 2*n)
	}
	s.s.ColumnBytes(i, s.buf[:n])
	if err := read(s.buf[:n]); err != nil && s.err == nil {
		s.err = err
	}
}
