package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const (
	roundEvery = time.Second // a pending delivery is late by so much at most

	// restAfter is how many times as long as a round took the next one waits, roundEvery at
	// most: where there are very many webhooks, or much waits for them, each event would
	// otherwise be a reason to look at all of them again.
	restAfter = 9

	// The process that has the lease delivers; another one takes over when it wasn't
	// renewed in time.
	leaseTime  = 15 * time.Second
	leaseRenew = 5 * time.Second

	// visitTime is how long a webhook is served before it is another one's turn.
	visitTime = time.Second

	batch      = 50 // events of one webhook between two records
	hookPage   = 200
	saveAfter  = 1000             // events that concern nobody, after which the place is kept all the same
	stopGrace  = 3 * time.Second  // what messages on their way are given when the server stops
	recordTime = 10 * time.Second // for what came of them to be kept

	// A webhook whose messages all fail is left alone for a while, which doubles.
	firstHold = 5 * time.Second
	maxHold   = time.Minute
)

// Meter is told what was sent, for metrics.
type Meter interface {
	// WebhookSent is told of each attempt: "delivered", "failed" when it will be
	// tried again, "dead" when it won't.
	WebhookSent(outcome string)
}

// DispatcherDeps is what a Dispatcher stands on.
type DispatcherDeps struct {
	Store  Store
	Outbox Outbox
	Events audit.Store
	Watch  *audit.Watch
	Master *secret.Ring
	Sender Sender
	Meter  Meter
	Now    func() time.Time // the store's clock
	Log    *slog.Logger
}

// Dispatcher delivers what happens to the webhooks of all projects. It has no goroutine
// but those of Run. Every server of a deployment may run one.
type Dispatcher struct {
	d      DispatcherDeps
	holder string

	mu    sync.Mutex
	hooks map[id.Webhook]*progress
}

// progress is what is known of a webhook besides what the store has.
type progress struct {
	busy     bool  // it is served, or waits for its turn
	place    int64 // at least that of the store: what follows up to here concerns it not
	slow     bool  // what was sent last took longer than patience
	failures int   // in a row
	until    time.Time
	seen     time.Time // when it was last among the active ones
}

// NewDispatcher returns a dispatcher that doesn't run yet. All members of d are needed.
func NewDispatcher(d DispatcherDeps) (*Dispatcher, error) {
	if d.Store == nil || d.Outbox == nil || d.Events == nil || d.Watch == nil || d.Master == nil || d.Sender == nil || d.Meter == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("webhook: a dependency of the dispatcher is missing")
	}
	return &Dispatcher{d: d, holder: rand.Text(), hooks: map[id.Webhook]*progress{}}, nil
}

// Run delivers until ctx ends, and returns when nothing is on its way any more.
func (d *Dispatcher) Run(ctx context.Context) {
	leave, err := d.d.Watch.Follow(id.Project{})
	if err != nil {
		d.d.Log.Error("webhooks can't be delivered", "error", err)
		return
	}
	defer leave()
	// What is on its way when the server stops may still arrive, and be recorded.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cut) })()
	var under sync.WaitGroup
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	r := &run{Dispatcher: d, sending: sending}
	r.places = newPlaces(func(s *stay) { under.Go(func() { r.serve(ctx, s) }) })
	for ctx.Err() == nil {
		grown, began := d.d.Watch.Grown(), time.Now()
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			d.d.Log.Error("webhooks couldn't be looked at; they will be again", "error", err)
			grown = nil // not before the next tick
		}
		rest := time.After(min(restAfter*time.Since(began), roundEvery))
		select {
		case <-ctx.Done():
		case <-grown:
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
		case <-rest:
		}
	}
	r.shut() // before the wait: nothing is begun any more
	under.Wait()
	r.release()
}

// run is what one call of Run knows.
type run struct {
	*Dispatcher
	sending context.Context
	places  *places
	leased  time.Time // when the lease was last given; zero: it isn't ours
}

// lease reports whether the work is ours.
func (r *run) lease(ctx context.Context) (bool, error) {
	now := time.Now()
	if !r.leased.IsZero() && now.Sub(r.leased) < leaseRenew {
		return true, nil
	}
	ours, err := r.d.Outbox.Lease(ctx, r.holder, leaseTime)
	switch {
	case err != nil && !r.leased.IsZero() && now.Sub(r.leased) < leaseTime-leaseRenew:
		return true, nil // there is time to ask again
	case err != nil || !ours:
		r.leased = time.Time{}
		r.shut()
		return false, err
	}
	r.leased = now
	r.places.reopen()
	return true, nil
}

// release lets another process go on at once.
func (r *run) release() {
	if r.leased.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.sending), recordTime)
	defer cancel()
	if _, err := r.d.Outbox.Lease(ctx, r.holder, 0); err != nil {
		r.d.Log.Warn("the lease of the webhooks wasn't given back; it runs out by itself", "error", err)
	}
}

// shut begins nothing more, and drops what is known: another process has it from now on.
func (r *run) shut() {
	waited := r.places.close()
	d := r.Dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range waited {
		delete(d.hooks, w)
	}
	for w, p := range d.hooks {
		if !p.busy {
			delete(d.hooks, w)
		}
	}
}

// round lets each webhook that there is work for wait for its turn, unless it has it.
func (r *run) round(ctx context.Context) error {
	last, err := r.d.Events.Last(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	for after := (id.Webhook{}); ; {
		page, err := r.d.Outbox.Active(ctx, after, hookPage)
		if err != nil || len(page) == 0 {
			r.tidy(begun)
			return err
		}
		if ours, err := r.lease(ctx); err != nil || !ours {
			return err
		}
		for _, h := range page {
			if r.take(&h, last) {
				r.ask(h.Project, h.ID)
			}
			after = h.ID
		}
	}
}

// take reports whether there is something to do for a webhook, and nobody does it. Then
// it is the caller's, until it is put back.
func (d *Dispatcher) take(h *Hook, last int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, known := d.hooks[h.ID]
	if !known {
		p = &progress{}
		d.hooks[h.ID] = p
	}
	p.seen = time.Now()
	p.place = max(p.place, h.Place)
	due := h.Pending > 0 && !h.NextAt.After(d.d.Now())
	if p.busy || time.Now().Before(p.until) || !due && (p.place >= last || h.Pending >= MaxPending) {
		return false
	}
	p.busy = true
	return true
}

// ask lets a webhook that was taken wait for its turn.
func (r *run) ask(p id.Project, w id.Webhook) {
	at := quick
	if r.state(w).slow {
		at = slow
	}
	if !r.places.ask(p, w, at) {
		r.change(w, func(p *progress) { p.busy = false })
	}
}

// tidy forgets the webhooks that aren't active any more.
func (d *Dispatcher) tidy(begun time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w, p := range d.hooks {
		if !p.busy && p.seen.Before(begun) {
			delete(d.hooks, w)
		}
	}
}

// state returns a copy of what is known of a webhook.
func (d *Dispatcher) state(w id.Webhook) progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.hooks[w]; ok {
		return *p
	}
	return progress{}
}

// change changes what is known of a webhook.
func (d *Dispatcher) change(w id.Webhook, change func(*progress)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.hooks[w]; ok {
		change(p)
	}
}
