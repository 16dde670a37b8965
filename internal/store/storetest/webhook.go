package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

func webhookChecks() []check {
	return []check{
		{"come back as they went in", webhookInsert},
		{"are bounded for each project", webhookLimit},
		{"belong to their project", webhookOthers},
		{"are changed as a whole or not at all", webhookChange},
		{"start anew when they are enabled", webhookEnable},
		{"are listed page by page", webhookLists},
		{"keep what couldn't be delivered", webhookRecord},
		{"never go back", webhookPlace},
		{"fail from the first failure on", webhookFailing},
		{"try again what is due", webhookDue},
		{"try again what they are asked to", webhookRetry},
		{"forget deliveries with their events", webhookSweep},
		{"go with their project", webhookErased},
		{"are one process's work", webhookLease},
	}
}

func (w *world) hook() webhook.Hook {
	now := session.Instant(w.clock.Now())
	return webhook.Hook{
		ID: id.NewWebhook(now), Project: w.project.ID, URL: "https://hooks.example.com/a?key=b", Description: "billing", Types: []string{"user.*", "session.ended"},
		Enabled: true, Sealed: []byte("sealed"), CreatedAt: now, UpdatedAt: now,
	}
}

func (w *world) newHook(t testing.TB) webhook.Hook {
	t.Helper()
	h, err := w.Webhooks().Insert(w.ctx, w.hook(), 99, w.event(w.project.ID, audit.WebhookCreated))
	ok(t, err)
	return h
}

func (w *world) foundHook(t testing.TB, h webhook.Hook) webhook.Hook {
	t.Helper()
	found, err := w.Webhooks().Find(w.ctx, h.Project, h.ID)
	ok(t, err)
	return found
}

func webhookInsert(t *testing.T, w *world) {
	for _, change := range []func(*webhook.Hook){
		func(*webhook.Hook) {},
		func(h *webhook.Hook) { h.Enabled, h.Why, h.Types, h.Description = false, webhook.Gone, nil, "" },
		func(h *webhook.Hook) {
			h.Previous, h.PreviousUntil = []byte("previous"), session.Instant(w.clock.Now().Add(time.Hour))
		},
	} {
		in := w.hook()
		change(&in)
		e := w.event(w.project.ID, audit.WebhookCreated)
		got, err := w.Webhooks().Insert(w.ctx, in, 9, e)
		ok(t, err)
		last, err := w.Events().Last(w.ctx)
		ok(t, err)
		in.Place = last
		same(t, "the webhook", in, got)
		same(t, "the webhook that is found", in, w.foundHook(t, in))
		at, err := w.Events().At(w.ctx, last)
		ok(t, err)
		same(t, "the event right before its place", e, at.Event)
		_, err = w.Webhooks().Insert(w.ctx, in, 9, w.event(w.project.ID, audit.WebhookCreated))
		refused(t, err, fault.Conflict)
	}
}

func webhookLimit(t *testing.T, w *world) {
	for range 2 {
		_, err := w.Webhooks().Insert(w.ctx, w.hook(), 2, w.event(w.project.ID, audit.WebhookCreated))
		ok(t, err)
	}
	w.news(t)
	_, err := w.Webhooks().Insert(w.ctx, w.hook(), 2, w.event(w.project.ID, audit.WebhookCreated))
	refused(t, err, fault.Conflict)
	w.told(t)
	w.project = w.newProject(t)
	_, err = w.Webhooks().Insert(w.ctx, w.hook(), 2, w.event(w.project.ID, audit.WebhookCreated))
	ok(t, err)
}

