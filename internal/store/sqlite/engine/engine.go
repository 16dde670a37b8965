// Package engine owns the way from Go to SQLite: connections, prepared statements,
// values in and out, result codes. It knows no table.
//
// It calls SQLite's C interface, as modernc.org/sqlite/lib translates it to Go, rather
// than the database/sql driver on top of it. The driver opens every connection in
// SQLite's serialized mode, so that each value read takes a mutex, and asks for every
// column's name and type with every query; with the forty columns of a session this
// doubles the processor time of a refresh. Here a connection belongs to one goroutine
// at a time, which is what SQLite's multi-thread mode asks for.
package engine

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	sqlite3 "modernc.org/sqlite/lib"
)

// Conn is one connection to a database file. It must not be used by two goroutines at
// once.
type Conn struct {
	tls     *libc.TLS
	db      uintptr
	stmts   map[string]*Stmt
	scratch uintptr // memory of the C side, through which values go in
	size    int
}

// Open opens an existing database file. Whoever finds the file locked by another
// process waits up to busy before it gives up with a Busy error.
func Open(path string, busy time.Duration) (*Conn, error) {
	c := &Conn{tls: libc.NewTLS(), stmts: map[string]*Stmt{}}
	if err := c.open(path); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.check(sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, int32(busy.Milliseconds()))); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(path string) error {
	name, err := libc.CString(path)
	if err != nil {
		return &Error{code: sqlite3.SQLITE_NOMEM, text: err.Error()}
	}
	defer libc.Xfree(c.tls, name)
	out, err := c.buffer(int(unsafe.Sizeof(c.db)))
	if err != nil {
		return err
	}
	const flags = sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_NOMUTEX | sqlite3.SQLITE_OPEN_EXRESCODE
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, out, flags, 0)
	c.db = *(*uintptr)(pointer(out)) // set even when opening failed, to hold the error
	return c.check(rc)
}

// Close ends the connection and its statements. Closing again is no error.
func (c *Conn) Close() error {
	if c.tls == nil {
		return nil
	}
	for _, s := range c.stmts {
		sqlite3.Xsqlite3_finalize(c.tls, s.handle)
	}
	c.stmts = nil
	err := c.check(sqlite3.Xsqlite3_close_v2(c.tls, c.db))
	libc.Xfree(c.tls, c.scratch)
	c.tls.Close()
	c.tls, c.db, c.scratch, c.size = nil, 0, 0, 0
	return err
}

// Run executes one or more statements that have neither parameters nor results worth
// knowing.
func (c *Conn) Run(sql string) error {
	text, err := libc.CString(sql)
	if err != nil {
		return &Error{code: sqlite3.SQLITE_NOMEM, text: err.Error()}
	}
	defer libc.Xfree(c.tls, text)
	return c.check(sqlite3.Xsqlite3_exec(c.tls, c.db, text, 0, 0, 0))
}

// InTransaction reports whether a transaction is open. SQLite ends one by itself after
// some errors.
func (c *Conn) InTransaction() bool { return sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// Written returns how many rows this connection has written since it was opened.
func (c *Conn) Written() int64 { return sqlite3.Xsqlite3_total_changes64(c.tls, c.db) }

// Changed returns how many rows the last statement wrote.
func (c *Conn) Changed() int64 { return sqlite3.Xsqlite3_changes64(c.tls, c.db) }

// Paged returns how many pages this connection has written since it was opened.
func (c *Conn) Paged() int64 {
	out, err := c.buffer(8)
	if err != nil {
		return 0
	}
	sqlite3.Xsqlite3_db_status(c.tls, c.db, sqlite3.SQLITE_DBSTATUS_CACHE_WRITE, out, out+4, 0)
	return int64(*(*int32)(pointer(out)))
}

// Until makes the statement that is running fail when ctx ends. The function that it
// returns ends this and must be called before the connection is used for anything
// else.
func (c *Conn) Until(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		// A thread state of its own: that of the connection is in use.
		tls := libc.NewTLS()
		sqlite3.Xsqlite3_interrupt(tls, c.db)
		tls.Close()
	})
	return func() {
		if !stop() {
			<-interrupted // or the next statement would be hit
		}
	}
}

// check makes an error of a result code.
func (c *Conn) check(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	if c.db == 0 {
		return &Error{code: rc, text: libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))}
	}
	return &Error{code: rc, text: libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))}
}

// buffer returns memory of the C side for n bytes. The next call may give the same.
func (c *Conn) buffer(n int) (uintptr, error) {
	if n > c.size {
		size := max(4096, 2*n)
		p := libc.Xrealloc(c.tls, c.scratch, types.Size_t(size))
		if p == 0 {
			return 0, &Error{code: sqlite3.SQLITE_NOMEM, text: fmt.Sprintf("no memory for a value of %d bytes", n)}
		}
		c.scratch, c.size = p, size
	}
	return c.scratch, nil
}

// pointer makes a pointer of an address that SQLite's side returned. The memory belongs
// to its allocator, not to Go's heap: the garbage collector neither moves nor frees it,
// so the rule that go vet knows (no pointers from integers) doesn't apply. The detour
// over &address is how to tell it so.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
