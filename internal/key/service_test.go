package key

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

var monthly = Terms{Algorithm: EdDSA, Rotation: 30 * day, Longest: 28 * day}

func must(t testing.TB) func(Key, error) Key {
	return func(k Key, err error) Key {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if k.Sealed != nil {
			t.Error("the private key was handed out")
		}
		return k
	}
}

func TestFirst(t *testing.T) {
	for _, alg := range algorithms {
		b := newBench(t, Terms{Algorithm: alg, Longest: day})
		b.expect("first", audit.KeyCreated, audit.KeyActivated)
		k := b.keys[0]
		if len(b.keys) != 1 || k.State != Active || k.Algorithm != alg || k.ActivatedAt != start || k.Longest != day {
			t.Errorf("%+v", b.keys)
		}
		r := b.ring()
		token := mint(t, r, r.Active(), AccessToken, someClaims)
		if !verify(t, readJWKS(t, r.JWKS())[k.ID.String()], token) {
			t.Errorf("%s: the first token doesn't verify", alg)
		}
	}
	b := newBench(t, monthly)
	if _, err := b.First(b.project, Terms{Algorithm: "HS256"}, start, operator); err == nil {
		t.Error("a first key for HS256")
	}
}

// The project's creation was interrupted before its first key: Tend makes up for it.
func TestTendSuppliesAMissingKey(t *testing.T) {
	b := newBench(t, monthly)
	b.keys, b.events = nil, nil
	b.tend()
	b.expect("supply", audit.KeyCreated, audit.KeyActivated)
	if b.applied = 0; b.tend().IsZero() || b.applied != 0 {
		t.Error("not settled afterwards")
	}
	b.keys, b.events = nil, nil
	if k := must(t)(b.Rotate(t.Context(), b.project, operator)); k.State != Active {
		t.Errorf("rotating without a key gives a %s one", k.State)
	}
}

// The scheduled life of keys, step by step.
func TestTendSchedule(t *testing.T) {
	b := newBench(t, monthly)
	first := b.keys[0].ID
	b.said()
	at := func(want time.Duration, next time.Time) {
		t.Helper()
		if got := next.Sub(start); got != want {
			t.Fatalf("next step after %v, want %v", got, want)
		}
	}
	at(29*day, b.tend())
	b.pass(29*day - time.Millisecond)
	at(29*day, b.tend())
	b.expect("too early")

	b.pass(time.Millisecond)
	at(30*day, b.tend())
	b.expect("publish", audit.KeyCreated)
	if k := b.in(Next); len(k) != 1 || k[0].ActivatesAt != start.Add(30*day) {
		t.Fatalf("%+v", k)
	}
	b.pass(day - time.Millisecond)
	at(30*day, b.tend())
	b.expect("not yet")

	b.pass(time.Millisecond)
	at(58*day, b.tend()) // the first key goes before the next one is published
	b.expect("promote", audit.KeyRetired, audit.KeyActivated)
	if k := b.in(Retired); len(k) != 1 || k[0].ID != first || k[0].GoneAt != start.Add(58*day) || k[0].RetiredAt != start.Add(30*day) {
		t.Fatalf("%+v", k)
	}
	b.pass(28*day - time.Millisecond)
	b.tend()
	b.expect("still published")
	b.pass(time.Millisecond)
	at(59*day, b.tend())
	b.expect("gone", audit.KeyRemoved)
	if len(b.keys) != 1 {
		t.Errorf("%+v", b.keys)
	}
}

func TestTendIsIdempotent(t *testing.T) {
	b := newBench(t, monthly)
	for range 100 {
		b.pass(7 * time.Hour)
		next := b.tend()
		applied := b.applied
		if again := b.tend(); again != next || b.applied != applied {
			t.Fatalf("a second call changes something: %v, %v", again, next)
		}
		if !next.After(b.now) {
			t.Fatalf("the next step %v isn't in the future of %v", next, b.now)
		}
	}
}

func TestTendWithoutRotation(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: day})
	b.pass(3000 * day)
	if next := b.tend(); !next.IsZero() || b.applied != 1 {
		t.Errorf("rotation is off, but: %v, %d changes", next, b.applied)
	}
	// Switched on late, the key is over its age: published now, used in a day.
	b.set(func(t *Terms) { t.Rotation = 30 * day })
	if k := b.in(Next); len(k) != 1 || k[0].ActivatesAt != b.now.Add(PublishAhead) {
		t.Errorf("%+v", k)
	}
	if _, err := b.Tend(t.Context(), id.NewProject(start)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown project: %v", err)
	}
}