func webhookOthers(t *testing.T, w *world) {
	h := w.newHook(t)
	w.news(t)
	e := w.event(w.project.ID, audit.WebhookDeleted)
	for _, p := range []id.Project{w.newProject(t).ID, id.NewProject(w.clock.Now())} {
		_, err := w.Webhooks().Find(w.ctx, p, h.ID)
		refused(t, err, fault.NotFound)
		_, err = w.Webhooks().Change(w.ctx, p, h.ID, func(h webhook.Hook) (webhook.Hook, []audit.Event, error) { return h, []audit.Event{e}, nil })
		refused(t, err, fault.NotFound)
		refused(t, w.Webhooks().Delete(w.ctx, p, h.ID, e), fault.NotFound)
		list, err := w.Webhooks().List(w.ctx, p, id.Webhook{}, 9)
		ok(t, err)
		same(t, "the number of webhooks", 0, len(list))
		stray := h
		stray.Project = p
		_, err = w.Outbox().Record(w.ctx, stray, 99, nil)
		refused(t, err, fault.NotFound)
		_, err = w.Webhooks().Retry(w.ctx, p, h.ID, e.ID)
		refused(t, err, fault.NotFound)
	}
	unknown := w.hook()
	unknown.Project = id.NewProject(w.clock.Now())
	_, err := w.Webhooks().Insert(w.ctx, unknown, 9, e)
	refused(t, err, fault.NotFound)
	w.told(t)
	ok(t, w.Webhooks().Delete(w.ctx, h.Project, h.ID, e))
	refused(t, w.Webhooks().Delete(w.ctx, h.Project, h.ID, e), fault.NotFound)
	w.told(t, e)
}

func webhookChange(t *testing.T, w *world) {
	h := w.newHook(t)
	w.news(t)
	w.clock.Move(time.Minute)
	e := w.event(w.project.ID, audit.WebhookUpdated)
	changed, err := w.Webhooks().Change(w.ctx, h.Project, h.ID, func(given webhook.Hook) (webhook.Hook, []audit.Event, error) {
		same(t, "what is to be changed", h, given)
		given.Types[0] = "spoilt" // it is the caller's own
		given.URL, given.Description, given.Types, given.Enabled, given.Why = "https://other.example.com", "", []string{"user.created"}, false, webhook.Failing
		given.Previous, given.Sealed, given.PreviousUntil = given.Sealed, []byte("new"), session.Instant(w.clock.Now().Add(time.Hour))
		given.Place, given.DeliveredAt, given.Pending, given.NextAt = 1<<40, w.clock.Now(), 7, w.clock.Now() // not the caller's to change
		return given, []audit.Event{e}, nil
	})
	ok(t, err)
	want := h
	want.URL, want.Description, want.Types, want.Enabled, want.Why = "https://other.example.com", "", []string{"user.created"}, false, webhook.Failing
	want.Previous, want.Sealed, want.PreviousUntil = h.Sealed, []byte("new"), session.Instant(w.clock.Now().Add(time.Hour))
	want.UpdatedAt = session.Instant(w.clock.Now())
	same(t, "the changed webhook", want, changed)
	same(t, "the webhook that is found", want, w.foundHook(t, h))
	w.told(t, e)
	no := errors.New("no")
	_, err = w.Webhooks().Change(w.ctx, h.Project, h.ID, func(h webhook.Hook) (webhook.Hook, []audit.Event, error) {
		h.URL = "https://lost.example.com"
		return h, []audit.Event{e}, no
	})
	if !errors.Is(err, no) {
		t.Fatalf("error %v, want that of the function", err)
	}
	_, err = w.Webhooks().Change(w.ctx, h.Project, h.ID, func(h webhook.Hook) (webhook.Hook, []audit.Event, error) { return h, nil, nil })
	ok(t, err)
	same(t, "the webhook that stays", want, w.foundHook(t, h))
	w.told(t)
}

// set enables or disables a webhook.
func (w *world) set(t testing.TB, h webhook.Hook, enabled bool) webhook.Hook {
	t.Helper()
	changed, err := w.Webhooks().Change(w.ctx, h.Project, h.ID, func(h webhook.Hook) (webhook.Hook, []audit.Event, error) {
		if h.Enabled = enabled; !enabled {
			h.Why = webhook.Failing
		}
		return h, []audit.Event{w.event(h.Project, audit.WebhookUpdated)}, nil
	})
	ok(t, err)
	return changed
}

func webhookEnable(t *testing.T, w *world) {
	h := w.newHook(t)
	_, err := w.Outbox().Record(w.ctx, h, 0, []webhook.Result{w.failure(t, h)})
	ok(t, err)
	off := w.set(t, h, false)
	same(t, "why it is disabled", webhook.Failing, off.Why)
	same(t, "its place", h.Place, off.Place)
	w.write(t, w.event(w.project.ID, audit.SettingsChanged))
	on := w.set(t, off, true)
	last, err := w.Events().Last(w.ctx)
	ok(t, err)
	same(t, "its place when it is enabled again", last, on.Place)
	same(t, "that it isn't failing", true, on.Why == "" && on.FailingSince.IsZero())
	w.write(t, w.event(w.project.ID, audit.SettingsChanged))
	same(t, "its place when it stays enabled", last, w.set(t, on, true).Place)
}

