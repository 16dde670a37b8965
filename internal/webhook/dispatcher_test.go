package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

const home = "https://hooks.example.com/home"

func ids(events ...audit.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.ID.String())
	}
	return out
}

// sameSet reports whether two lists hold the same, in any order.
func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// What happens is delivered within moments, to those that want it, once.
func TestDelivery(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.happen(w.project, audit.UserCreated) // before there was a webhook
		all, _ := w.create(home)
		few, _ := w.create("https://hooks.example.com/few", "user.*", "session.ended")
		off, _ := w.create("https://hooks.example.com/off")
		_, err := w.service.Change(t.Context(), w.project, off.ID, webhook.Change{Enabled: new(false)}, origin)
		must(t, err)
		other := w.newProject()
		defer w.start(nil)()
		pass(time.Second)
		before := len(w.arrived(all.URL)) // what the webhooks' own making has written
		var want, some []audit.Event
		for _, kind := range []audit.Type{audit.UserCreated, audit.KeyCreated, audit.SessionEnded, audit.SessionCreated} {
			e := w.happen(w.project, kind)
			want = append(want, e)
			if kind == audit.UserCreated || kind == audit.SessionEnded {
				some = append(some, e)
			}
			w.happen(other, kind)
		}
		pass(300 * time.Millisecond)
		if got := w.arrived(all.URL)[before:]; !sameSet(got, ids(want...)) {
			t.Errorf("arrived %v, want %v", got, ids(want...))
		}
		if got := w.arrived(few.URL); !sameSet(got, ids(some...)) {
			t.Errorf("arrived %v, want %v", got, ids(some...))
		}
		if got := w.arrived(off.URL); len(got) != 0 {
			t.Errorf("arrived %v at one that is disabled", got)
		}
		w.jump(time.Hour)
		if n := len(w.arrived(few.URL)); n != len(some) {
			t.Errorf("%d messages after an hour, want %d", n, len(some))
		}
		if h := w.hook(few); h.Pending != 0 || h.DeliveredAt.IsZero() || !h.FailingSince.IsZero() {
			t.Errorf("the webhook is %+v", h)
		}
	})
}

// A delivery that fails comes back as the schedule says, and is dead after the last time.
func TestSchedule(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		w.answer = func(webhook.Message, int) webhook.Outcome { return webhook.Outcome{Status: 503} }
		defer w.start(nil)()
		pass(time.Second)
		e := w.happen(w.project, audit.UserCreated)
		for _, gap := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 8 * time.Hour, 24 * time.Hour} {
			pass(time.Second)
			n := len(w.arrived(home))
			last := w.sent[n-1].At
			if early := gap - 10*time.Minute; early > 0 {
				w.jump(early)
				if more := len(w.arrived(home)); more != n {
					t.Fatalf("attempt %d came too early", more)
				}
			}
			for len(w.arrived(home)) == n && w.now().Sub(last) < 2*gap+2*time.Minute {
				pass(time.Second)
			}
			// A fifth for the jitter, up to a minute for who was left alone.
			if d := w.sent[len(w.sent)-1].At.Sub(last); len(w.sent) != n+1 || d < gap || d > gap+gap/5+time.Minute+2*time.Second {
				t.Fatalf("attempt %d came after %v, want %v", len(w.sent), d, gap)
			}
		}
		w.jump(72 * time.Hour)
		if n := len(w.arrived(home)); n != webhook.Attempts {
			t.Errorf("%d attempts in all", n)
		}
		dead := w.deliveries(h, webhook.Dead)
		if len(dead) != 1 || dead[0].Entry.ID != e.ID || dead[0].Attempts != 9 || dead[0].Status != 503 || len(w.deliveries(h, webhook.Pending)) != 0 {
			t.Fatalf("the dead are %+v", dead)
		}
		if w.metered["failed"] != 8 || w.metered["dead"] != 1 || w.metered["delivered"] != 0 {
			t.Errorf("counted %v", w.metered)
		}
		for _, m := range w.sent[1:] {
			if string(m.Body) != string(w.sent[0].Body) || m.ID != w.sent[0].ID {
				t.Error("a repetition differs")
			}
		}
		// Somebody asks for it again.
		w.answer = nil
		if _, err := w.service.Retry(t.Context(), w.project, h.ID, e.ID); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		if n := len(w.arrived(home)); n != 10 || len(w.deliveries(h, "")) != 0 {
			t.Errorf("%d attempts, left are %v", n, w.deliveries(h, ""))
		}
	})
}

