package key

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const day = 24 * time.Hour

var (
	start      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	algorithms = []Algorithm{ES256, EdDSA, RS256}
	operator   = audit.Origin{Actor: audit.CLI, RequestID: "req-1"}

	// One RSA key serves all tests that only need some RSA key: making one takes long.
	someRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) })
)

func newMaster(t testing.TB) *secret.Ring {
	t.Helper()
	master, err := secret.ParseRing(secret.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return master
}

func newSigner(t testing.TB, alg Algorithm) signer {
	t.Helper()
	var s signer
	var err error
	if alg == RS256 {
		var k *rsa.PrivateKey
		k, err = someRSA()
		s = rs256{k}
	} else {
		s, err = generate(alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newKey makes a key with s, as it would be stored.
func newKey(t testing.TB, master *secret.Ring, p id.Project, state State, alg Algorithm, s signer) Key {
	t.Helper()
	k := Key{ID: id.NewKey(start), Project: p, Algorithm: alg, State: state, CreatedAt: start}
	var err error
	if k.Sealed, err = seal(master, p, k.ID, s); err != nil {
		t.Fatal(err)
	}
	return k
}

// newRing returns a ring with one active key, and that key.
func newRing(t testing.TB, alg Algorithm) (*Ring, Key) {
	t.Helper()
	master := newMaster(t)
	k := newKey(t, master, id.NewProject(start), Active, alg, newSigner(t, alg))
	r, err := OpenRing(master, []Key{k})
	if err != nil {
		t.Fatal(err)
	}
	return r, k
}

// bench is a project with a clock, a store and settings that a test turns at will.
type bench struct {
	*Service
	t       testing.TB
	master  *secret.Ring
	project id.Project

	mu      sync.Mutex
	now     time.Time
	terms   Terms
	version int64
	keys    []Key
	events  []audit.Event
	applied int
	// interfere is called before every compare, without the lock.
	interfere func()
}

// newBench returns a project with its first key.
func newBench(t testing.TB, terms Terms) *bench {
	t.Helper()
	b := &bench{t: t, master: newMaster(t), project: id.NewProject(start), now: start, terms: terms, version: 1}
	var err error
	b.Service, err = New(Deps{Store: b, Master: b.master, Terms: b.readTerms, Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.First(b.project, terms, start, operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), b.project, 1, c); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) readTerms(_ context.Context, p id.Project) (Terms, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p != b.project {
		return Terms{}, fault.New(fault.NotFound, "no such project")
	}
	t := b.terms
	t.Version = b.version
	return t, nil
}

// set changes the settings, as a caller of ChangeSettings would.
func (b *bench) set(change func(*Terms)) {
	b.mu.Lock()
	change(&b.terms)
	b.version++
	b.mu.Unlock()
	b.tend()
}

func (b *bench) tend() time.Time {
	b.t.Helper()
	next, err := b.Tend(context.Background(), b.project)
	if err != nil {
		b.t.Fatal(err)
	}
	return next
}

// List is that of Store: b.Service has one of its own, which hides no key but Sealed.
func (b *bench) List(_ context.Context, p id.Project) ([]Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p != b.project {
		return nil, nil
	}
	return slices.Clone(b.keys), nil
}

func (b *bench) Apply(_ context.Context, p id.Project, version int64, c Change) error {
	if b.interfere != nil {
		b.interfere()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p != b.project {
		return fault.New(fault.NotFound, "no such project")
	}
	if version != b.version {
		return fault.New(fault.Conflict, "the project has changed")
	}
	keys := slices.Clone(b.keys)
	index := func(kid id.Key) int {
		return slices.IndexFunc(keys, func(k Key) bool { return k.ID == kid })
	}
	for _, k := range c.Insert {
		if index(k.ID) >= 0 || len(k.Sealed) == 0 || k.Project != p {
			b.t.Errorf("an unfit insert: %v", k.ID)
		}
		keys = append(keys, k)
	}
	for _, k := range c.Update {
		i := index(k.ID)
		if i < 0 {
			b.t.Fatalf("update of an unknown key %v", k.ID)
		}
		was := keys[i]
		if was.Longest > k.Longest || was.Algorithm != k.Algorithm {
			b.t.Errorf("the key %v changed what may not change", k.ID)
		}
		k.Project, k.CreatedAt, k.Sealed = was.Project, was.CreatedAt, was.Sealed
		keys[i] = k
	}
	written := append(slices.Clone(c.Insert), c.Update...)
	for _, kid := range c.Remove {
		if index(kid) < 0 || slices.ContainsFunc(written, func(k Key) bool { return k.ID == kid }) {
			b.t.Errorf("removal of a key that is unknown or written by the same change: %v", kid)
		}
		keys = slices.DeleteFunc(keys, func(k Key) bool { return k.ID == kid })
	}
	slices.SortFunc(keys, func(x, y Key) int { return x.ID.Compare(y.ID) })
	b.keys, b.version, b.applied = keys, b.version+1, b.applied+1
	b.events = append(b.events, c.Events...)
	b.check()
	return nil
}

// Reseal is that of Store.
func (b *bench) Reseal(_ context.Context, p id.Project, resealed []Resealed, e audit.Event) error {
	if b.interfere != nil {
		b.interfere()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p != b.project {
		return fault.New(fault.NotFound, "no such project")
	}
	keys := slices.Clone(b.keys)
	for _, r := range resealed {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == r.ID })
		if i < 0 || !bytes.Equal(keys[i].Sealed, r.Old) {
			return fault.New(fault.Conflict, "the key has changed")
		}
		keys[i].Sealed = r.Sealed
	}
	b.keys, b.events = keys, append(b.events, e)
	b.check()
	return nil
}

// check asserts what holds after every change.
func (b *bench) check() {
	count := map[State]int{}
	for _, k := range b.keys {
		count[k.State]++
		for _, at := range []time.Time{k.CreatedAt, k.ActivatesAt, k.ActivatedAt, k.RetiredAt, k.GoneAt} {
			if at != at.Truncate(time.Millisecond).UTC() {
				b.t.Errorf("%v holds %v, which a store can't give back", k.ID, at)
			}
		}
		if (k.State == Retired || k.State == Revoked) == (k.GoneAt.IsZero() || k.RetiredAt.IsZero()) {
			b.t.Errorf("%s key %v: RetiredAt %v, GoneAt %v", k.State, k.ID, k.RetiredAt, k.GoneAt)
		}
	}
	if count[Active] != 1 || count[Next] > 1 || count[Revoked] > MaxRevoked || len(b.keys)-count[Revoked] > MaxPublished {
		b.t.Errorf("keys by state: %v", count)
	}
}

func (b *bench) ring() *Ring {
	b.t.Helper()
	r, err := OpenRing(b.master, b.keys)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) in(s State) []Key {
	return slices.DeleteFunc(slices.Clone(b.keys), func(k Key) bool { return k.State != s })
}

// said returns the types of the events since the last call, and forgets them.
func (b *bench) said() []audit.Type {
	var types []audit.Type
	for _, e := range b.events {
		types = append(types, e.Type)
	}
	b.events = nil
	return types
}

func (b *bench) expect(what string, want ...audit.Type) {
	b.t.Helper()
	if got := b.said(); !slices.Equal(got, want) {
		b.t.Errorf("%s: events %v, want %v", what, got, want)
	}
}

func TestNewRefusesMissingDeps(t *testing.T) {
	b := newBench(t, Terms{Algorithm: EdDSA})
	whole := Deps{Store: b, Master: b.master, Terms: b.readTerms, Now: b.clock}
	for i := range reflect.TypeFor[Deps]().NumField() {
		d := whole
		reflect.ValueOf(&d).Elem().Field(i).SetZero()
		if _, err := New(d); err == nil {
			t.Errorf("made without %s", reflect.TypeFor[Deps]().Field(i).Name)
		}
	}
}