func webhookLists(t *testing.T, w *world) {
	mine := w.project
	w.project = w.newProject(t)
	other := w.newHook(t)
	w.project = mine
	var all []webhook.Hook
	for range 5 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newHook(t))
	}
	all[2] = w.set(t, all[2], false)
	for _, limit := range []int{1, 2, 9} {
		var got []webhook.Hook
		for after := (id.Webhook{}); ; {
			page, err := w.Webhooks().List(w.ctx, mine.ID, after, limit)
			ok(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = page[len(page)-1].ID
		}
		same(t, "the webhooks", all, got)
	}
	active, err := w.Outbox().Active(w.ctx, id.Webhook{}, 9)
	ok(t, err)
	same(t, "the active webhooks", []webhook.Hook{other, all[0], all[1], all[3], all[4]}, active)
	rest, err := w.Outbox().Active(w.ctx, all[0].ID, 2)
	ok(t, err)
	same(t, "the next active webhooks", []webhook.Hook{all[1], all[3]}, rest)
}

// failure is a failed first attempt to deliver a new event.
func (w *world) failure(t testing.TB, h webhook.Hook) webhook.Result {
	t.Helper()
	e := w.event(h.Project, audit.SettingsChanged)
	version, err := w.Projects().Version(w.ctx, h.Project)
	ok(t, err)
	ok(t, w.Projects().ChangeSettings(w.ctx, h.Project, version, w.project.Settings, e))
	last, err := w.Events().Last(w.ctx)
	ok(t, err)
	entry, err := w.Events().At(w.ctx, last)
	ok(t, err)
	return webhook.Result{Entry: entry, Attempts: 1, State: webhook.Pending, Delay: 5 * time.Second, Status: 500, Error: "It failed."}
}

// waiting is what a result leaves behind when it is recorded now.
func (w *world) waiting(h webhook.Hook, r webhook.Result) webhook.Delivery {
	now := session.Instant(w.clock.Now())
	d := webhook.Delivery{Hook: h.ID, Entry: r.Entry, State: r.State, Attempts: r.Attempts, LastAt: now, Status: r.Status, Error: r.Error}
	if r.State == webhook.Pending {
		d.NextAt = now.Add(r.Delay)
	}
	return d
}

func (w *world) deliveries(t testing.TB, h webhook.Hook, state webhook.State, want ...webhook.Delivery) {
	t.Helper()
	list, err := w.Webhooks().Deliveries(w.ctx, webhook.DeliveryQuery{Project: h.Project, Hook: h.ID, State: state, Limit: 99})
	ok(t, err)
	same(t, "the deliveries", append([]webhook.Delivery{}, want...), append([]webhook.Delivery{}, list...))
}

func webhookRecord(t *testing.T, w *world) {
	h, other := w.newHook(t), w.newHook(t)
	late, dead, good := w.failure(t, h), w.failure(t, h), w.failure(t, h)
	dead.State, dead.Delay, dead.Attempts = webhook.Dead, 0, 9
	good.Delivered = true
	recorded, err := w.Outbox().Record(w.ctx, h, good.Entry.Seq, []webhook.Result{late, dead, good})
	ok(t, err)
	want := h
	want.Place, want.DeliveredAt, want.Pending, want.NextAt = good.Entry.Seq, session.Instant(w.clock.Now()), 1, session.Instant(w.clock.Now().Add(late.Delay))
	same(t, "the webhook", want, recorded)
	same(t, "the webhook that is found", want, w.foundHook(t, h))
	same(t, "another webhook", other, w.foundHook(t, other))
	first, last := w.waiting(h, late), w.waiting(h, dead)
	w.deliveries(t, h, "", first, last)
	w.deliveries(t, h, webhook.Pending, first)
	w.deliveries(t, h, webhook.Dead, last)
	w.deliveries(t, other, "")
	page, err := w.Webhooks().Deliveries(w.ctx, webhook.DeliveryQuery{Project: h.Project, Hook: h.ID, After: first.Entry.Seq, Limit: 1})
	ok(t, err)
	same(t, "the second page", []webhook.Delivery{last}, page)
	w.clock.Move(time.Minute)
	late.Attempts, late.Delay, late.Status, late.Error = 2, time.Hour, 0, "It wasn't there."
	_, err = w.Outbox().Record(w.ctx, h, 0, []webhook.Result{late})
	ok(t, err)
	w.deliveries(t, h, webhook.Pending, w.waiting(h, late))
	late.Delivered, dead.Delivered = true, true
	recorded, err = w.Outbox().Record(w.ctx, h, 0, []webhook.Result{late, dead})
	ok(t, err)
	same(t, "what waits", 0, recorded.Pending)
	w.deliveries(t, h, "")
	list, err := w.Webhooks().Deliveries(w.ctx, webhook.DeliveryQuery{Project: h.Project, Hook: id.NewWebhook(w.clock.Now()), Limit: 9})
	ok(t, err)
	same(t, "the deliveries of an unknown webhook", 0, len(list))
}