// One event that always fails keeps no other one waiting.
func TestPoisonDoesNotBlock(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created", "key.created")
		bad := map[string]bool{}
		w.answer = func(m webhook.Message, _ int) webhook.Outcome {
			if bad[m.ID] {
				return webhook.Outcome{Status: 500}
			}
			return webhook.Outcome{Status: 204}
		}
		var good []string
		for i := range 40 {
			if e := w.happen(w.project, audit.UserCreated); i%10 == 0 {
				bad[e.ID.String()] = true
			} else {
				good = append(good, e.ID.String())
			}
		}
		defer w.start(nil)()
		pass(2 * time.Second)
		got := slices.DeleteFunc(w.arrived(home), func(m string) bool { return bad[m] })
		if !sameSet(got, good) {
			t.Errorf("%d of the others arrived, want %d", len(got), len(good))
		}
		if n := len(w.deliveries(h, webhook.Pending)); n != len(bad) {
			t.Errorf("%d wait, want %d", n, len(bad))
		}
		// Nor does it later, when it is tried again and again.
		late := w.happen(w.project, audit.KeyCreated)
		pass(time.Second)
		if got := w.arrived(home); !slices.Contains(got, late.ID.String()) {
			t.Error("what came later waits")
		}
	})
}

// A receiver that is away for hours gets everything when it is back.
func TestOutage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		away := true
		w.answer = func(webhook.Message, int) webhook.Outcome {
			if away {
				return webhook.Outcome{Error: "connection refused"}
			}
			return webhook.Outcome{Status: 200}
		}
		defer w.start(nil)()
		var want []audit.Event
		for range 300 {
			want = append(want, w.happen(w.project, audit.UserCreated))
			pass(10 * time.Second)
		}
		if h := w.hook(h); !h.Enabled || h.FailingSince.IsZero() || h.Pending == 0 {
			t.Errorf("the webhook is %+v", h)
		}
		away = false
		w.mu.Lock()
		tried := len(w.sent)
		w.sent = nil
		w.mu.Unlock()
		if most := 60 + 50*60/5; tried > most {
			t.Errorf("%d attempts while it was away, want at most %d", tried, most)
		}
		for range 40 {
			w.jump(time.Hour)
		}
		if got := w.arrived(home); !sameSet(got, ids(want...)) {
			t.Errorf("%d arrived, want %d, each once", len(got), len(want))
		}
	})
}

// Slow webhooks, however many, delay those that are quick by no more than a moment.
func TestSlowOnesDoNotStarveOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const slow = 40
		for i := range slow {
			w.create(fmt.Sprintf("https://hooks.example.com/slow/%d", i), "user.created")
		}
		quick, _ := w.create(home, "user.created")
		w.answer = func(m webhook.Message, _ int) webhook.Outcome {
			if m.URL == home {
				return webhook.Outcome{Status: 200}
			}
			return webhook.Outcome{Error: "timeout"}
		}
		w.hang = func(m webhook.Message) time.Duration {
			if m.URL == home {
				return 0
			}
			return 15 * time.Second
		}
		defer w.start(nil)()
		for range 10 {
			w.happen(w.project, audit.UserCreated)
		}
		pass(time.Minute) // by then it is known who is slow
		for range 50 {
			e := w.happen(w.project, audit.UserCreated)
			pass(2 * time.Second)
			if !slices.Contains(w.arrived(quick.URL), e.ID.String()) {
				t.Fatal("the quick one waits")
			}
		}
		total := 0
		w.mu.Lock()
		defer w.mu.Unlock()
		for address, most := range w.most {
			if most > 4 {
				t.Errorf("%d messages at the same time to %s", most, address)
			}
			total += w.under[address]
		}
		if total > 64 {
			t.Errorf("%d messages at the same time", total)
		}
	})
}

func TestGoneDisables(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		w.answer = func(webhook.Message, int) webhook.Outcome { return webhook.Outcome{Status: 410} }
		defer w.start(nil)()
		w.happen(w.project, audit.UserCreated)
		pass(time.Second)
		w.happen(w.project, audit.UserCreated)
		w.jump(time.Hour)
		if h := w.hook(h); h.Enabled || h.Why != webhook.Gone || len(w.arrived(home)) != 1 {
			t.Errorf("the webhook is %+v after %d attempts", h, len(w.arrived(home)))
		}
		events, err := w.store.Events().List(t.Context(), audit.Query{Project: w.project, Types: []audit.Type{audit.WebhookDisabled}, Limit: 9})
		if err != nil || len(events) != 1 || events[0].Data["reason"] != "gone" || events[0].Data["webhook"] != h.ID.String() || events[0].Actor != audit.System {
			t.Errorf("the events are %+v, %v", events, err)
		}
		// What happened meanwhile isn't delivered when it is enabled again; what waits is.
		w.answer = nil
		if _, err := w.service.Change(t.Context(), w.project, h.ID, webhook.Change{Enabled: new(true)}, origin); err != nil {
			t.Fatal(err)
		}
		e := w.happen(w.project, audit.UserCreated)
		pass(time.Minute)
		if got := w.arrived(home); len(got) != 3 || !slices.Contains(got[1:], e.ID.String()) || !slices.Contains(got[1:], got[0]) {
			t.Errorf("arrived %v", got)
		}
	})
}

