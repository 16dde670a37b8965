package sqlite

import (
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// long reports whether tests and benchmarks may take minutes.
func long() bool { return os.Getenv("LATCHKEY_LONG") != "" }

// epoch is when the first session of typical is made.
var epoch = time.UnixMilli(1_790_000_000_000).UTC()

// tick is a clock that goes on by a whole reuse window with every reading, so that
// every refresh with the newest token is a rotation.
type tick struct{ ms atomic.Int64 }

func (c *tick) Now() time.Time { return time.UnixMilli(c.ms.Add(20_000)).UTC() }

// newTick returns a clock that starts after the sessions of typical were made.
func newTick() *tick {
	c := &tick{}
	c.ms.Store(epoch.Add(time.Hour).UnixMilli())
	return c
}

// typical returns n sessions such as a sign-in with a password makes, one of each user.
func typical(p id.Project, users []id.User, start time.Time) iter.Seq[session.Row] {
	network := netip.MustParsePrefix("203.0.113.0/24")
	context := session.Context{Network: network, Agent: "Firefox on Linux"}
	signer := id.NewKey(start)
	return func(yield func(session.Row) bool) {
		for i, u := range users {
			now := session.Instant(start.Add(time.Duration(i) * time.Millisecond))
			newest := id.NewRefresh()
			row := session.Row{
				ID: id.NewSession(now), Project: p, User: u,
				State: session.State{
					Newest: newest, RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(100 * 365 * 24 * time.Hour), LimitFrom: now,
					Context: context,
				},
				Profile: session.Profile{
					AuthTime: now, AMR: []string{"pwd"}, SigningKey: signer,
					Device: session.Device{Name: "Firefox on Linux", IP: fmt.Sprintf("203.0.113.%d", i%256), UserAgent: strings.Repeat("Mozilla/5.0", 10)},
				},
				Trace: session.Trace{}.Add(session.Entry{At: now, Rule: session.Create, Issued: newest, Context: context}),
			}
			if !yield(row) {
				return
			}
		}
	}
}

func project() directory.Project {
	return directory.Project{ID: id.NewProject(epoch), Name: "acme", Settings: policy.Defaults(), CreatedAt: epoch, SealedMAC: []byte("sealed")}
}

// populate adds a project with n users and a session of each, and returns the sessions.
func populate(t testing.TB, s *Store, n int) (directory.Project, []session.Row) {
	t.Helper()
	start := epoch
	p := project()
	if err := s.Projects().Insert(t.Context(), p, audit.New(p.ID, start, audit.ProjectCreated, audit.Origin{})); err != nil {
		t.Fatal(err)
	}
	users := make([]id.User, n)
	for i := range users {
		users[i] = id.NewUser(start.Add(time.Duration(i) * time.Millisecond))
	}
	addUsers(t, s, p.ID, users)
	rows := make([]session.Row, 0, n)
	loaded, err := s.Load(t.Context(), func(yield func(session.Row) bool) {
		for row := range typical(p.ID, users, start) {
			rows = append(rows, session.Row{ID: row.ID, Project: row.Project, State: session.State{Newest: row.Newest}})
			if !yield(row) {
				return
			}
		}
	})
	if err != nil || loaded != n {
		t.Fatalf("loaded %d of %d: %v", loaded, n, err)
	}
	return p, rows
}

// addUsers adds users faster than one by one.
func addUsers(t testing.TB, s *Store, p id.Project, users []id.User) {
	t.Helper()
	for chunk := range slices.Chunk(users, 5000) {
		err := s.write(t.Context(), func(tx *transaction) error {
			o, err := findOwner(tx.Conn, p)
			if err != nil {
				return err
			}
			for _, u := range chunk {
				user := directory.User{ID: u, Status: directory.Enabled, LoginIDs: []string{u.String() + "@example.org"}, Name: "Ada Lovelace", Email: u.String() + "@example.org"}
				q := putUser(tx.Query("INSERT INTO users (project, "+userColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").Int(o.n), user)
				if err := q.Exec(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// refresh presents the newest token of row.
func refresh(row session.Row, version int64, p policy.Policy) session.Refresh {
	return session.Refresh{
		Project: row.Project, Session: row.ID, Version: version, SigningKey: id.NewKey(row.ID.Time()),
		Request: session.Request{
			Token: row.Newest, Parent: row.Parent, Next: id.NewRefresh(), Policy: p,
			Context: session.Context{Network: netip.MustParsePrefix("203.0.113.0/24"), Agent: "Firefox on Linux"},
		},
	}
}

func unlimited() policy.Policy {
	p := policy.Of(policy.Defaults())
	p.RotationLimit = 1 << 30
	p.AbsoluteTimeout = 100 * 365 * 24 * time.Hour
	return p
}
