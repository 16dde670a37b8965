package key

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// PublishAhead is how long a key is in the JWKS before it signs. Verifiers that read
// the key set again within this time never meet a key that they don't know.
const PublishAhead = 24 * time.Hour

// Limits of one project. MaxPublished holds what a rotation every 30 days keeps
// published when tokens live two years; a faster rotation waits for room.
const (
	MaxPublished = 32
	MaxRevoked   = 32
)

// attempts bounds the repetitions after lost compares. Each loss means that somebody
// else's change of the project went through.
const attempts = 8

// Terms is what a project's settings ask of its keys, at one version of the project.
type Terms struct {
	Version   int64
	Algorithm Algorithm     // of keys made from now on
	Rotation  time.Duration // age at which the active key is replaced; 0: never
	Longest   time.Duration // the longest life of any token that is signed now
}

// Deps is what a Service needs. All members are required.
type Deps struct {
	Store  Store
	Master *secret.Ring

	// Terms reads a project's terms; fault.NotFound for an unknown one. Settings and
	// version come from one reading, so that no key is made by settings that have
	// changed since.
	Terms func(context.Context, id.Project) (Terms, error)

	// Now is the clock. Servers whose clocks differ shorten PublishAhead by the
	// difference at most.
	Now func() time.Time
}

// Service runs the life cycle of signing keys. All methods can be used by several
// servers at once: every change compares the project's version, and is decided anew
// when another one came first. Keys are returned without their Sealed member.
type Service struct {
	deps Deps
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Master == nil || d.Terms == nil || d.Now == nil {
		return nil, errors.New("key: a member of Deps is missing")
	}
	return &Service{deps: d}, nil
}

// First returns the change that gives a new project its first key, active at once. The
// caller applies it with the project's creation; if that is interrupted, Tend makes up
// for it.
func (s *Service) First(p id.Project, t Terms, now time.Time, o audit.Origin) (Change, error) {
	d := &draft{master: s.deps.Master, project: p, terms: t, origin: o, now: instant(now)}
	_, err := d.succeed()
	return d.change, err
}

// List returns all keys of a project, ascending by ID; none for an unknown one.
func (s *Service) List(ctx context.Context, p id.Project) ([]Key, error) {
	keys, err := s.deps.Store.List(ctx, p)
	if err != nil {
		return nil, err
	}
	listed := make([]Key, len(keys))
	for i, k := range keys {
		listed[i] = bare(k)
	}
	return listed, nil
}

func bare(k Key) Key {
	k.Sealed = nil
	return k
}

// Rotate starts the replacement of the active key and returns the key that replaces
// it: a next one, which Tend makes active at its ActivatesAt. Repeating the call until
// then changes nothing; a next key that has been published for PublishAhead becomes
// active at once. A full key set is fault.Conflict.
func (s *Service) Rotate(ctx context.Context, p id.Project, o audit.Origin) (Key, error) {
	return s.change(ctx, p, o, func(d *draft) (Key, error) {
		d.drop()
		next, waiting := d.in(Next)
		_, signs := d.in(Active)
		switch {
		case !signs || waiting && !d.now.Before(next.CreatedAt.Add(PublishAhead)):
			return d.succeed()
		case waiting:
			return next, nil
		case d.full():
			return Key{}, errFull()
		}
		return d.create()
	})
}

// RotateNow replaces the active key at once and returns the new one. Verifiers that
// cache the key set refuse its tokens until they read the set again, so Rotate is the
// one to use unless there is a reason. A full key set is fault.Conflict.
func (s *Service) RotateNow(ctx context.Context, p id.Project, o audit.Origin) (Key, error) {
	return s.change(ctx, p, o, func(d *draft) (Key, error) {
		d.drop()
		if _, waiting := d.in(Next); !waiting && d.full() {
			return Key{}, errFull()
		}
		return d.succeed()
	})
}

