package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Workers are what runs beside the requests: removal of what is over, and the life
// cycle of signing keys. Every server of a deployment may run them.
type Workers struct {
	App        *App
	Log        *slog.Logger
	KeepEnded  time.Duration // how long a session stays visible after it was over
	KeepEvents time.Duration
	Metrics    *observe.Metrics

	passed revocation.Passed
}

const (
	round = time.Minute

	// sweepChunk bounds one call of removal, and sweepPause lets the refreshes that queued
	// behind it pass, so that removing millions locks nobody out. The store may do the
	// same in smaller steps.
	sweepChunk = 200
	sweepPause = 5 * time.Millisecond
)

// Run works until ctx ends: at once, then every minute.
func (w *Workers) Run(ctx context.Context) {
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		w.Round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round does everything that is due once. What fails is logged and tried again in the
// next round.
func (w *Workers) Round(ctx context.Context) {
	w.report(ctx, observe.Keys, w.tend(ctx))
	now := w.App.Now()
	passed := w.passed.By(now)
	w.report(ctx, observe.Sweep, errors.Join(
		w.sweep(ctx, observe.Sessions, func() (int, error) {
			return w.App.Store.Bulk().Sweep(ctx, now.Add(-w.KeepEnded), sweepChunk)
		}),
		w.sweep(ctx, observe.Events, func() (int, error) {
			return w.App.Store.Events().Sweep(ctx, now.Add(-w.KeepEvents), sweepChunk)
		}),
		w.sweep(ctx, observe.Deliveries, func() (int, error) {
			return w.App.Store.Outbox().Sweep(ctx, now.Add(-w.KeepEvents), sweepChunk)
		}),
		w.sweep(ctx, observe.Revocations, func() (int, error) {
			return w.App.Store.Revocations().Sweep(ctx, passed, sweepChunk)
		}),
		w.sweep(ctx, observe.Permissions, func() (int, error) { return w.App.Store.Permissions().Strip(ctx, sweepChunk) }),
		w.sweep(ctx, observe.Grants, func() (int, error) { return w.App.Store.Tenants().Sweep(ctx, sweepChunk) }),
		w.sweep(ctx, observe.Projects, func() (int, error) { return w.App.Store.Lives().Erase(ctx, sweepChunk) }),
	))
}

func (w *Workers) report(ctx context.Context, task observe.Task, err error) {
	if ctx.Err() != nil {
		return // stopped half way, which is no failure
	}
	w.Metrics.TaskRan(task, err, w.App.Now())
	if err != nil {
		w.Log.Error("a background task failed and will be tried again", "task", task, "error", err)
	}
}

func (w *Workers) tend(ctx context.Context) error {
	var failed []error
	err := w.App.EachProject(ctx, func(p directory.Project) error {
		if p.Status == directory.Deleted {
			return nil // its keys stay as they are, for what they have signed
		}
		// One project's trouble must not keep the others' keys from being replaced.
		if _, err := w.App.Keys.Tend(ctx, p.ID); err != nil {
			failed = append(failed, err)
		}
		return ctx.Err()
	})
	return errors.Join(append(failed, err)...)
}

func (w *Workers) sweep(ctx context.Context, kind observe.Kind, chunk func() (int, error)) error {
	total := 0
	defer func() {
		if total > 0 {
			w.Log.Info("removed what is over", "kind", kind, "count", total)
		}
	}()
	for {
		n, err := chunk()
		total += n
		w.Metrics.Swept(kind, n)
		if err != nil || n < sweepChunk {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepPause):
		}
	}
}
