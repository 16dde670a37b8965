package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// queue is the way to the write connection. There is no writer goroutine: a caller who
// finds nobody at work becomes the leader, takes all calls that wait into one
// transaction, commits, hands over to the first of those that came meanwhile, and wakes
// the others with their results. So a lonely call is a plain transaction, and under
// load one wait for the disk serves many.
type queue struct {
	conn     *engine.Conn // the leader's
	now      func() time.Time
	max      int
	onCommit func(calls int, d time.Duration)
	step     int64 // rows written between two checkpoints
	tidied   int64 // conn.Written at the last checkpoint

	onRevocation func()
	latest       time.Time // the latest instant that a transaction has shown; the leader's

	mu      sync.Mutex
	waiting []*call // in order of arrival; the leader to come first
	led     bool
	closed  bool
}

// call is one verb on its way.
type call struct {
	run  func(*transaction) error // nil for the last one, that of close
	err  error
	wake chan bool // true: lead; false: it is done
	told bool      // guarded by queue.mu: it was told to lead
}

// transaction is the write connection while a transaction is open. It knows one now.
type transaction struct {
	*engine.Conn
	now     time.Time
	latest  *time.Time // queue.latest
	revoked bool       // it wrote to the revocation feed
	tell    func()     // whom to tell so; nil for nobody
}

// do runs a verb in a transaction, maybe with others. A caller whose context ends
// before the verb was taken up gets its error; from then on the verb's own result is
// waited for, so that nobody is told that a change that was made has failed.
func (q *queue) do(ctx context.Context, run func(*transaction) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{run: run, wake: make(chan bool, 1)}
	lead, err := q.enter(c)
	if err == nil && !lead {
		lead, err = q.wait(ctx, c)
	}
	if err != nil {
		return err
	}
	if lead {
		q.lead()
	}
	return c.err
}

// enter lines up a call, and reports whether its caller has to lead.
func (q *queue) enter(c *call) (lead bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, errClosed()
	}
	q.waiting = append(q.waiting, c)
	lead = !q.led
	q.led = true
	return lead, nil
}

// wait waits until c is done or its caller has to lead.
func (q *queue) wait(ctx context.Context, c *call) (lead bool, err error) {
	select {
	case lead = <-c.wake:
		return lead, nil
	case <-ctx.Done():
	}
	if q.leave(c) {
		return false, ctx.Err()
	}
	return <-c.wake, nil
}

// leave takes a call out of the line, unless it was taken up or told to lead: a leader
// who left would leave all others behind.
func (q *queue) leave(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 || c.told {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// lead takes up what waits, the leader's own call first, and hands over.
func (q *queue) lead() {
	batch := q.take()
	start := time.Now()
	q.together(batch)
	if q.onCommit != nil {
		q.onCommit(len(batch), time.Since(start))
	}
	for _, c := range batch[1:] {
		c.wake <- false
	}
	q.tidy()
	q.pass()
}

// tidy moves what the write-ahead log holds into the file when it is time. Left to
// itself SQLite does so inside of a COMMIT, before those who wait for it could be told.
func (q *queue) tidy() {
	if written := q.conn.Written(); written-q.tidied >= q.step {
		q.tidied = written
		// Nobody is to be told of an error: what was acknowledged is in the log, and
		// the next time tries again.
		q.conn.Query("PRAGMA wal_checkpoint(PASSIVE)").Exec()
	}
}

func (q *queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), q.max)
	if q.waiting[n-1].run == nil { // that of close
		n--
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.led = false
		return
	}
	q.waiting[0].told = true
	q.waiting[0].wake <- true
}

// close refuses further calls and returns when those before it are done and the
// connection is the caller's alone: it lines up as a leader who never hands over.
func (q *queue) close() {
	last := &call{wake: make(chan bool, 1)}
	q.mu.Lock()
	q.closed = true
	idle := !q.led
	q.led = true
	if !idle {
		q.waiting = append(q.waiting, last)
	}
	q.mu.Unlock()
	if !idle {
		<-last.wake
	}
}

// together runs calls in one transaction. When anything but a plain refusal happens to
// one of them, everything is undone and each gets a transaction of its own: the error
// of one must not fail the others.
func (q *queue) together(batch []*call) {
	if len(batch) == 1 {
		batch[0].err = q.alone(batch[0].run)
		return
	}
	tx, err := q.begin()
	if err != nil {
		for _, c := range batch {
			c.err = err
		}
		return
	}
	for _, c := range batch {
		if c.err, err = tx.attempt(c.run); err != nil {
			break
		}
	}
	if err == nil {
		err = tx.commit()
	}
	if err == nil {
		return
	}
	tx.rollback()
	for _, c := range batch {
		c.err = q.alone(c.run)
	}
}

// alone runs a call in a transaction of its own.
func (q *queue) alone(run func(*transaction) error) error {
	tx, err := q.begin()
	if err != nil {
		return err
	}
	refused, err := tx.attempt(run)
	if refused != nil {
		err = refused
	}
	if err == nil {
		err = tx.commit()
	}
	if err != nil {
		tx.rollback()
	}
	return err
}

// begin opens a transaction. The clock is read when no other process can write any
// more, so that the order of times is the order of transactions.
func (q *queue) begin() (*transaction, error) {
	if err := q.conn.Query("BEGIN IMMEDIATE").Exec(); err != nil {
		return nil, err
	}
	now := session.Instant(q.now())
	if now.After(q.latest) {
		q.latest = now
	}
	return &transaction{Conn: q.conn, now: now, latest: &q.latest, tell: q.onRevocation}, nil
}

func (tx *transaction) commit() error {
	err := tx.Query("COMMIT").Exec()
	if err == nil && tx.revoked && tx.tell != nil {
		tx.tell()
	}
	return err
}

// rollback undoes the transaction, unless SQLite already has. It can't fail then.
func (tx *transaction) rollback() {
	if tx.InTransaction() {
		tx.Query("ROLLBACK").Exec()
	}
}

// attempt runs a call. refused is the call's own error, which left no trace in the
// transaction; failed means that the transaction is in an unknown state.
func (tx *transaction) attempt(run func(*transaction) error) (refused, failed error) {
	before := tx.Written()
	err := guarded(run, tx)
	if err == nil {
		return nil, nil
	}
	var e *engine.Error
	var p panicked
	if errors.As(err, &e) || errors.As(err, &p) || tx.Written() != before {
		return nil, err
	}
	return err, nil
}

// panicked is a bug in a verb, or in a function that a caller gave to one.
type panicked struct {
	value any
	stack []byte
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// guarded turns a panic into an error. The leader runs other callers' verbs: a panic
// that unwound it would leave all of them waiting forever.
func guarded(run func(*transaction) error, tx *transaction) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked{v, debug.Stack()}
		}
	}()
	return run(tx)
}
