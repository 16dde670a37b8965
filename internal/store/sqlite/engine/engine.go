// Package engine owns how this store talks to SQLite: statements whose parameters go in
// and whose columns come out from left to right, and which errors mean what. It knows
// no table.
//
// It stands on zombiezen.com/go/sqlite rather than on the database/sql driver of
// modernc.org/sqlite; both use the same translation of SQLite to Go. The driver opens
// every connection in SQLite's serialized mode, so that each value read takes a mutex,
// and asks for every column's name and type with every query; with the forty columns of
// a session this doubles the processor time of a refresh. Here a connection belongs to
// one goroutine at a time, which is what SQLite's multi-thread mode asks for.
package engine

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
)

// Conn is one connection to a database file. It must not be used by two goroutines at
// once.
type Conn struct {
	c       *sqlite.Conn
	stmts   map[string]*Stmt
	written int64
}

// Open opens an existing database file. Whoever finds the file locked by another
// process waits up to busy before it gives up with a Busy error.
func Open(path string, busy time.Duration) (*Conn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, wrap(err)
	}
	c.SetBusyTimeout(busy)
	return &Conn{c: c, stmts: map[string]*Stmt{}}, nil
}

// Close ends the connection and its statements. Closing again is no error.
func (c *Conn) Close() error {
	if c.c == nil {
		return nil
	}
	err := c.c.Close()
	c.c, c.stmts = nil, nil
	return wrap(err)
}

// Run executes one or more statements that have neither parameters nor results worth
// knowing.
func (c *Conn) Run(sql string) error {
	for sql != "" {
		s, rest, err := c.c.PrepareTransient(sql)
		if err != nil {
			return wrap(err)
		}
		sql = sql[len(sql)-rest:]
		if s == nil {
			continue // a comment, or nothing
		}
		for more := true; more && err == nil; {
			more, err = s.Step()
		}
		if finished := s.Finalize(); err == nil {
			err = finished
		}
		if err != nil {
			return wrap(err)
		}
	}
	return nil
}

// InTransaction reports whether a transaction is open. SQLite ends one by itself after
// some errors.
func (c *Conn) InTransaction() bool { return !c.c.AutocommitEnabled() }

// Written returns how many rows the statements of this connection have written since it
// was opened, Run's left out.
func (c *Conn) Written() int64 { return c.written }

// Changed returns how many rows the last statement wrote.
func (c *Conn) Changed() int64 { return int64(c.c.Changes()) }

// Inserted returns the number of the last row inserted.
func (c *Conn) Inserted() int64 { return c.c.LastInsertRowID() }

// Until makes the statement that is running fail when ctx ends. The function that it
// returns ends this and must be called before the connection is used for anything
// else.
func (c *Conn) Until(ctx context.Context) func() {
	c.c.SetInterrupt(ctx.Done())
	return func() { c.c.SetInterrupt(nil) }
}
