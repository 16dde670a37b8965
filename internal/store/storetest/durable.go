package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// RunDurable holds a store that keeps its data in dir to its promise that what a verb
// acknowledged is there when the store is opened again, although the one before was
// never closed. openAt closes what it opens at the end of the test that it is given.
func RunDurable(t *testing.T, openAt func(t *testing.T, dir string, now func() time.Time) Store) {
	world := func(t *testing.T) *world {
		dir := t.TempDir()
		return newWorld(t, func(t *testing.T, now func() time.Time) Store { return openAt(t, dir, now) })
	}
	t.Run("all of it is there again", func(t *testing.T) { durableAll(t, world(t)) })
	t.Run("a permission's deletion goes on", func(t *testing.T) { durableStrip(t, world(t)) })
	t.Run("what was acknowledged is there again (attack 22)", func(t *testing.T) { durableAcknowledged(t, world(t)) })
}

// reopen abandons the store without closing it.
func (w *world) reopen(t *testing.T) {
	t.Helper()
	w.Store = w.open(t, w.clock.Now)
}

// A deletion that a crash has cut off goes on where it has stopped.
func durableStrip(t *testing.T, w *world) {
	var roles []directory.Role
	for _, name := range []string{"a", "b", "c"} {
		w.clock.Move(time.Millisecond)
		roles = append(roles, w.newRole(t, id.Tenant{}, name, "doc.read"))
	}
	w.deletePermission(t, "doc.read")
	w.reopen(t)
	w.strip(t, 1, 1)
	w.fed(t, w.outdated("a"))
	w.reopen(t)
	w.strip(t, 9, 3)
	w.fed(t, w.outdated("b"), w.outdated("c"))
	for _, r := range roles {
		same(t, "the permissions of a role", 0, len(w.findRole(t, r.ID).Permissions))
	}
}

func durableAll(t *testing.T, w *world) {
	u := w.fullUser(t)
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	w.newManagementKey(t)
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{w.key(), w.key()}}))
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, 2, strange(t), w.event(w.project.ID, audit.SettingsChanged)))
	row, over := w.signIn(t, u.ID), w.signIn(t, u.ID)
	w.clock.Move(window)
	row = w.decided(t, w.newest(t, row), session.Rotate)
	w.decided(t, w.refresh(t, over.ID, id.NewRefresh(), id.NewRefresh()), session.Theft)
	before := w.picture(t)
	for range 3 {
		w.reopen(t)
		w.unchanged(t, "after opening it again, the store", before)
	}
	w.decided(t, w.newest(t, row), session.Replay)
	w.decided(t, w.newest(t, over), session.Revoked)
}

// keeper is one user with sessions, and what the store acknowledged of them. Each works
// alone, so what is acknowledged is what has to be stored.
type keeper struct {
	*world
	*rand.Rand
	user  directory.User
	role  id.Role
	live  map[id.Session]session.Row
	dead  map[id.Session]session.Row
	doubt id.Session // has a call under way: either outcome is right
	all   bool       // the call under way may have ended all
}

// rounds is how often the store is abandoned; LATCHKEY_LONG makes it thorough.
func rounds(short, long int) int {
	if os.Getenv("LATCHKEY_LONG") != "" {
		return long
	}
	return short
}

func durableAcknowledged(t *testing.T, w *world) {
	random := rand.New(rand.NewPCG(7, 1))
	var keepers []*keeper
	for i := range 8 {
		role := w.newRole(t, id.Tenant{}, fmt.Sprint("role ", i), "doc.read")
		keepers = append(keepers, &keeper{
			world: w, Rand: rand.New(rand.NewPCG(7, uint64(i))), user: w.newUser(t), role: role.ID,
			live: map[id.Session]session.Row{}, dead: map[id.Session]session.Row{},
		})
	}
	for range rounds(4, 60) {
		ctx, cancel := context.WithCancel(t.Context())
		limit := int64(random.IntN(300))
		var acknowledged atomic.Int64
		var all sync.WaitGroup
		errs := make([]error, len(keepers))
		for i, k := range keepers {
			all.Go(func() {
				for errs[i] == nil && ctx.Err() == nil {
					if errs[i] = k.step(ctx); errs[i] == nil && acknowledged.Add(1) >= limit {
						cancel() // under way elsewhere: whatever there is
					}
				}
			})
		}
		all.Wait()
		cancel()
		for _, err := range errs {
			if err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
		}
		w.reopen(t)
		w.clock.Move(time.Second)
		for _, k := range keepers {
			k.verify(t)
		}
		w.verifyEvents(t)
	}
}

// step makes one change. With an error it may have been made or not.
func (k *keeper) step(ctx context.Context) error {
	if len(k.live) < 3 {
		return k.signsIn(ctx)
	}
	row := k.any()
	k.doubt = row.ID
	var err error
	switch n := k.IntN(20); {
	case n == 0:
		_, err = k.Sessions().End(ctx, row.Project, row.ID, k.ending())
		k.died(row, err)
	case n == 1:
		k.all = true
		if _, err = k.Bulk().EndAll(ctx, row.Project, row.User, id.Session{}, k.ending()); err == nil {
			for _, row := range k.live {
				k.died(row, nil)
			}
			k.all = false
		}
	case n == 2:
		_, err = k.Roles().Change(ctx, row.Project, k.role, changedAgain)
	case n < 5:
		claims := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
		row, err = k.Sessions().SetClaims(ctx, row.Project, row.ID, row.ClaimsEpoch, claims, nil, k.event(row.Project, audit.SessionClaims))
		k.lives(row, err)
	default:
		row, err = k.refreshes(ctx, row)
		k.lives(row, err)
	}
	if err == nil {
		k.doubt = id.Session{}
	}
	return err
}

