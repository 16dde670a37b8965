package key

import (
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// draft is a Change in the making: a copy of a project's keys on which the steps of
// the life cycle are done, and a record of what they did. All steps see one now.
type draft struct {
	master  *secret.Ring
	project id.Project
	terms   Terms
	origin  audit.Origin
	now     time.Time
	keys    []Key // as they are after the steps so far
	change  Change
}

// instant is how keys keep times: UTC, whole milliseconds, no monotonic reading, so
// that a key read back equals the one written, whatever the store.
func instant(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

func (d *draft) empty() bool {
	return len(d.change.Insert)+len(d.change.Update)+len(d.change.Remove) == 0
}

// in returns the first key in a state.
func (d *draft) in(s State) (Key, bool) {
	return d.first(func(k Key) bool { return k.State == s })
}

func (d *draft) byID(kid id.Key) (Key, bool) {
	return d.first(func(k Key) bool { return k.ID == kid })
}

func (d *draft) first(fits func(Key) bool) (Key, bool) {
	if i := slices.IndexFunc(d.keys, fits); i >= 0 {
		return d.keys[i], true
	}
	return Key{}, false
}

// published counts the keys of the JWKS.
func (d *draft) published() int {
	n := 0
	for _, k := range d.keys {
		if k.State != Revoked {
			n++
		}
	}
	return n
}

// put records the new form of a key that the project has.
func (d *draft) put(k Key) {
	replace := func(list []Key) bool {
		i := slices.IndexFunc(list, func(other Key) bool { return other.ID == k.ID })
		if i >= 0 {
			list[i] = k
		}
		return i >= 0
	}
	replace(d.keys)
	if !replace(d.change.Insert) && !replace(d.change.Update) {
		d.change.Update = append(d.change.Update, k)
	}
}

func (d *draft) event(t audit.Type, k Key) audit.Event {
	return audit.New(d.project, d.now, t, d.origin).With("kid", k.ID.String()).With("algorithm", string(k.Algorithm))
}

func (d *draft) note(e audit.Event) { d.change.Events = append(d.change.Events, e) }

// create adds a fresh key, published from now on and due to sign after PublishAhead.
func (d *draft) create() (Key, error) {
	s, err := generate(d.terms.Algorithm)
	if err != nil {
		return Key{}, err
	}
	k := Key{
		ID: id.NewKey(d.now), Project: d.project, Algorithm: d.terms.Algorithm, State: Next,
		CreatedAt: d.now, ActivatesAt: d.now.Add(PublishAhead),
	}
	if k.Sealed, err = seal(d.master, d.project, k.ID, s); err != nil {
		return Key{}, err
	}
	d.keys = append(d.keys, k)
	d.change.Insert = append(d.change.Insert, k)
	d.note(d.event(audit.KeyCreated, k))
	return k, nil
}

// promote makes a next key the active one and retires the one before.
func (d *draft) promote(k Key) Key {
	if old, ok := d.in(Active); ok {
		d.retire(old)
	}
	k.State, k.ActivatedAt, k.Longest = Active, d.now, d.longest()
	d.put(k)
	d.note(d.event(audit.KeyActivated, k))
	return k
}

// retire ends the signing of an active key. It stays published until everything that
// it signed has ended.
func (d *draft) retire(k Key) {
	d.stop(&k)
	k.State = Retired
	d.put(k)
	d.note(d.event(audit.KeyRetired, k).With("goneAt", k.GoneAt.Format(time.RFC3339)))
}

func (d *draft) stop(k *Key) {
	k.Longest = max(k.Longest, d.longest())
	k.RetiredAt, k.GoneAt = d.now, d.now.Add(k.Longest)
}

// revoke takes a key out. It stays stored as long as its tokens could live, so that
// they are told from forged ones.
func (d *draft) revoke(k Key) Key {
	was := k.State
	switch was {
	case Active:
		d.stop(&k)
	case Next: // it signed nothing
		k.RetiredAt, k.GoneAt = d.now, d.now
	}
	k.State = Revoked
	d.put(k)
	d.note(d.event(audit.KeyRevoked, k).With("was", string(was)))
	return k
}

// remove forgets a key, and what the draft was about to write of it.
func (d *draft) remove(k Key) {
	same := func(other Key) bool { return other.ID == k.ID }
	d.keys = slices.DeleteFunc(d.keys, same)
	d.change.Update = slices.DeleteFunc(d.change.Update, same)
	d.change.Remove = append(d.change.Remove, k.ID)
	d.note(d.event(audit.KeyRemoved, k))
}

// longest rounds up: a token must not outlive its key by a fraction.
func (d *draft) longest() time.Duration {
	return (d.terms.Longest + time.Millisecond - 1).Truncate(time.Millisecond)
}

// widen keeps up with a setting that lets tokens of the active key live longer.
func (d *draft) widen() {
	if k, ok := d.in(Active); ok && k.Longest < d.longest() {
		k.Longest = d.longest()
		d.put(k)
	}
}

// sweep forgets keys whose last token has ended.
func (d *draft) sweep() {
	for _, k := range slices.Clone(d.keys) {
		if (k.State == Retired || k.State == Revoked) && !d.now.Before(k.GoneAt) {
			d.remove(k)
		}
	}
}

// drop removes a next key whose algorithm isn't the wanted one any more. It has signed
// nothing.
func (d *draft) drop() {
	if k, ok := d.in(Next); ok && k.Algorithm != d.terms.Algorithm {
		d.remove(k)
	}
}

// succeed puts the next key, or a fresh one, in the place of the active key.
func (d *draft) succeed() (Key, error) {
	k, ok := d.in(Next)
	if !ok {
		var err error
		if k, err = d.create(); err != nil {
			return Key{}, err
		}
	}
	return d.promote(k), nil
}

// full reports that the JWKS can't take another key.
func (d *draft) full() bool { return d.published() >= MaxPublished }

func errFull() error {
	return fault.New(fault.Conflict, "The project has %d signing keys in its key set, which is the most. "+
		"Retired ones leave when the last token they signed has ended; revoking one makes room at once.", MaxPublished)
}

// trim forgets revoked keys over MaxRevoked, those first whose tokens end first. Their
// tokens stay refused: as unknown ones from then on.
func (d *draft) trim() {
	for {
		var first Key
		n := 0
		for _, k := range d.keys {
			if k.State != Revoked {
				continue
			}
			if n++; first.ID.IsZero() || k.GoneAt.Before(first.GoneAt) {
				first = k
			}
		}
		if n <= MaxRevoked {
			return
		}
		d.remove(first)
	}
}
