package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// task is an event to be sent, and how often it was tried before.
type task struct {
	entry    audit.Entry
	attempts int
}

// tried is what came of a task.
type tried struct {
	Result
	wish time.Duration // Retry-After
	cut  bool          // the server stopped before there was an answer: it doesn't count
}

// visit is what is done for a webhook at a time.
type visit struct {
	*run
	stay      *stay
	h         Hook
	until     time.Time
	delivered bool          // something was
	failed    bool          // something wasn't
	wish      time.Duration // the longest Retry-After
}

// serve does what is to be done for a webhook whose turn it is: what is due again and what
// is new, until there is nothing left, nothing arrives, or it is another one's turn.
func (r *run) serve(ctx context.Context, s *stay) {
	v := &visit{run: r, stay: s, until: time.Now().Add(visitTime)}
	more, err := v.all(ctx)
	s.leave()
	hold := v.hold()
	switch {
	case ctx.Err() != nil:
	case err != nil && fault.KindOf(err) != fault.NotFound:
		r.d.Log.Error("a webhook couldn't be served; it will be again", "webhook", s.hook, "error", err)
		hold = max(hold, roundEvery)
	case err == nil && more && hold == 0:
		r.ask(s.project, s.hook)
		return
	}
	r.change(s.hook, func(p *progress) { p.busy, p.until = false, time.Now().Add(hold) })
}

// all does it, and reports whether there is more.
func (v *visit) all(ctx context.Context) (more bool, err error) {
	// It may have waited, and isn't what it was then.
	if v.h, err = v.d.Store.Find(ctx, v.stay.project, v.stay.hook); err != nil || !v.h.Enabled {
		return false, err
	}
	if err := v.again(ctx); err != nil {
		return false, err
	}
	// What is new gets its share also when much is due again.
	for more = true; more && err == nil && ctx.Err() == nil && v.h.Enabled; {
		if more, err = v.along(ctx); v.over() {
			break
		}
	}
	return more && v.h.Enabled, err
}

// over reports whether it is another one's turn.
func (v *visit) over() bool { return !time.Now().Before(v.until) }

// hold returns how long to leave the webhook alone, and counts its failures.
func (v *visit) hold() time.Duration {
	var d time.Duration
	v.change(v.h.ID, func(p *progress) {
		switch {
		case v.delivered:
			p.failures = 0
		case v.failed:
			d = min(max(v.wish, firstHold<<min(p.failures, 10)), maxHold)
			p.failures++
		}
	})
	return d
}

// again sends what is due again.
func (v *visit) again(ctx context.Context) error {
	if v.h.Pending == 0 {
		return nil
	}
	due, err := v.d.Outbox.Due(ctx, v.h, batch)
	if err != nil || len(due) == 0 {
		return err
	}
	var tasks []task
	for _, d := range due {
		tasks = append(tasks, task{d.Entry, d.Attempts})
	}
	done, _ := v.deliver(ctx, tasks)
	return v.record(ctx, 0, done)
}

// along sends the next part of the log, and reports whether to go on with what follows.
func (v *visit) along(ctx context.Context) (more bool, err error) {
	if v.h.Pending >= MaxPending {
		return false, nil
	}
	wanted, err := audit.Match(v.h.Types...)
	if err != nil {
		return false, err
	}
	query := audit.Query{Project: v.h.Project, Types: wanted}
	from := max(v.state(v.h.ID).place, v.h.Place)
	list, reached, err := v.d.Events.After(ctx, v.h.Project, from, batch)
	if err != nil || reached == from {
		return false, err
	}
	var tasks []task
	for _, e := range list {
		if query.Selects(e.Event) {
			tasks = append(tasks, task{entry: e})
		}
	}
	if len(tasks) == 0 {
		return true, v.pass(ctx, reached)
	}
	done, more := v.deliver(ctx, tasks)
	// The place is moved to right before the first event that wasn't tried.
	for i := range tasks {
		if i >= len(done) || done[i].cut {
			reached = tasks[i].entry.Seq - 1
			break
		}
	}
	return more, v.record(ctx, reached, done)
}

// pass moves the place over what concerns the webhook not. It is kept now and then only:
// to look at it again costs less than to write with every event of a busy server.
func (v *visit) pass(ctx context.Context, reached int64) error {
	v.change(v.h.ID, func(p *progress) { p.place = reached })
	if reached-v.h.Place < saveAfter {
		return nil
	}
	return v.record(ctx, reached, nil)
}

