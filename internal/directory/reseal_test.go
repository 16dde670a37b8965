package directory_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// change is a change of the master key: the rings before, meanwhile and after.
type change struct{ old, both, fresh *secret.Ring }

// change makes a project under a master key that is to be replaced.
func (w *world) change() (change, directory.Project) {
	w.t.Helper()
	one, other := secret.NewMasterKey().Reveal(), secret.NewMasterKey().Reveal()
	parse := func(text string) *secret.Ring {
		r, err := secret.ParseRing(secret.New(text))
		if err != nil {
			w.t.Fatal(err)
		}
		return r
	}
	c := change{old: parse(one), both: parse(other + "\n" + one), fresh: parse(other)}
	p, err := w.CreateProject(w.t.Context(), "Other", c.old, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	w.project = p.ID
	w.said()
	return c, p
}

func TestResealMAC(t *testing.T) {
	w := newWorld(t)
	c, p := w.change()
	mac, err := c.old.Open(p.SealedMAC, directory.MACContext(p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ResealMAC(t.Context(), p.ID, c.fresh, operator); !errors.Is(err, secret.ErrSealed) || !strings.Contains(err.Error(), p.ID.String()) {
		t.Errorf("without the old master key: %v", err)
	}
	_, err = w.ResealMAC(t.Context(), id.NewProject(start), c.both, operator)
	refused(t, err, fault.NotFound)
	w.expect()

	if done, err := w.ResealMAC(t.Context(), p.ID, c.both, operator); err != nil || !done {
		t.Fatalf("%v, %v", done, err)
	}
	if e := w.expect(audit.MasterKeyResealed)[0]; !reflect.DeepEqual(e.Data, map[string]any{"macKeys": 1.0}) {
		t.Errorf("the event says %v", e.Data)
	}
	found, err := w.Project(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.fresh.Open(found.SealedMAC, directory.MACContext(p.ID)); err != nil || !bytes.Equal(got, mac) {
		t.Errorf("the new master key alone doesn't open the MAC key as it was: %v", err)
	}
	if found.SealedMAC = p.SealedMAC; !reflect.DeepEqual(found, p) {
		t.Errorf("became\n%+v, was\n%+v", found, p)
	}
	if done, err := w.ResealMAC(t.Context(), p.ID, c.both, operator); err != nil || done {
		t.Errorf("again: %v, %v", done, err)
	}
	w.expect()
}

// rivaled loses its first compares against others, who seal under a master key of
// theirs.
type rivaled struct {
	directory.ProjectStore
	theirs        *secret.Ring
	rivals, tries int
	broken        error
}

func (s *rivaled) Reseal(ctx context.Context, p id.Project, old, sealed []byte, e audit.Event) error {
	if s.tries++; s.tries <= s.rivals {
		again, err := s.theirs.Reseal(old, directory.MACContext(p))
		if err != nil {
			return err
		}
		if err := s.ProjectStore.Reseal(ctx, p, old, again, e); err != nil {
			return err
		}
	}
	if s.broken != nil {
		return s.broken
	}
	return s.ProjectStore.Reseal(ctx, p, old, sealed, e)
}

func TestResealMACBesideOthers(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		rivals  int
		same    bool // the rivals reseal under the same master key
		broken  error
		done    bool
		tries   int
		refused func(error) bool
	}{
		"once":              {rivals: 1, done: true, tries: 2},
		"by the same":       {rivals: 1, same: true, tries: 1},
		"every time":        {rivals: 99, tries: 5, refused: func(err error) bool { return fault.KindOf(err) == fault.Conflict }},
		"by a broken store": {broken: broken, tries: 1, refused: func(err error) bool { return errors.Is(err, broken) }},
	} {
		w := newWorld(t)
		rings, p := w.change()
		s := &rivaled{ProjectStore: w.store.Projects(), theirs: rings.old, rivals: c.rivals, broken: c.broken}
		if c.same {
			s.theirs = rings.both
		}
		d := w.deps()
		d.Projects = s
		w.on(d)
		done, err := w.ResealMAC(t.Context(), p.ID, rings.both, operator)
		if done != c.done || s.tries != c.tries || (err != nil) != (c.refused != nil) || err != nil && !c.refused(err) {
			t.Errorf("%s: %v at attempt %d, %v", name, done, s.tries, err)
		}
		found, err := w.Project(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if rings.fresh.Current(found.SealedMAC) != (c.refused == nil) {
			t.Errorf("%s: the MAC key isn't under the master key that was asked for", name)
		}
	}
}
