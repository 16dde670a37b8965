package key

import (
	"context"
	"fmt"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Reseal seals a project's keys under the first master key, whatever their state, and
// returns how many keys there are and how many of them were to be resealed. Servers that
// know both master keys notice nothing. When a key can't be opened (secret.ErrSealed),
// none of the project's is changed.
func (s *Service) Reseal(ctx context.Context, p id.Project, o audit.Origin) (keys, resealed int, err error) {
	var lost error
	for range attempts {
		all, err := s.deps.Store.List(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		due, err := reseal(s.deps.Master, all)
		if err != nil || len(due) == 0 {
			return len(all), 0, err
		}
		e := audit.New(p, instant(s.deps.Now()), audit.MasterKeyResealed, o).With("signingKeys", float64(len(due)))
		switch err = s.deps.Store.Reseal(ctx, p, due, e); {
		case err == nil:
			return len(all), len(due), nil
		case fault.KindOf(err) != fault.Conflict:
			return len(all), 0, err
		}
		lost = err // a key has gone meanwhile, or somebody else reseals, too
	}
	return 0, 0, lost
}

// reseal returns those of keys that the first master key didn't seal, with their new
// Sealed.
func reseal(master *secret.Ring, keys []Key) ([]Resealed, error) {
	var due []Resealed
	for _, k := range keys {
		if master.Current(k.Sealed) {
			continue
		}
		sealed, err := master.Reseal(k.Sealed, SealContext(k.Project, k.ID))
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		due = append(due, Resealed{ID: k.ID, Old: k.Sealed, Sealed: sealed})
	}
	return due, nil
}