// Five days without a success, and not a day less, disable a webhook.
func TestFailingDisables(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		w.answer = func(webhook.Message, int) webhook.Outcome { return webhook.Outcome{Status: 500} }
		defer w.start(nil)()
		pass(time.Second)
		for range 5*24*2 - 1 {
			w.happen(w.project, audit.UserCreated)
			w.jump(30 * time.Minute)
		}
		if !w.hook(h).Enabled {
			t.Fatal("it was disabled too early")
		}
		for range 3 {
			w.happen(w.project, audit.UserCreated)
			w.jump(30 * time.Minute)
		}
		if h := w.hook(h); h.Enabled || h.Why != webhook.Failing {
			t.Errorf("the webhook is %+v", h)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct{ wish, least, most time.Duration }{
		"none":     {0, 5 * time.Second, 8 * time.Second},
		"longer":   {time.Minute, time.Minute, time.Minute + 2*time.Second},
		"shorter":  {time.Second, 5 * time.Second, 8 * time.Second},
		"too long": {400 * time.Hour, 24 * time.Hour, 24*time.Hour + 5*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.create(home, "user.created")
				w.answer = func(_ webhook.Message, nth int) webhook.Outcome {
					if nth == 1 {
						return webhook.Outcome{Status: 429, RetryAfter: c.wish}
					}
					return webhook.Outcome{Status: 200}
				}
				defer w.start(nil)()
				w.happen(w.project, audit.UserCreated)
				pass(time.Second)
				if c.least > time.Hour {
					w.jump(c.least - 5*time.Second)
				}
				pass(2 * time.Minute)
				if len(w.sent) != 2 {
					t.Fatalf("%d attempts", len(w.sent))
				}
				if gap := w.sent[1].At.Sub(w.sent[0].At); gap < c.least || gap > c.most {
					t.Errorf("it came back after %v", gap)
				}
			})
		})
	}
}

// crashing is an outbox that dies before it records what was sent.
type crashing struct {
	webhook.Outbox
	dead bool
}

var errCrash = errors.New("crash")

func (c *crashing) Record(ctx context.Context, h webhook.Hook, place int64, results []webhook.Result) (webhook.Hook, error) {
	if len(results) > 0 {
		c.dead = true
	}
	if c.dead {
		return webhook.Hook{}, errCrash
	}
	return c.Outbox.Record(ctx, h, place, results)
}

// A crash between sending and recording repeats what was sent, and loses nothing.
func TestCrashRepeatsAndLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.create(home, "user.created")
		var want []audit.Event
		for range 7 {
			want = append(want, w.happen(w.project, audit.UserCreated))
		}
		stop := w.start(&crashing{Outbox: w.store.Outbox()})
		pass(time.Second / 2)
		stop()
		sent := len(w.arrived(home))
		if sent == 0 {
			t.Fatal("nothing was sent before the crash")
		}
		want = append(want, w.happen(w.project, audit.UserCreated))
		defer w.start(nil)()
		pass(time.Minute)
		got := w.arrived(home)[sent:]
		if !sameSet(got, ids(want...)) {
			t.Errorf("%d arrived after the crash, want all %d", len(got), len(want))
		}
	})
}

// What is on its way when the server stops is waited for, though not for long, and counts
// neither way when it isn't answered by then.
func TestStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		first := w.happen(w.project, audit.UserCreated)
		second := w.happen(w.project, audit.UserCreated)
		w.hang = func(m webhook.Message) time.Duration {
			if m.ID == first.ID.String() {
				return 2 * time.Second
			}
			return 15 * time.Second
		}
		stop := w.start(nil)
		pass(time.Second)
		began := time.Now()
		stop()
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("stopping took %v", d)
		}
		if got := w.arrived(home); !slices.Equal(got, ids(first)) {
			t.Errorf("arrived %v", got)
		}
		if got := w.hook(h); got.Pending != 0 || !got.FailingSince.IsZero() || got.DeliveredAt.IsZero() {
			t.Errorf("the webhook is %+v", got)
		}
		w.hang = nil
		defer w.start(nil)()
		pass(time.Second)
		if got := w.arrived(home); !slices.Equal(got, ids(first, second)) {
			t.Errorf("arrived %v", got)
		}
	})
}