// Whoever was slow must not send everything again.
func webhookPlace(t *testing.T, w *world) {
	h := w.newHook(t)
	for _, c := range []struct{ place, want int64 }{{h.Place + 9, h.Place + 9}, {h.Place + 3, h.Place + 9}, {0, h.Place + 9}, {h.Place + 10, h.Place + 10}} {
		recorded, err := w.Outbox().Record(w.ctx, h, c.place, nil)
		ok(t, err)
		same(t, "the place", c.want, recorded.Place)
		same(t, "that nothing was delivered", true, recorded.DeliveredAt.IsZero() && recorded.FailingSince.IsZero())
	}
}

func webhookFailing(t *testing.T, w *world) {
	h := w.newHook(t)
	bad, good := w.failure(t, h), w.failure(t, h)
	good.Delivered = true
	var since time.Time
	for i, c := range []struct {
		results []webhook.Result
		failing bool
	}{{nil, false}, {[]webhook.Result{bad}, true}, {[]webhook.Result{bad, bad}, true}, {nil, true}, {[]webhook.Result{bad, good}, false}, {[]webhook.Result{bad}, true}, {[]webhook.Result{good}, false}} {
		w.clock.Move(time.Minute)
		recorded, err := w.Outbox().Record(w.ctx, h, 0, c.results)
		ok(t, err)
		switch {
		case !c.failing:
			since = time.Time{}
		case since.IsZero():
			since = session.Instant(w.clock.Now())
		}
		if !recorded.FailingSince.Equal(since) {
			t.Fatalf("step %d: failing since %v, want %v", i, recorded.FailingSince, since)
		}
	}
}

func webhookDue(t *testing.T, w *world) {
	h := w.newHook(t)
	soon, later, dead := w.failure(t, h), w.failure(t, h), w.failure(t, h)
	soon.Delay, later.Delay = time.Hour, time.Minute
	dead.State = webhook.Dead
	_, err := w.Outbox().Record(w.ctx, h, 0, []webhook.Result{soon, later, dead})
	ok(t, err)
	early, late := w.waiting(h, later), w.waiting(h, soon)
	for _, c := range []struct {
		move  time.Duration
		limit int
		want  []webhook.Delivery
	}{
		{0, 9, nil}, {time.Minute - time.Millisecond, 9, nil}, {time.Millisecond, 9, []webhook.Delivery{early}},
		{time.Hour, 1, []webhook.Delivery{early}}, {0, 9, []webhook.Delivery{early, late}},
	} {
		w.clock.Move(c.move)
		due, err := w.Outbox().Due(w.ctx, h, c.limit)
		ok(t, err)
		same(t, "what is due", append([]webhook.Delivery{}, c.want...), append([]webhook.Delivery{}, due...))
	}
}

func webhookRetry(t *testing.T, w *world) {
	h := w.newHook(t)
	dead, pending := w.failure(t, h), w.failure(t, h)
	dead.State, dead.Attempts = webhook.Dead, 9
	pending.Delay = time.Hour
	_, err := w.Outbox().Record(w.ctx, h, 0, []webhook.Result{dead, pending})
	ok(t, err)
	w.clock.Move(time.Second)
	var want []webhook.Delivery
	for _, r := range []webhook.Result{dead, pending} {
		got, err := w.Webhooks().Retry(w.ctx, h.Project, h.ID, r.Entry.ID)
		ok(t, err)
		w.clock.Move(-time.Second)
		d := w.waiting(h, r)
		w.clock.Move(time.Second)
		d.State, d.Attempts, d.NextAt = webhook.Pending, 0, session.Instant(w.clock.Now())
		same(t, "the delivery", d, got)
		want = append(want, d)
	}
	due, err := w.Outbox().Due(w.ctx, h, 9)
	ok(t, err)
	same(t, "what is due", want, due)
	delivered := w.failure(t, h)
	for _, event := range []id.Event{id.NewEvent(w.clock.Now()), delivered.Entry.ID} {
		_, err = w.Webhooks().Retry(w.ctx, h.Project, h.ID, event)
		refused(t, err, fault.NotFound)
	}
}

