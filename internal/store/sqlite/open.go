package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

const (
	// patience is how long a call waits for another process to finish its write.
	patience = 5 * time.Second

	// readerCount is how many reads may be under way. More would only add memory: a
	// read is short and mostly computation.
	readerCount = 4

	maxBatch = 512

	// checkpointRows is how many rows are written between two checkpoints: about as
	// many pages of the log. Whoever writes meanwhile waits for one: more would make
	// the waits rarer but longer, without a gain in throughput that can be measured.
	checkpointRows = 500
)

// The page caches are small on purpose: the kernel caches the file as well, and without
// counting it as this process's memory. A mapping of the file would count.
const (
	writerPragmas = `PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -8192;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 16777216;`

	readerPragmas = `PRAGMA query_only = ON;
PRAGMA cache_size = -1024;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;`
)

// Open opens the database at path. It doesn't create or change one: a file that is
// missing, of an older or a newer version, or not ours, is ErrSchema; a damaged one is
// ErrDamaged. Both say what to do.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	c, err := attach(ctx, path)
	if err != nil {
		return nil, err
	}
	s, err := start(c, path, o)
	if err != nil {
		c.Close()
		return nil, explain(path, err)
	}
	return s, nil
}

// attach opens a connection to a database that has the schema of this version.
func attach(ctx context.Context, path string) (*engine.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := isFile(path); err != nil {
		return nil, err
	}
	c, err := engine.Open(path, patience)
	if err != nil {
		return nil, explain(path, err)
	}
	have, err := inspect(c)
	if err == nil {
		err = fits(path, have)
	}
	if err != nil {
		c.Close()
		return nil, explain(path, err)
	}
	return c, nil
}

func isFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &schemaError{fmt.Sprintf("There is no database at %s. Run \"latchkey migrate\" to make one.", path)}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &schemaError{fmt.Sprintf("%s is not a file, so it is no database.", path)}
	}
	return nil
}

// start makes the store around its write connection.
func start(c *engine.Conn, path string, o Options) (*Store, error) {
	if err := c.Run(writerPragmas); err != nil {
		return nil, err
	}
	s := &Store{
		// The first write tidies what earlier processes left in the log. One that is
		// killed again and again never writes enough to do so for itself, and opening
		// reads the whole log.
		queue:   &queue{conn: c, now: o.Now, max: o.MaxBatch, onCommit: o.OnCommit, onRevocation: o.OnRevocation, step: checkpointRows, tidied: -checkpointRows},
		readers: &readers{free: make(chan *engine.Conn, readerCount), closed: make(chan struct{})},
	}
	if s.queue.now == nil {
		s.queue.now = time.Now
	}
	if s.queue.max == 0 {
		s.queue.max = maxBatch
	}
	for range readerCount {
		r, err := reader(path)
		if err != nil {
			for range len(s.readers.free) {
				(<-s.readers.free).Close()
			}
			return nil, err
		}
		s.readers.free <- r
	}
	return s, nil
}

func reader(path string) (*engine.Conn, error) {
	c, err := engine.Open(path, patience)
	if err != nil {
		return nil, err
	}
	if err := c.Run(readerPragmas); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// explain puts what SQLite says about a file in words that help.
func explain(path string, err error) error {
	var e *engine.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Damaged() {
		return &damageError{path, err}
	}
	return fmt.Errorf("the database %s can't be opened: %w", path, err)
}