// changedAgain changes what a role permits, and counts.
func changedAgain(r directory.Role) (directory.Role, []audit.Event, error) {
	times := len(strings.TrimPrefix(r.Description, "may "+r.Name))
	r.Permissions = []string{"doc.read"}[:times%2]
	r.Description += "."
	return r, nil, nil
}

func (k *keeper) any() session.Row {
	for _, row := range k.live {
		return row
	}
	return session.Row{}
}

func (k *keeper) lives(row session.Row, err error) {
	if err == nil {
		k.live[row.ID] = row
	}
}

func (k *keeper) died(row session.Row, err error) {
	if err == nil {
		delete(k.live, row.ID)
		k.dead[row.ID] = row
	}
}

func (k *keeper) signsIn(ctx context.Context) error {
	row := k.row(k.user.ID)
	row, err := k.Sessions().Insert(ctx, row, 1, session.Admission{}, k.created(row))
	k.lives(row, err)
	return err
}

func (k *keeper) refreshes(ctx context.Context, row session.Row) (session.Row, error) {
	p := rules()
	p.ReuseWindow = 0 // every refresh is a rotation
	row, v, err := k.Sessions().Rotate(ctx, session.Refresh{
		Project: row.Project, Session: row.ID, Version: 1, SigningKey: id.NewKey(k.clock.Now()), Origin: origin,
		Request: session.Request{Token: row.Newest, Parent: row.Parent, Next: id.NewRefresh(), Context: home, Policy: p},
	})
	if err == nil && v.Rule != session.Rotate {
		err = fmt.Errorf("a refresh was decided as %q", v.Rule)
	}
	return row, err
}

// verify compares what was acknowledged with what is there, and forgets what it can't
// know.
func (k *keeper) verify(t *testing.T) {
	t.Helper()
	if k.all {
		clear(k.live)
	}
	if _, known := k.live[k.doubt]; known {
		_, _, err := k.Sessions().Find(k.ctx, k.project.ID, k.doubt)
		ok(t, err)
	}
	delete(k.live, k.doubt)
	k.all, k.doubt = false, id.Session{}
	for _, row := range k.live {
		stored, _ := k.find(t, row.ID)
		same(t, "a session", row, stored)
		same(t, "its status", "active", k.status(t, row.ID))
		if row.Parent.IsZero() {
			continue
		}
		// The answer to the last rotation was lost with the server, and its client
		// asks again.
		again := k.decided(t, k.refresh(t, row.ID, row.Parent, id.Refresh{}), session.Replay)
		same(t, "the token", row.Newest, again.Newest)
		k.live[row.ID] = again
	}
	for s, row := range k.dead {
		k.decided(t, k.newest(t, row), session.Revoked)
		delete(k.dead, s)
	}
}

// verifyEvents fails unless every session has the event of its making, and every event
// of a making its session: they were one transaction.
func (w *world) verifyEvents(t *testing.T) {
	t.Helper()
	// In this order, a sign-in that was under way when its store was abandoned may
	// come late without harm.
	rows, _, _, err := w.Bulk().List(w.ctx, session.Filter{Project: w.project.ID, Limit: 100_000})
	ok(t, err)
	events, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Types: []audit.Type{audit.SessionCreated}, Limit: 100_000})
	ok(t, err)
	told := map[id.Session]int{}
	for _, e := range events {
		told[e.Session]++
		if _, _, err := w.Sessions().Find(w.ctx, w.project.ID, e.Session); err != nil {
			t.Fatalf("session %v has an event, but isn't there: %v", e.Session, err)
		}
	}
	for _, row := range rows {
		same(t, "the number of events of a sign-in", 1, told[row.ID])
	}
	w.verifyEntries(t, rows)
}

// verifyEntries fails unless every end has its entry in the revocation feed, and every
// entry its end: they were one transaction.
func (w *world) verifyEntries(t *testing.T, rows []session.Row) {
	t.Helper()
	users, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 999)
	ok(t, err)
	entries, err := w.Revocations().Of(w.ctx, w.project.ID, 0, 100_000)
	ok(t, err)
	told := map[string]int64{}
	for _, e := range entries {
		told[string(e.Kind)+" "+e.ID]++
		if e.Kind != revocation.Session {
			continue
		}
		s, err := id.ParseSession(e.ID)
		ok(t, err)
		if row, _ := w.find(t, s); row.EndedAt.IsZero() {
			t.Fatalf("session %v has an entry, but hasn't ended", s)
		}
	}
	for _, row := range rows {
		// One that was over with all of its user has no entry of its own.
		own := !row.EndedAt.IsZero() && row.EndReason != session.Superseded
		if n := told["session "+row.ID.String()]; own && n != 1 || !own && n != 0 && !row.EndedAt.IsZero() {
			t.Fatalf("session %v, ended at %v as %q, has %d entries", row.ID, row.EndedAt, row.EndReason, n)
		}
		if n := told["epoch "+row.ID.String()]; n < row.ClaimsEpoch {
			t.Fatalf("the claims of session %v have changed %d times, told %d times", row.ID, row.ClaimsEpoch, n)
		}
	}
	roles, err := w.Roles().List(w.ctx, directory.RoleQuery{Project: w.project.ID, Limit: 999})
	ok(t, err)
	for _, r := range roles {
		times := len(strings.TrimPrefix(r.Description, "may "+r.Name))
		same(t, "how often verifiers were told of a role", int64(times), told["role "+latchkey.RoleMark(r.Name)])
	}
	for _, u := range users {
		if n := told["user "+u.ID.String()]; n < u.Epoch {
			t.Fatalf("all sessions of user %v were ended %d times, told %d times", u.ID, u.Epoch, n)
		}
	}
}