// Revoke takes a key out of the JWKS at once, so that what it signed is refused, and
// returns it. When it was the active one, another takes its place in the same change:
// the next key, however short its publication was, or a fresh one. Revoking a revoked
// key changes nothing; an unknown one is fault.NotFound.
func (s *Service) Revoke(ctx context.Context, p id.Project, kid id.Key, o audit.Origin) (Key, error) {
	return s.change(ctx, p, o, func(d *draft) (Key, error) {
		k, ok := d.byID(kid)
		switch {
		case !ok:
			return Key{}, fault.New(fault.NotFound, "The project has no such signing key.")
		case k.State == Revoked:
			return k, nil
		}
		signed := k.State == Active
		k = d.revoke(k)
		d.trim()
		if !signed {
			return k, nil
		}
		d.drop()
		_, err := d.succeed()
		return k, err
	})
}

// Tend does what is due in the life of a project's keys and returns when to call it
// again, zero for never. It publishes the next key PublishAhead before the active one
// reaches its age, or when the settings ask for another algorithm; makes it active
// when its time has come; forgets keys whose last token has ended. A late call catches
// up without shortening PublishAhead. It is to be called soon after every change of
// settings too: until then a raised token lifetime isn't known to the active key.
func (s *Service) Tend(ctx context.Context, p id.Project) (time.Time, error) {
	var again time.Time
	_, err := s.change(ctx, p, audit.Origin{Actor: audit.System}, func(d *draft) (Key, error) {
		err := tend(d)
		again = d.again()
		return Key{}, err
	})
	return again, err
}

func tend(d *draft) error {
	d.widen()
	d.sweep()
	d.drop()
	next, waiting := d.in(Next)
	// A project without an active key is one whose creation was interrupted.
	if _, signs := d.in(Active); !signs || waiting && !d.now.Before(next.ActivatesAt) {
		if _, err := d.succeed(); err != nil {
			return err
		}
	}
	at, wanted := d.publishAt()
	if !wanted || d.now.Before(at) {
		return nil
	}
	_, err := d.create()
	return err
}

// publishAt is when the replacement of the active key is to be published; false when
// nothing asks for one, when it already is, and while the set is full: then it waits
// until a key has gone.
func (d *draft) publishAt() (time.Time, bool) {
	active, signs := d.in(Active)
	_, waiting := d.in(Next)
	switch {
	case !signs || waiting || d.full():
		return time.Time{}, false
	case active.Algorithm != d.terms.Algorithm:
		return d.now, true
	}
	return active.ActivatedAt.Add(d.terms.Rotation - PublishAhead), d.terms.Rotation > 0
}

// again returns the time of the next step, zero when there is none.
func (d *draft) again() time.Time {
	first, ok := d.publishAt()
	for _, k := range d.keys {
		at := k.GoneAt
		switch k.State {
		case Active:
			continue
		case Next:
			at = k.ActivatesAt
		}
		if !ok || at.Before(first) {
			first, ok = at, true
		}
	}
	if !ok {
		return time.Time{}
	}
	return first
}

// change runs plan on the project's keys as they are and applies what it did. When the
// project changes meanwhile, plan runs again on what is there then.
func (s *Service) change(ctx context.Context, p id.Project, o audit.Origin, plan func(*draft) (Key, error)) (Key, error) {
	var lost error
	for range attempts {
		d, err := s.draft(ctx, p, o)
		if err != nil {
			return Key{}, err
		}
		k, err := plan(d)
		if err != nil {
			return Key{}, err
		}
		if d.empty() {
			return bare(k), nil
		}
		switch err = s.deps.Store.Apply(ctx, p, d.terms.Version, d.change); {
		case err == nil:
			return bare(k), nil
		case fault.KindOf(err) != fault.Conflict:
			return Key{}, err
		}
		lost = err
	}
	return Key{}, lost
}

// draft reads the terms first: a change of the keys after that changes the version,
// and Apply refuses.
func (s *Service) draft(ctx context.Context, p id.Project, o audit.Origin) (*draft, error) {
	t, err := s.deps.Terms(ctx, p)
	if err != nil {
		return nil, err
	}
	keys, err := s.deps.Store.List(ctx, p)
	if err != nil {
		return nil, err
	}
	return &draft{
		master: s.deps.Master, project: p, terms: t, origin: o, now: instant(s.deps.Now()),
		keys: slices.Clone(keys),
	}, nil
}