func TestTendChangesAlgorithm(t *testing.T) {
	b := newBench(t, monthly)
	b.said()
	b.set(func(t *Terms) { t.Algorithm = ES256 })
	b.expect("new algorithm", audit.KeyCreated)
	b.pass(time.Hour)
	b.set(func(t *Terms) { t.Algorithm = RS256 })
	b.expect("changed again", audit.KeyRemoved, audit.KeyCreated)
	if k := b.in(Next); len(k) != 1 || k[0].Algorithm != RS256 || k[0].ActivatesAt != b.now.Add(PublishAhead) {
		t.Fatalf("%+v", k)
	}
	b.set(func(t *Terms) { t.Algorithm = EdDSA })
	b.expect("changed back", audit.KeyRemoved)
	b.set(func(t *Terms) { t.Algorithm = ES256 })
	b.pass(PublishAhead)
	b.tend()
	b.expect("takes effect", audit.KeyCreated, audit.KeyRetired, audit.KeyActivated)
	if k := b.in(Active); k[0].Algorithm != ES256 {
		t.Errorf("%+v", k)
	}
}

// A key stays for the longest token that it may have signed, not for what the settings
// allow on the day it retires.
func TestLowerLifetimeTakesNoKeyAway(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: 10 * day})
	b.set(func(t *Terms) { t.Longest = 90*day + time.Nanosecond })
	b.set(func(t *Terms) { t.Longest = day })
	must(t)(b.RotateNow(t.Context(), b.project, operator))
	if k := b.in(Retired)[0]; k.GoneAt != b.now.Add(90*day+time.Millisecond) {
		t.Errorf("gone at %v", k.GoneAt)
	}
	// A raise that Tend hasn't seen yet counts when the key retires.
	b.terms.Longest = 200 * day
	must(t)(b.RotateNow(t.Context(), b.project, operator))
	b.terms.Longest = 300 * day
	must(t)(b.Revoke(t.Context(), b.project, b.in(Active)[0].ID, operator))
	if k := b.in(Revoked)[0]; k.GoneAt != b.now.Add(300*day) {
		t.Errorf("gone at %v", k.GoneAt)
	}
}

func TestRotate(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: 28 * day})
	ctx := t.Context()
	b.said()
	k := must(t)(b.Rotate(ctx, b.project, operator))
	b.expect("rotate", audit.KeyCreated)
	if k.State != Next || k.ActivatesAt != start.Add(PublishAhead) {
		t.Fatalf("%+v", k)
	}
	b.pass(PublishAhead - time.Millisecond)
	if again := must(t)(b.Rotate(ctx, b.project, operator)); again.ID != k.ID || again.State != Next {
		t.Errorf("%+v", again)
	}
	b.expect("repeated")
	b.pass(time.Millisecond)
	if again := must(t)(b.Rotate(ctx, b.project, operator)); again.ID != k.ID || again.State != Active {
		t.Errorf("%+v", again)
	}
	for _, e := range b.events {
		if e.Origin != operator || e.Project != b.project || e.At != b.now || e.Data["kid"] == "" || e.Data["algorithm"] != "EdDSA" {
			t.Errorf("event %+v", e)
		}
	}
	b.expect("ripe", audit.KeyRetired, audit.KeyActivated)

	must(t)(b.Rotate(ctx, b.project, operator))
	b.terms.Algorithm = ES256
	if k := must(t)(b.Rotate(ctx, b.project, operator)); k.Algorithm != ES256 || k.State != Next {
		t.Errorf("%+v", k)
	}
	b.expect("of another algorithm", audit.KeyCreated, audit.KeyRemoved, audit.KeyCreated)
	if _, err := b.Rotate(ctx, id.NewProject(start), operator); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown project: %v", err)
	}
}

func TestRotateNow(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: 28 * day})
	ctx, first := t.Context(), b.keys[0].ID
	old := mint(t, b.ring(), first, RefreshToken, someClaims)
	b.said()
	k := must(t)(b.RotateNow(ctx, b.project, operator))
	b.expect("at once", audit.KeyCreated, audit.KeyRetired, audit.KeyActivated)
	r := b.ring()
	if k.State != Active || r.Active() != k.ID {
		t.Errorf("%+v", k)
	}
	if _, kid, err := r.Open(old, RefreshToken); err != nil || kid != first {
		t.Errorf("a token of the retired key: %v", err)
	}
	if again := mint(t, r, first, RefreshToken, someClaims); again != old {
		t.Error("the retired key doesn't repeat its token")
	}
	next := must(t)(b.Rotate(ctx, b.project, operator))
	b.said()
	if k := must(t)(b.RotateNow(ctx, b.project, operator)); k.ID != next.ID {
		t.Errorf("%v became active instead of the next key", k.ID)
	}
	b.expect("the next key", audit.KeyRetired, audit.KeyActivated)
}

