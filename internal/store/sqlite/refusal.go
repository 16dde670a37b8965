package sqlite

import (
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// retryAfter is when a call that found the disk full or the file locked may be tried
// again.
const retryAfter = time.Second

// refusal classifies what SQLite reports; any other error stays as it is. SQLite's own
// words may quote statements, so they are a cause for the log, never the detail.
func refusal(err error) error {
	var e *engine.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Transient() {
		return fault.Wrap(fault.Unavailable, err, "The database can't be used at the moment.").After(retryAfter)
	}
	return fault.Wrap(fault.Internal, err, "The database failed.")
}

func errClosed() error {
	return fault.New(fault.Unavailable, "The store is closed.")
}