func webhookSweep(t *testing.T, w *world) {
	h := w.newHook(t)
	var results []webhook.Result
	for range 5 {
		w.clock.Move(time.Hour)
		results = append(results, w.failure(t, h))
	}
	_, err := w.Outbox().Record(w.ctx, h, 0, results)
	ok(t, err)
	cutoff := results[3].Entry.At
	_, err = w.Events().Sweep(w.ctx, cutoff, 99)
	ok(t, err)
	w.deliveries(t, h, "", w.waiting(h, results[3]), w.waiting(h, results[4]))
	w.clock.Move(time.Hour)
	due, err := w.Outbox().Due(w.ctx, h, 9)
	ok(t, err)
	same(t, "the number of those that are due", 2, len(due))
	for _, want := range []int{2, 1, 0} {
		n, err := w.Outbox().Sweep(w.ctx, cutoff, 2)
		ok(t, err)
		same(t, "the number of removed deliveries", want, n)
	}
	same(t, "what waits", 2, w.foundHook(t, h).Pending)
}

func webhookErased(t *testing.T, w *world) {
	mine := w.project
	w.project = w.newProject(t)
	other := w.newHook(t)
	lost := w.failure(t, other)
	_, err := w.Outbox().Record(w.ctx, other, 0, []webhook.Result{lost})
	ok(t, err)
	w.project = mine
	h := w.newHook(t)
	_, err = w.Outbox().Record(w.ctx, h, 0, []webhook.Result{w.failure(t, h), w.failure(t, h)})
	ok(t, err)
	w.become(t, directory.Deleted)
	last, err := w.Events().Last(w.ctx)
	ok(t, err)
	w.clock.Move(100 * 24 * time.Hour)
	_, err = w.Revocations().Sweep(w.ctx, w.clock.Now(), 99)
	ok(t, err)
	for range 99 {
		n, err := w.Lives().Erase(w.ctx, 1)
		ok(t, err)
		if n == 0 {
			break
		}
	}
	_, err = w.Webhooks().Find(w.ctx, mine.ID, h.ID)
	refused(t, err, fault.NotFound)
	active, err := w.Outbox().Active(w.ctx, id.Webhook{}, 9)
	ok(t, err)
	same(t, "the webhooks that are left", []webhook.Hook{w.foundHook(t, other)}, active)
	n, err := w.Outbox().Sweep(w.ctx, w.clock.Now(), 9)
	ok(t, err)
	same(t, "the number of deliveries that were left", 1, n)
	// The newest events were the project's: their places aren't given again.
	w.project = w.newProject(t)
	entries, _ := w.follow(t, w.project.ID, last, 9)
	same(t, "the number of events behind them", 1, len(entries))
}

func webhookLease(t *testing.T, w *world) {
	const d = 30 * time.Second
	for i, c := range []struct {
		holder string
		d      time.Duration
		move   time.Duration
		want   bool
	}{
		{"a", d, 0, true}, {"b", d, 0, false}, {"a", d, 20 * time.Second, true}, {"b", d, 20 * time.Second, false},
		{"b", d, 10 * time.Second, true}, {"a", d, 0, false}, {"a", 0, 0, false}, {"a", d, 0, false}, {"b", 0, 0, false}, {"a", d, 0, true},
		// The clock was ahead when it was given.
		{"b", d, -time.Hour, true}, {"a", d, 0, false},
	} {
		w.clock.Move(c.move)
		got, err := w.Outbox().Lease(w.ctx, c.holder, c.d)
		ok(t, err)
		if got != c.want {
			t.Fatalf("step %d: %s has it: %v, want %v", i, c.holder, got, c.want)
		}
	}
}
