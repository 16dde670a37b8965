package memory

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

type revocations struct{ *Store }

// revoke adds entries to the feed. The tag only tells a store from an older copy of
// itself, so it needs to be unlikely to come twice, not hard to guess: whoever makes a
// cursor up leaves entries out of their own stream.
func (tx transaction) revoke(entries ...revocation.Entry) {
	for _, e := range entries {
		tx.last++
		e.Seq, e.Tag = tx.last, rand.Uint32()
		if tx.now.Before(tx.latest) {
			e = e.Behind(tx.latest)
			// Else what is minted until the clock has caught up would be concerned, too.
			tx.latest = tx.latest.Add(time.Millisecond)
		}
		tx.entries = append(tx.entries, e)
	}
}

// life is how long session tokens of the project live.
func (p *project) life() revocation.Life { return p.Life(p.tokensUntil) }

// after returns at most limit entries of those that keep selects with a greater Seq.
func (s revocations) after(ctx context.Context, seq int64, limit int, keep func(revocation.Entry) bool) ([]revocation.Entry, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	var found []revocation.Entry
	for _, e := range tx.entries {
		if e.Seq > seq && len(found) < limit && keep(e) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (s revocations) After(ctx context.Context, seq int64, limit int) ([]revocation.Entry, error) {
	return s.after(ctx, seq, limit, func(revocation.Entry) bool { return true })
}

func (s revocations) Of(ctx context.Context, p id.Project, seq int64, limit int) ([]revocation.Entry, error) {
	return s.after(ctx, seq, limit, func(e revocation.Entry) bool { return e.Project == p })
}

func (s revocations) Last(ctx context.Context) (int64, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	return tx.last, nil
}

func (s revocations) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	if cutoff.After(tx.now) {
		cutoff = tx.now
	}
	removed := 0
	tx.entries = slices.DeleteFunc(tx.entries, func(e revocation.Entry) bool {
		over := removed < limit && e.Until.Before(cutoff)
		if over {
			removed++
		}
		return over
	})
	return removed, nil
}
