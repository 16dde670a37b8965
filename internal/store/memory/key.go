package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
)

type keys struct{ *Store }

func (s keys) List(ctx context.Context, p id.Project) ([]key.Key, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return nil, nil
	}
	var all []key.Key
	for _, k := range ascending(maps.Keys(owner.keys), id.Key{}, len(owner.keys)) {
		all = append(all, copyKey(owner.keys[k]))
	}
	return all, nil
}

// Apply makes the change on a copy of the project's keys, which becomes the real one
// when nothing was wrong.
func (s keys) Apply(ctx context.Context, p id.Project, version int64, c key.Change) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	if owner.Version != version {
		return fault.New(fault.Conflict, "The project has changed in the meantime.")
	}
	changed := maps.Clone(owner.keys)
	revoked, err := apply(changed, c)
	if err != nil {
		return err
	}
	owner.keys = changed
	owner.Version++
	for _, k := range revoked {
		tx.revoke(k.Revocation(owner.life(), tx.now))
	}
	tx.log(c.Events...)
	return nil
}

// Reseal works on a copy for the same reason as Apply.
func (s keys) Reseal(ctx context.Context, p id.Project, resealed []key.Resealed, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	changed := maps.Clone(owner.keys)
	for _, r := range resealed {
		k, ok := changed[r.ID]
		if !ok || !bytes.Equal(k.Sealed, r.Old) {
			return errResealed()
		}
		k.Sealed = slices.Clone(r.Sealed)
		changed[r.ID] = k
	}
	owner.keys = changed
	tx.log(e)
	return nil
}

// apply changes the keys and returns those that it has revoked.
func apply(all map[id.Key]key.Key, c key.Change) (revoked []key.Key, err error) {
	for _, k := range c.Insert {
		if _, taken := all[k.ID]; taken {
			return nil, fault.New(fault.Conflict, "There is a signing key with this id already.")
		}
		all[k.ID] = copyKey(k)
	}
	for _, k := range c.Update {
		old, ok := all[k.ID]
		if !ok {
			return nil, fault.New(fault.NotFound, "This project has no such signing key.")
		}
		k.Project, k.CreatedAt, k.Sealed = old.Project, old.CreatedAt, old.Sealed
		all[k.ID] = copyKey(k)
		if k.RevokedSince(old) {
			revoked = append(revoked, all[k.ID])
		}
	}
	for _, k := range c.Remove {
		delete(all, k)
	}
	return revoked, nil
}
