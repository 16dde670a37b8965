package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite"
)

// bench is one run.
type bench struct {
	t    *terminal
	plan plan
	dir  string
	show *progress

	project id.Project
	master  secret.Text
	tokens  []string
}

const (
	perUser = 100    // sessions of one user
	inHand  = 50_000 // tokens that the clients hold at most
	aging   = time.Hour
)

// found makes a store with a project. The caller closes it.
func (b *bench) found(ctx context.Context) (*sqlite.Store, *server.App, error) {
	b.master = secret.NewMasterKey()
	if err := os.WriteFile(dataMaster(b.dir), []byte(b.master.Reveal()), 0o600); err != nil {
		return nil, nil, err
	}
	ring, err := secret.ParseRing(b.master)
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := store.Migrate(ctx, dataStore(b.dir), func(string) {}); err != nil {
		return nil, nil, err
	}
	st, err := sqlite.Open(ctx, filepath.Join(b.dir, "latchkey.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	app, err := server.Assemble(st, ring, "http://127.0.0.1", time.Now)
	if err == nil {
		err = b.furnish(ctx, app)
	}
	if err != nil {
		st.Close()
		return nil, nil, err
	}
	return st, app, nil
}

// fill makes a store with a project and sessions, and mints refresh tokens of some of
// them, at random.
func (b *bench) fill(ctx context.Context) error {
	st, app, err := b.found(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	users, err := b.users(ctx, app)
	if err != nil {
		return err
	}
	rows, err := b.load(ctx, st, users)
	if err != nil {
		return err
	}
	return b.mint(ctx, app, rows)
}

// furnish makes the project. The reuse window is off, so that every request is a
// rotation, which is the expensive answer.
func (b *bench) furnish(ctx context.Context, app *server.App) error {
	p, err := app.CreateProject(ctx, "bench", byCLI)
	if err != nil {
		return err
	}
	b.project = p.ID
	patch := fmt.Sprintf(`{"reuseWindow":"0s","refreshRateLimit":100000,"refreshTokenFormat":%q}`, b.plan.format)
	_, err = app.Directory.ChangeSettings(ctx, p.ID, []byte(patch), byCLI)
	return err
}

func (b *bench) users(ctx context.Context, app *server.App) ([]id.User, error) {
	users := make([]id.User, b.plan.sessions/perUser+1)
	errs := make([]error, b.plan.clients)
	var all sync.WaitGroup
	for c := range b.plan.clients {
		all.Go(func() {
			for i := c; i < len(users) && errs[c] == nil; i += b.plan.clients {
				logins := []string{fmt.Sprintf("user%d@example.com", i)}
				u, err := app.Directory.CreateUser(ctx, b.project, directory.UserChange{LoginIDs: &logins}, byCLI)
				users[i], errs[c] = u.ID, err
				if c == 0 {
					b.show.show("making users: %d of %d", i, len(users))
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return users, nil
}

// load stores the sessions and returns those whose tokens the clients will hold.
func (b *bench) load(ctx context.Context, st *sqlite.Store, users []id.User) ([]session.Row, error) {
	held := min(b.plan.sessions, inHand)
	every := b.plan.sessions / held
	var rows []session.Row
	_, err := st.Load(ctx, b.rows(users, func(i int, row session.Row) {
		if i%every == 0 && len(rows) < held {
			rows = append(rows, row)
		}
		b.show.show("storing sessions: %d of %d", i+1, b.plan.sessions)
	}))
	// In the order in which they are stored, neighbours would share pages.
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows, err
}

func (b *bench) rows(users []id.User, each func(i int, row session.Row)) iter.Seq[session.Row] {
	return func(yield func(session.Row) bool) {
		start := session.Instant(time.Now().Add(-aging))
		for i := range b.plan.sessions {
			at := start.Add(time.Duration(i) * aging / time.Duration(b.plan.sessions))
			row := benchRow(b.project, users[rand.IntN(len(users))], session.Instant(at), i)
			each(i, row)
			if !yield(row) {
				return
			}
		}
	}
}

func benchRow(p id.Project, u id.User, at time.Time, i int) session.Row {
	ip := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
	network, _ := ip.Prefix(24)
	row := session.Row{
		ID: id.NewSession(at), Project: p, User: u,
		State: session.State{
			Newest: id.NewRefresh(), RotatedAt: at, CreatedAt: at, AbsoluteAt: at.Add(28 * 24 * time.Hour),
			Context: session.Context{Network: network, Agent: "Chrome on Windows"},
		},
		Profile: session.Profile{
			AuthTime: at, AMR: []string{"pwd"},
			Device: session.Device{
				Name: "Chrome on Windows", IP: ip.String(),
				UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
			},
		},
	}
	row.Trace = row.Trace.Add(session.Entry{At: at, Rule: session.Create, Issued: row.Newest, Context: row.Context})
	return row
}

func (b *bench) mint(ctx context.Context, app *server.App, rows []session.Row) error {
	keys, err := app.Store.Keys().List(ctx, b.project)
	if err != nil || len(keys) == 0 {
		return fmt.Errorf("the project has no key: %w", err)
	}
	b.tokens = make([]string, len(rows))
	for i, row := range rows {
		row.SigningKey = keys[0].ID
		t, err := app.Tokens.RefreshToken(ctx, row)
		if err != nil {
			return err
		}
		b.tokens[i] = t.Reveal()
		b.show.show("minting tokens: %d of %d", i+1, len(rows))
	}
	return nil
}

// diskPerSession is what a stored session takes, with its indexes.
func (b *bench) diskPerSession() float64 {
	var size int64
	files, _ := filepath.Glob(filepath.Join(b.dir, "latchkey.db*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	return float64(size) / float64(b.plan.sessions)
}