// deliver sends the tasks in their order, some at a time, and returns what came of those
// that it got to. It doesn't go on when nothing arrives of what is sent at a time.
func (v *visit) deliver(ctx context.Context, tasks []task) (done []tried, goOn bool) {
	goOn = true
	for len(tasks) > 0 && goOn && ctx.Err() == nil {
		part := tasks[:v.stay.widen(min(v.width(), len(tasks)))]
		tasks = tasks[len(part):]
		results := v.part(part)
		v.stay.narrow(1)
		done, goOn = append(done, results...), v.judge(results)
		if v.over() {
			break
		}
	}
	return done, goOn
}

// width returns how many messages may be on their way.
func (v *visit) width() int {
	if v.state(v.h.ID).failures > 0 {
		return 1
	}
	return perHook
}

// part sends what there are places for.
func (v *visit) part(tasks []task) []tried {
	results := make([]tried, len(tasks))
	began := time.Now()
	late := time.AfterFunc(patience, v.stay.late)
	defer late.Stop()
	var under sync.WaitGroup
	for i, t := range tasks {
		under.Go(func() { results[i] = v.send(v.h, t) })
	}
	under.Wait()
	took := time.Since(began)
	v.change(v.h.ID, func(p *progress) { p.slow = took >= patience })
	return results
}

// judge takes note of what was sent at a time, and reports whether something has arrived.
func (v *visit) judge(results []tried) bool {
	arrived := false
	for _, t := range results {
		arrived = arrived || t.Delivered
		v.failed = v.failed || !t.Delivered
		v.wish = max(v.wish, t.wish)
	}
	v.delivered = v.delivered || arrived
	return arrived
}

// send makes one attempt.
func (r *run) send(h Hook, t task) tried {
	now := r.d.Now()
	out := tried{Result: Result{Entry: t.entry, Attempts: t.attempts + 1}}
	body, err := Body(t.entry.Event)
	var m Message
	if err == nil {
		m, err = signed(r.d.Master, h, t.entry.ID.String(), now, body)
	}
	if err != nil {
		// It is our fault, such as a master key that is missing: it counts as a failure so
		// that somebody sees it, and is tried again.
		r.d.Log.Error("a message to a webhook couldn't be made", "webhook", h.ID, "event", t.entry.ID, "error", err)
		out.Error = "The message couldn't be made; the server's log says why."
	} else {
		o := r.d.Sender.Send(r.sending, m)
		out.Delivered, out.Status, out.Error, out.wish = o.Delivered(), o.Status, o.Error, o.RetryAfter
		out.cut = !out.Delivered && o.Status == 0 && r.sending.Err() != nil
	}
	out.plan()
	if !out.cut {
		r.d.Meter.WebhookSent(out.word())
	}
	return out
}

// plan says when a failed attempt is followed by another one.
func (t *tried) plan() {
	if t.Delivered {
		return
	}
	again := false
	t.State = Dead
	if t.Delay, again = next(t.Attempts, t.wish); again {
		t.State = Pending
	}
}

func (t *tried) word() string {
	switch {
	case t.Delivered:
		return "delivered"
	case t.State == Dead:
		return "dead"
	}
	return "failed"
}

// record keeps what came of attempts. It isn't cut off when the server stops: what has
// arrived would be sent again.
func (v *visit) record(ctx context.Context, place int64, done []tried) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	var results []Result
	gone := false
	for _, t := range done {
		if !t.cut {
			results = append(results, t.Result)
			gone = gone || t.Status == statusGone
		}
	}
	changed, err := v.d.Outbox.Record(ctx, v.h, place, results)
	if err != nil {
		return err
	}
	v.h = changed
	v.change(v.h.ID, func(p *progress) { p.place = max(p.place, place) })
	switch now := v.d.Now(); {
	case gone:
		return v.disable(ctx, Gone)
	case !v.h.FailingSince.IsZero() && now.Sub(v.h.FailingSince) >= FailingTime:
		return v.disable(ctx, Failing)
	}
	return nil
}

// statusGone is the answer by which a receiver says that it doesn't want anything any
// more (410).
const statusGone = 410

// disable turns the webhook off.
func (v *visit) disable(ctx context.Context, why Why) error {
	changed, err := v.d.Store.Change(ctx, v.h.Project, v.h.ID, func(now Hook) (Hook, []audit.Event, error) {
		if !now.Enabled || now.URL != v.h.URL {
			return now, nil, nil // somebody else was faster, or it leads elsewhere now
		}
		now.Enabled, now.Why = false, why
		e := audit.New(now.Project, v.d.Now(), audit.WebhookDisabled, audit.Origin{Actor: audit.System}).
			With("webhook", now.ID.String()).With("reason", string(why))
		return now, []audit.Event{e}, nil
	})
	if err == nil {
		v.h = changed
		v.d.Log.Warn("a webhook was disabled", "webhook", changed.ID, "project", changed.Project, "reason", why)
	}
	return err
}
