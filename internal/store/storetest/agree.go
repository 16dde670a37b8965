package storetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Agree reads data as a sequence of operations, does each of them to both stores with
// the very same input, and fails as soon as they answer differently: in rows, verdicts,
// kinds of errors, lists, or events. Only the identifiers of events that a store makes
// are its own.
//
// Both stores read the time from clock. They may be used again and again, since each
// call works in a project of its own and leaves no session and no event behind; so they
// must have been through the same calls before. One call at a time.
func Agree(t testing.TB, data []byte, clock *Clock, a, b Store) {
	clock.Set(NewClock().Now())
	g := &game{TB: t, ctx: t.Context(), data: data, clock: clock, a: a, b: b, version: 1}
	rand.Read(g.run[:])
	g.project = id.Project(g.id())
	p := directory.Project{ID: g.project, Name: "acme", Settings: policy.Defaults(), CreatedAt: clock.Now(), SealedMAC: []byte("sealed")}
	g.same("Projects.Insert", func(s Store) (any, error) { return nil, s.Projects().Insert(g.ctx, p, g.event(audit.ProjectCreated)) })
	for range 400 {
		if len(g.data) == 0 {
			break
		}
		moves[g.pick(len(moves))](g)
	}
	g.compare()
	g.leave()
}

// game is one call of Agree.
type game struct {
	testing.TB
	ctx     context.Context
	data    []byte // what is left
	clock   *Clock
	a, b    Store
	run     [6]byte // makes identifiers unlike those of other calls
	made    uint16  // identifiers so far
	project id.Project
	version int64
	users   []id.User
	tenants []id.Tenant
	roles   []id.Role
	keys    []key.Key
	family  []family
	managed []directory.ManagementKey
	vague   bool     // the next operation is wrong in several ways: which one is told is open
	log     []string // the moves, for whoever has to understand a failure
}

// family is a session with the tokens that were handed out for it, oldest first.
type family struct {
	id     id.Session
	user   id.User
	tokens []link
	claims int64 // epoch
}

// pick returns a number below n that data chooses.
func (g *game) pick(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	v := int(g.data[0]) % n
	g.data = g.data[1:]
	return v
}

func (g *game) chance(n int) bool { return g.pick(n) == n-1 }

func choose[T any](g *game, from []T) T {
	if len(from) == 0 {
		var none T
		return none
	}
	return from[g.pick(len(from))]
}

// id returns the bytes of an identifier: the clock's time, then the order in which
// they were made, so that both survive a repetition of the same data.
func (g *game) id() [16]byte {
	g.made++
	v := binary.BigEndian.AppendUint64(nil, uint64(g.clock.Now().UnixMilli())<<16|uint64(g.made))
	return [16]byte(append(append(v, 0, 0), g.run[:]...))
}

func (g *game) refreshID() id.Refresh {
	g.made++
	return id.Refresh(append(binary.BigEndian.AppendUint32([]byte{1, 2}, uint32(g.made)), g.run[:]...))
}

func (g *game) event(kind audit.Type) audit.Event {
	return audit.Event{ID: id.Event(g.id()), Project: g.project, At: g.clock.Now(), Type: kind, Origin: origin}
}

// same does one operation to both stores and compares.
func (g *game) same(what string, do func(Store) (any, error)) (any, error) {
	g.Helper()
	g.log = append(g.log, what)
	// An operation may make its events while it runs: the same for both.
	before := g.made
	got, gotErr := do(g.a)
	after := g.made
	g.made = before
	want, wantErr := do(g.b)
	g.made = max(g.made, after)
	vague := g.vague && gotErr != nil && wantErr != nil
	g.vague = false
	if d := differ(refusal(wantErr), refusal(gotErr)); d != "" && !vague {
		g.Fatalf("after %q\nthe stores' errors differ: %v and %v", g.log, gotErr, wantErr)
	}
	if d := differ(want, got); d != "" {
		g.Fatalf("after %q\nthe stores differ at %s (the first has the latter)", g.log, d)
	}
	return got, gotErr
}

// refusal is what two stores' errors have in common when they mean the same.
func refusal(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, session.ErrVersion):
		return "version"
	}
	return fault.KindOf(err).String()
}

// answer is one of a verb's several results, to be compared whole.
type answer struct {
	Row      session.Row
	Verdict  session.Verdict
	Rows     []session.Row
	Subject  session.Subject
	Subjects []session.Subject
	Count    int
	Next     id.Session
	Yes      bool
}