func TestRevokeActive(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: 28 * day})
	ctx, bad := t.Context(), b.keys[0].ID
	token := mint(t, b.ring(), bad, RefreshToken, someClaims)
	b.said()
	if k := must(t)(b.Revoke(ctx, b.project, bad, operator)); k.ID != bad || k.State != Revoked || k.GoneAt != start.Add(28*day) {
		t.Errorf("%+v", k)
	}
	b.expect("revoke", audit.KeyRevoked, audit.KeyCreated, audit.KeyActivated)
	r := b.ring()
	refused(t, r, token, RefreshToken, ErrRevoked)
	if set := readJWKS(t, r.JWKS()); len(set) != 1 || set[bad.String()] != nil {
		t.Errorf("published: %v", set)
	}
	must(t)(b.Revoke(ctx, b.project, bad, operator))
	b.expect("repeated")

	// Until its last token has ended, a bearer is told why; then it is unknown.
	b.pass(28*day - time.Millisecond)
	b.tend()
	refused(t, b.ring(), token, RefreshToken, ErrRevoked)
	b.pass(time.Millisecond)
	b.tend()
	refused(t, b.ring(), token, RefreshToken, ErrUnknown)
	if _, err := b.Revoke(ctx, b.project, bad, operator); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a key that is gone: %v", err)
	}
}

func TestRevokeOthers(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Longest: 28 * day})
	ctx, first := t.Context(), b.keys[0].ID
	active := must(t)(b.RotateNow(ctx, b.project, operator)).ID
	next := must(t)(b.Rotate(ctx, b.project, operator)).ID
	b.said()
	b.pass(day / 2)
	if k := must(t)(b.Revoke(ctx, b.project, first, operator)); k.GoneAt != start.Add(28*day) || k.RetiredAt != start {
		t.Errorf("a retired key's end moved: %+v", k)
	}
	b.expect("retired", audit.KeyRevoked)
	if b.ring().Active() != active {
		t.Error("the active key changed")
	}
	if k := must(t)(b.Revoke(ctx, b.project, active, operator)); k.State != Revoked {
		t.Errorf("%+v", k)
	}
	b.expect("active, with a next", audit.KeyRevoked, audit.KeyActivated)
	if b.ring().Active() != next {
		t.Error("the next key didn't take over")
	}
	next = must(t)(b.Rotate(ctx, b.project, operator)).ID
	must(t)(b.Revoke(ctx, b.project, next, operator))
	b.tend()
	b.expect("next", audit.KeyCreated, audit.KeyRevoked, audit.KeyRemoved)
	// A next key of the wrong algorithm doesn't take over.
	must(t)(b.Rotate(ctx, b.project, operator))
	b.terms.Algorithm = ES256
	must(t)(b.Revoke(ctx, b.project, b.in(Active)[0].ID, operator))
	if k := b.in(Active)[0]; k.Algorithm != ES256 {
		t.Errorf("%+v", k)
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Rotation: 2 * day, Longest: 730 * day})
	ctx := t.Context()
	for range MaxPublished - 1 {
		must(t)(b.RotateNow(ctx, b.project, operator))
	}
	for name, rotate := range map[string]func(context.Context, id.Project, audit.Origin) (Key, error){"Rotate": b.Rotate, "RotateNow": b.RotateNow} {
		_, err := rotate(ctx, b.project, operator)
		var refusal *fault.Error
		if !errors.As(err, &refusal) || refusal.Kind != fault.Conflict || !strings.Contains(refusal.Detail, "32 signing keys") {
			t.Errorf("%s over the limit: %v", name, err)
		}
	}
	// The schedule waits for room without an error, and names the time.
	b.pass(10 * day)
	if next := b.tend(); next != b.in(Retired)[0].GoneAt || len(b.in(Next)) != 0 {
		t.Errorf("a full set: next step %v", next)
	}
	// Revoking is never refused, and makes room.
	for range 2 * MaxRevoked {
		must(t)(b.Revoke(ctx, b.project, b.in(Active)[0].ID, operator))
	}
	must(t)(b.Revoke(ctx, b.project, b.in(Retired)[0].ID, operator))
	// One that signed nothing is the first to be forgotten, by its own revocation here.
	next := must(t)(b.Rotate(ctx, b.project, operator))
	if k := must(t)(b.Revoke(ctx, b.project, next.ID, operator)); k.State != Revoked || len(b.in(Next)) != 0 ||
		slices.ContainsFunc(b.keys, func(stored Key) bool { return stored.ID == k.ID }) {
		t.Errorf("%+v", k)
	}
	if got := len(b.in(Revoked)); got != MaxRevoked {
		t.Errorf("%d revoked keys are kept", got)
	}
	b.pass(day)
	b.tend()
	if len(b.in(Next)) != 1 {
		t.Error("the schedule didn't go on")
	}
}