// Two processes on one store: one delivers, the other one takes over when it stops, and
// soon when it dies.
func TestOneOfManyDelivers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.create(home, "user.created")
		stopOne := w.start(nil)
		pass(time.Second)
		stopTwo := w.start(nil)
		var want []audit.Event
		more := func(n int) {
			for range n {
				want = append(want, w.happen(w.project, audit.UserCreated))
				pass(100 * time.Millisecond)
			}
		}
		more(100)
		pass(time.Minute)
		more(10)
		stopOne()
		more(10)
		pass(2 * time.Second)
		if got := w.arrived(home); !sameSet(got, ids(want...)) {
			t.Errorf("%d arrived, want %d", len(got), len(want))
		}
		stopTwo()
		// One that died without a word.
		if ok, err := w.store.Outbox().Lease(t.Context(), "dead", 30*time.Second); !ok || err != nil {
			t.Fatal(ok, err)
		}
		defer w.start(nil)()
		more(1)
		pass(25 * time.Second)
		if n := len(w.arrived(home)); n != len(want)-1 {
			t.Errorf("%d arrived while another one has the lease", n)
		}
		pass(10 * time.Second)
		if got := w.arrived(home); !sameSet(got, ids(want...)) {
			t.Errorf("%d arrived in the end, want %d", len(got), len(want))
		}
	})
}

// The place is kept now and then also when nothing concerns a webhook, and a deleted one
// ends in peace.
func TestQuietAndDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "key.revoked")
		doomed, _ := w.create("https://hooks.example.com/doomed", "user.created")
		w.hang = func(webhook.Message) time.Duration { return time.Second }
		defer w.start(nil)()
		pass(time.Second)
		began := w.hook(h).Place
		for range 1500 {
			w.happen(w.project, audit.SessionCreated)
		}
		pass(time.Second)
		if moved := w.hook(h).Place - began; moved < 1000 {
			t.Errorf("the place was moved by %d", moved)
		}
		w.happen(w.project, audit.UserCreated)
		pass(500 * time.Millisecond)
		must(t, w.service.Delete(t.Context(), w.project, doomed.ID, origin))
		pass(time.Minute)
		if n := len(w.arrived(doomed.URL)); n != 1 {
			t.Errorf("%d messages to one that was deleted meanwhile", n)
		}
		if _, err := w.service.Find(t.Context(), w.project, doomed.ID); err == nil {
			t.Error("it is back")
		}
	})
}

// So many wait for a receiver that is away, and no more: the log holds the rest.
func TestPendingIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home, "user.created")
		w.answer = func(webhook.Message, int) webhook.Outcome { return webhook.Outcome{Status: 500} }
		var results []webhook.Result
		for range webhook.MaxPending {
			e := w.happen(w.project, audit.UserCreated)
			results = append(results, webhook.Result{Entry: audit.Entry{Event: e}, Attempts: 1, State: webhook.Pending, Delay: time.Hour})
		}
		entries, end, err := w.store.Events().After(t.Context(), w.project, h.Place, webhook.MaxPending)
		must(t, err)
		for i := range results {
			results[i].Entry = entries[i]
		}
		_, err = w.store.Outbox().Record(t.Context(), h, end, results)
		must(t, err)
		e := w.happen(w.project, audit.UserCreated)
		defer w.start(nil)()
		w.jump(50 * time.Minute)
		if n := len(w.arrived(home)); n != 0 {
			t.Errorf("%d messages although so many wait", n)
		}
		w.mu.Lock()
		w.answer = nil
		w.mu.Unlock()
		w.jump(time.Hour)
		if got := w.arrived(home); len(got) != webhook.MaxPending+1 || !slices.Contains(got, e.ID.String()) {
			t.Errorf("%d messages in the end", len(got))
		}
	})
}

func TestNewDispatcherNeedsItsDependencies(t *testing.T) {
	if _, err := webhook.NewDispatcher(webhook.DispatcherDeps{}); err == nil {
		t.Error("no error without dependencies")
	}
	if _, err := webhook.New(webhook.Deps{}); err == nil {
		t.Error("no error without dependencies")
	}
	if _, err := audit.NewWatch(nil, nil); err == nil {
		t.Error("no error without dependencies")
	}
}
