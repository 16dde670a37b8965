package sqlite

import (
	"context"
	"errors"

	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// readers is a pool of connections that only read.
type readers struct {
	free   chan *engine.Conn
	closed chan struct{}
}

// do lends a connection to run.
func (r *readers) do(ctx context.Context, run func(*engine.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-r.closed:
		return errClosed()
	default:
	}
	select {
	case <-r.closed:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	case c := <-r.free:
		defer func() { r.free <- c }()
		return run(c)
	}
}

// close waits until all connections are back, and closes them.
func (r *readers) close() {
	close(r.closed)
	for range cap(r.free) {
		(<-r.free).Close()
	}
}

// readLong is read for what may take long: it ends when ctx ends.
func (s *Store) readLong(ctx context.Context, run func(*engine.Conn) error) error {
	return s.read(ctx, func(c *engine.Conn) error {
		stop := c.Until(ctx)
		err := run(c)
		stop()
		var e *engine.Error
		if errors.As(err, &e) && e.Interrupted() && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
}