// The default rotation never waits for room, however long tokens live.
func TestDefaultRotationFits(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA, Rotation: 30 * day, Longest: 730 * day})
	last := b.in(Active)[0].ActivatedAt
	for b.now.Before(start.Add(1500 * day)) {
		b.pass(b.tend().Sub(b.now))
		b.tend()
		if k := b.in(Active)[0]; k.ActivatedAt != last {
			if age := k.ActivatedAt.Sub(last); age != 30*day {
				t.Fatalf("a key was active for %v", age)
			}
			last = k.ActivatedAt
		}
	}
}

func TestListHidesPrivateKeys(t *testing.T) {
	b := newBench(t, monthly)
	must(t)(b.Rotate(t.Context(), b.project, operator))
	keys, err := b.Service.List(t.Context(), b.project)
	if err != nil || len(keys) != 2 || keys[0].ID.Compare(keys[1].ID) >= 0 || keys[0].Sealed != nil || keys[1].Sealed != nil {
		t.Errorf("%+v %v", keys, err)
	}
	if b.keys[0].Sealed == nil {
		t.Error("List emptied the store's own rows")
	}
	if keys, err := b.Service.List(t.Context(), id.NewProject(start)); err != nil || len(keys) != 0 {
		t.Errorf("%v %v", keys, err)
	}
}

// Somebody else changes the project between every reading and its compare.
func TestLostCompares(t *testing.T) {
	b := newBench(t, monthly)
	lose := 0
	b.interfere = func() {
		if lose--; lose >= 0 {
			b.mu.Lock()
			b.version++
			b.mu.Unlock()
		}
	}
	lose = attempts - 1
	must(t)(b.Rotate(t.Context(), b.project, operator))
	lose = attempts
	if _, err := b.RotateNow(t.Context(), b.project, operator); fault.KindOf(err) != fault.Conflict {
		t.Errorf("all compares lost: %v", err)
	}
	// What was revoked meanwhile isn't promoted by a plan made before.
	next := b.in(Next)[0].ID
	once := true
	b.interfere = func() {
		if once {
			once = false
			must(t)(b.Revoke(t.Context(), b.project, next, operator))
		}
	}
	if k := must(t)(b.RotateNow(t.Context(), b.project, operator)); k.ID == next {
		t.Error("the revoked key became active")
	}
}

// Several servers do the same thing at the same moment: it is done once.
func TestManyServers(t *testing.T) {
	b := newBench(t, monthly)
	b.said()
	for _, step := range []struct {
		pass time.Duration
		want []audit.Type
	}{
		{29 * day, []audit.Type{audit.KeyCreated}},
		{day, []audit.Type{audit.KeyRetired, audit.KeyActivated}},
		{28 * day, []audit.Type{audit.KeyRemoved}},
	} {
		b.pass(step.pass)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := b.Tend(context.Background(), b.project); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := b.said(); !slices.Equal(got, step.want) {
			t.Errorf("events %v, want %v", got, step.want)
		}
	}
}

var errDisk = errors.New("disk full")

// failing is a store that can't be reached.
type failing struct{ *bench }

func (failing) List(context.Context, id.Project) ([]Key, error) { return nil, errDisk }

// full is a store that can be read only.
type full struct{ *bench }

func (full) Apply(context.Context, id.Project, int64, Change) error { return errDisk }

func TestStoreErrorsComeThrough(t *testing.T) {
	b := newBench(t, monthly)
	for _, store := range []Store{failing{b}, full{b}} {
		s, err := New(Deps{Store: store, Master: b.master, Terms: b.readTerms, Now: b.clock})
		if err != nil {
			t.Fatal(err)
		}
		if k, err := s.RotateNow(t.Context(), b.project, operator); !errors.Is(err, errDisk) || !k.ID.IsZero() {
			t.Errorf("%v %v", k, err)
		}
	}
	s, _ := New(Deps{Store: failing{b}, Master: b.master, Terms: b.readTerms, Now: b.clock})
	if _, err := s.List(t.Context(), b.project); !errors.Is(err, errDisk) {
		t.Error(err)
	}
}