// compare looks at everything that the project has.
func (g *game) compare() {
	g.same("Projects.Find", func(s Store) (any, error) { return s.Projects().Find(g.ctx, g.project) })
	g.same("Users.List", func(s Store) (any, error) { return s.Users().List(g.ctx, g.project, id.User{}, 999) })
	g.same("Tenants.List", func(s Store) (any, error) {
		list, _, err := s.Tenants().List(g.ctx, directory.TenantQuery{Project: g.project, Limit: 999})
		return list, err
	})
	g.same("Keys.List", func(s Store) (any, error) { return s.Keys().List(g.ctx, g.project) })
	g.same("ManagementKeys.List", func(s Store) (any, error) {
		return s.ManagementKeys().List(g.ctx, g.project, id.ManagementKey{}, 999)
	})
	g.same("Bulk.List", func(s Store) (any, error) {
		rows, subjects, next, err := s.Bulk().List(g.ctx, session.Filter{Project: g.project, Limit: 999})
		return answer{Rows: rows, Subjects: subjects, Next: next}, err
	})
	for _, f := range g.family {
		g.same("Sessions.Find", func(s Store) (any, error) {
			row, subject, err := s.Sessions().Find(g.ctx, g.project, f.id)
			return answer{Row: row, Subject: subject}, err
		})
	}
	g.compareGrants()
	g.same("Events.List", func(s Store) (any, error) { return g.events(s, audit.Query{}) })
	g.same("Revocations.Of", func(s Store) (any, error) {
		list, err := s.Revocations().Of(g.ctx, g.project, 0, 9999)
		for i := range list {
			list[i].Seq, list[i].Tag = 0, 0 // each store's own
		}
		return list, err
	})
}

// stepwise is the reason of what EndMatching ends in several steps: how many there are,
// and so how many events, is a store's own choice.
const stepwise = session.KeyRevoked

func (g *game) events(s Store, q audit.Query) ([]audit.Event, error) {
	q.Project, q.Limit = g.project, 9999
	list, err := s.Events().List(g.ctx, q)
	if !slices.IsSortedFunc(list, func(a, b audit.Event) int { return b.ID.Compare(a.ID) }) {
		g.Fatal("events are not listed with descending identifiers")
	}
	list = slices.DeleteFunc(list, func(e audit.Event) bool {
		return e.Type == audit.SessionsEnded && e.Data["reason"] == string(stepwise)
	})
	return unnumbered(list), err
}

// leave removes what would slow the next call down, and compares how much that is.
func (g *game) leave() {
	g.clock.Move(100 * 365 * 24 * time.Hour)
	g.same("Bulk.Sweep", func(s Store) (any, error) { return s.Bulk().Sweep(g.ctx, g.clock.Now(), 9999) })
	g.same("Tenants.Sweep", func(s Store) (any, error) { return s.Tenants().Sweep(g.ctx, 9999) })
	// Which project's turn it is, is a store's own choice: the next call must be alone.
	g.same("Permissions.Strip", func(s Store) (any, error) { return s.Permissions().Strip(g.ctx, 9999) })
	g.same("Users.List, swept", func(s Store) (any, error) { return s.Users().List(g.ctx, g.project, id.User{}, 999) })
	g.compareGrants()
	g.same("Bulk.Count", func(s Store) (any, error) { return s.Bulk().Count(g.ctx, session.Filter{Project: g.project}) })
	g.same("Revocations.Sweep", func(s Store) (any, error) { return s.Revocations().Sweep(g.ctx, g.clock.Now(), 9999) })
	for _, k := range g.managed {
		g.same("ManagementKeys.Delete", func(s Store) (any, error) {
			return nil, s.ManagementKeys().Delete(g.ctx, g.project, k.ID, g.event(audit.ManagementKeyDeleted))
		})
	}
	g.clock.Move(time.Second)             // events of this very instant, too
	for _, s := range []Store{g.a, g.b} { // with events of steps, of which there may be more or fewer
		_, err := s.Events().Sweep(g.ctx, g.clock.Now(), 99_999)
		ok(g, err)
		list, err := s.Events().List(g.ctx, audit.Query{Project: g.project, Limit: 1})
		ok(g, err)
		same(g, "the number of events left", 0, len(list))
	}
}
