package key

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// oldAndNew is a project whose keys, one of each state, are sealed by a master key that
// is to be retired. Its service has the new master key above the old one; the others have
// one of them.
func oldAndNew(t *testing.T) (b *bench, old, fresh *secret.Ring) {
	t.Helper()
	b = newBench(t, monthly)
	one, other := secret.NewMasterKey().Reveal(), secret.NewMasterKey().Reveal()
	parse := func(text string) *secret.Ring {
		t.Helper()
		r, err := secret.ParseRing(secret.New(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old, fresh = parse(one), parse(other)
	b.with(old)
	b.keys = nil
	b.tend()
	bad := must(t)(b.RotateNow(t.Context(), b.project, operator))
	must(t)(b.RotateNow(t.Context(), b.project, operator))
	must(t)(b.Revoke(t.Context(), b.project, bad.ID, operator))
	must(t)(b.Rotate(t.Context(), b.project, operator))
	for _, s := range []State{Next, Active, Retired, Revoked} {
		if len(b.in(s)) != 1 {
			t.Fatalf("%d %s keys", len(b.in(s)), s)
		}
	}
	b.with(parse(other + "\n" + one))
	b.said()
	return b, old, fresh
}

// with restarts the service with another ring of master keys.
func (b *bench) with(master *secret.Ring) {
	b.t.Helper()
	b.master = master
	var err error
	if b.Service, err = New(Deps{Store: b, Master: master, Terms: b.readTerms, Now: b.clock}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) reseals(keys, resealed int) {
	b.t.Helper()
	if all, n, err := b.Service.Reseal(b.t.Context(), b.project, operator); err != nil || all != keys || n != resealed {
		b.t.Errorf("%d of %d keys resealed, %v; want %d of %d", n, all, err, resealed, keys)
	}
}

// After resealing, the old master key isn't needed, and nothing else has changed.
func TestReseal(t *testing.T) {
	b, _, fresh := oldAndNew(t)
	before, version := b.ring(), b.version
	kid := before.Active()
	token := mint(t, before, kid, RefreshToken, someClaims)
	if _, err := OpenRing(fresh, b.keys); !errors.Is(err, secret.ErrSealed) {
		t.Fatalf("the new master key alone opens what the old one sealed: %v", err)
	}
	was := b.keys
	b.reseals(4, 4)
	if len(b.events) != 1 || b.events[0].Origin != operator || b.events[0].Project != b.project || b.events[0].At != b.now ||
		!reflect.DeepEqual(b.events[0].Data, map[string]any{"signingKeys": 4.0}) {
		t.Errorf("events %+v", b.events)
	}
	b.expect("reseal", audit.MasterKeyResealed)
	if b.version != version {
		t.Error("the project's version changed, so every server reads its keys again")
	}
	for i, k := range b.keys {
		if !fresh.Current(k.Sealed) {
			t.Errorf("the %s key is still under the old master key", k.State)
		}
		if k.Sealed = was[i].Sealed; !reflect.DeepEqual(k, was[i]) {
			t.Errorf("became\n%+v, was\n%+v", k, was[i])
		}
	}
	b.with(fresh)
	if again := mint(t, b.ring(), kid, RefreshToken, someClaims); again != token {
		t.Error("the key signs otherwise than before")
	}
	must(t)(b.Rotate(t.Context(), b.project, operator))
	b.said()
	b.reseals(len(b.keys), 0)
	b.expect("nothing to do")
}

// A run that was interrupted, or keys that servers made since: what is left is done.
func TestResealTheRest(t *testing.T) {
	b, _, _ := oldAndNew(t)
	b.keys[2].Sealed = b.resealed(b.keys[2])
	b.reseals(4, 3)
	b.reseals(4, 0)
}

// resealed returns the Sealed of a key as another command would have left it.
func (b *bench) resealed(k Key) []byte {
	b.t.Helper()
	sealed, err := b.master.Reseal(k.Sealed, SealContext(k.Project, k.ID))
	if err != nil {
		b.t.Fatal(err)
	}
	return sealed
}

func TestResealBesideOthers(t *testing.T) {
	b, _, _ := oldAndNew(t)
	times := 0
	b.interfere = func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch times++; times {
		case 1: // a key goes
			b.keys = slices.DeleteFunc(slices.Clone(b.keys), func(k Key) bool { return k.State == Retired })
		case 2: // another command reseals one
			b.keys[0].Sealed = b.resealed(b.keys[0])
		}
	}
	all, n, err := b.Service.Reseal(t.Context(), b.project, operator)
	if err != nil || all != 3 || n != 2 || times != 3 {
		t.Errorf("%d of %d keys resealed at attempt %d, %v", n, all, times, err)
	}
	b.expect("reseal", audit.MasterKeyResealed)
}

func TestResealRefuses(t *testing.T) {
	b, old, fresh := oldAndNew(t)
	if all, n, err := b.Service.Reseal(t.Context(), id.NewProject(start), operator); all != 0 || n != 0 || err != nil {
		t.Errorf("%d of %d keys of an unknown project, %v", n, all, err)
	}
	b.keys[1].Sealed[9] ^= 1
	was := slices.Clone(b.keys)
	_, _, err := b.Service.Reseal(t.Context(), b.project, operator)
	if !errors.Is(err, secret.ErrSealed) || !strings.Contains(err.Error(), b.keys[1].ID.String()) {
		t.Errorf("a key that can't be opened: %v", err)
	}
	if !reflect.DeepEqual(b.keys, was) {
		t.Error("some keys changed all the same")
	}
	b.keys[1].Sealed[9] ^= 1
	times := 0
	b.interfere = func() { // a server that doesn't know the new master key yet
		times++
		b.mu.Lock()
		defer b.mu.Unlock()
		var err error
		if b.keys[0].Sealed, err = old.Reseal(b.keys[0].Sealed, SealContext(b.project, b.keys[0].ID)); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.Service.Reseal(t.Context(), b.project, operator); fault.KindOf(err) != fault.Conflict || times != attempts {
		t.Errorf("lost %d times: %v", times, err)
	}
	b.interfere = nil
	b.with(fresh)
	if _, _, err := b.Service.Reseal(t.Context(), b.project, operator); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("without the old master key: %v", err)
	}
	b.expect("refusals")
}
