package webhook_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

const slowly = "https://slow.example.com/"

// slow makes all receivers below slowly answer 200, just before the sender would give up.
func (w *world) slow() {
	w.hang = func(m webhook.Message) time.Duration {
		if strings.HasPrefix(m.URL, slowly) {
			return 14 * time.Second
		}
		return 20 * time.Millisecond
	}
}

// prompt writes events of the project one after another, and wants each to have arrived at
// home before the next one.
func (w *world) prompt(t *testing.T, events int, within time.Duration) {
	t.Helper()
	for i := range events {
		e := w.happen(w.project, audit.UserCreated)
		pass(within)
		if !slices.Contains(w.arrived(home), e.ID.String()) {
			t.Fatalf("event %d hasn't arrived at the quick one after %v", i, within)
		}
	}
}

func (w *world) atSlow() (under, sent int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for address, n := range w.under {
		if strings.HasPrefix(address, slowly) {
			under += n
		}
	}
	for _, m := range w.sent {
		if strings.HasPrefix(m.URL, slowly) {
			sent++
		}
	}
	return under, sent
}

// Receivers that answer just in time keep no other waiting, in whichever project they are,
// from the first message on, and get everything as well.
func TestSlowAnswersHoldUpNobody(t *testing.T) {
	for name, c := range map[string]struct{ projects, hooks, events int }{
		"of many projects":     {100, 1, 8},
		"of one other project": {1, 50, 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.slow()
				var projects []id.Project
				for p := range c.projects {
					projects = append(projects, w.newProject())
					for h := range c.hooks {
						w.createIn(projects[p], fmt.Sprintf("%s%d/%d", slowly, p, h), "user.created")
					}
				}
				w.create(home, "user.created")
				for range c.events {
					for _, p := range projects {
						w.happen(p, audit.UserCreated)
					}
				}
				defer w.start(nil)()
				// The first one comes behind those that weren't known to be slow.
				w.prompt(t, 1, 4*time.Second)
				w.prompt(t, 40, time.Second)
				if _, sent := w.atSlow(); sent < 64 {
					t.Errorf("%d messages arrived at the slow ones in a minute", sent)
				}
			})
		})
	}
}

// So is it within one project, for its own sake.
func TestSlowAnswersHoldUpNobodyOfTheirProject(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.slow()
		for h := range webhook.MaxPerProject - 1 {
			w.create(fmt.Sprintf("%s%d", slowly, h), "user.created")
		}
		w.create(home, "user.created")
		for range 20 {
			w.happen(w.project, audit.UserCreated)
		}
		defer w.start(nil)()
		w.prompt(t, 1, 4*time.Second)
		w.prompt(t, 40, time.Second)
	})
}

// Receivers that were quick and all turn slow at once hold up others for a moment only.
func TestTurningSlowHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var projects []id.Project
		for p := range 80 {
			projects = append(projects, w.newProject())
			w.createIn(projects[p], fmt.Sprintf("%s%d", slowly, p), "user.created")
		}
		w.create(home, "user.created")
		defer w.start(nil)()
		for range 5 {
			for _, p := range projects {
				w.happen(p, audit.UserCreated)
			}
			pass(time.Second)
		}
		if _, sent := w.atSlow(); sent != 5*80 {
			t.Fatalf("%d messages arrived while all were quick", sent)
		}
		w.mu.Lock()
		w.slow()
		w.mu.Unlock()
		for range 9 {
			for _, p := range projects {
				w.happen(p, audit.UserCreated)
			}
		}
		w.prompt(t, 1, 4*time.Second)
		w.prompt(t, 40, time.Second)
	})
}

// A thousand messages that are due at slow receivers come not before one of a quick one that
// is due later, and what is new at the slow ones isn't kept waiting by them for ever.
func TestMuchThatIsDueHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.slow()
		var slow []webhook.Hook
		for n := range 70 {
			p := w.newProject()
			h, _ := w.createIn(p, fmt.Sprintf("%s%d", slowly, n), "user.created")
			slow = append(slow, h)
			w.due(t, h, 9)
		}
		w.due(t, slow[0], webhook.MaxPending-100)
		quick, _ := w.create(home, "user.created", "key.created")
		w.due(t, quick, 1)
		fresh := w.happen(slow[0].Project, audit.UserCreated)
		defer w.start(nil)()
		pass(5 * time.Second)
		if n := len(w.arrived(home)); n != 1 {
			t.Errorf("%d messages arrived at the quick one, want the one that was due", n)
		}
		w.prompt(t, 30, time.Second)
		pass(2 * time.Minute)
		if !slices.Contains(w.arrived(slow[0].URL), fresh.ID.String()) {
			t.Error("what is new waits for all that was due before")
		}
	})
}

// Those who always have something to be sent take turns with others, although none of them
// is slow: they give places back after each message, and all of them after a while.
func TestBusyOnesTakeTurns(t *testing.T) {
	for name, c := range map[string]struct {
		busy   int
		within time.Duration
	}{
		"one place each":  {70, 3 * time.Second},
		"four of them":    {16, 1200 * time.Millisecond},
		"room for others": {8, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.hang = func(m webhook.Message) time.Duration {
					if strings.HasPrefix(m.URL, slowly) {
						return 900 * time.Millisecond
					}
					return 0
				}
				for n := range c.busy {
					p := w.newProject()
					w.createIn(p, fmt.Sprintf("%s%d", slowly, n), "user.created")
					for range 40 {
						w.happen(p, audit.UserCreated)
					}
				}
				w.create(home, "user.created")
				defer w.start(nil)()
				pass(time.Second / 3)
				w.prompt(t, 4, c.within)
			})
		})
	}
}

// A webhook is served as it is when its turn comes, not as it was when it began to wait.
func TestChangedWhileItWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.slow()
		var hooks []webhook.Hook
		for n := range webhook.MaxPerProject - 1 {
			h, _ := w.create(fmt.Sprintf("%s%d", slowly, n), "user.created")
			hooks = append(hooks, h)
		}
		defer w.start(nil)()
		w.happen(w.project, audit.UserCreated)
		pass(20 * time.Second) // now all are known to be slow
		for range 5 {
			w.happen(w.project, audit.UserCreated)
		}
		pass(time.Second)
		w.mu.Lock()
		hooks = slices.DeleteFunc(hooks, func(h webhook.Hook) bool { return w.under[h.URL] > 0 })
		w.mu.Unlock()
		if len(hooks) < 9 {
			t.Fatalf("%d wait", len(hooks))
		}
		w.due(t, hooks[0], 1)
		_, err := w.service.Change(t.Context(), w.project, hooks[0].ID, webhook.Change{Enabled: new(false)}, origin)
		must(t, err)
		must(t, w.service.Delete(t.Context(), w.project, hooks[1].ID, origin))
		_, err = w.service.Change(t.Context(), w.project, hooks[2].ID, webhook.Change{URL: new(home)}, origin)
		must(t, err)
		for _, enabled := range []bool{false, true} { // what happened meanwhile isn't sent
			_, err = w.service.Change(t.Context(), w.project, hooks[3].ID, webhook.Change{Enabled: &enabled}, origin)
			must(t, err)
		}
		pass(2 * time.Minute)
		for i, h := range hooks[:4] {
			if n := len(w.arrived(h.URL)); n != 1 {
				t.Errorf("%d messages at the address of webhook %d of before it changed", n, i)
			}
		}
		if n := len(w.arrived(home)); n != 6 {
			t.Errorf("%d messages at the new address", n)
		}
	})
}

// laborious is an outbox in which there are so many webhooks that looking at them takes a
// while.
type laborious struct {
	webhook.Outbox
	rounds int
}

func (l *laborious) Active(ctx context.Context, after id.Webhook, limit int) ([]webhook.Hook, error) {
	if after.IsZero() {
		l.rounds++
		time.Sleep(80 * time.Millisecond)
	}
	return l.Outbox.Active(ctx, after, limit)
}

// Where it takes long to look at all webhooks, that isn't done all the time, and what happens
// is delivered soon all the same.
func TestRoundsRest(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.create(home, "user.created")
		outbox := &laborious{Outbox: w.store.Outbox()}
		defer w.start(outbox)()
		const seconds = 20
		for range seconds * 20 {
			w.happen(w.project, audit.UserCreated)
			pass(50 * time.Millisecond)
		}
		if outbox.rounds > seconds*13/10 || outbox.rounds < seconds {
			t.Errorf("%d rounds in %d seconds", outbox.rounds, seconds)
		}
		w.prompt(t, 3, 1200*time.Millisecond)
	})
}

// due makes events whose delivery to a webhook has failed once and is due again now.
func (w *world) due(t *testing.T, h webhook.Hook, n int) {
	t.Helper()
	h = w.hook(h)
	for range n {
		w.happen(h.Project, audit.UserCreated)
	}
	entries, end, err := w.store.Events().After(t.Context(), h.Project, h.Place, n)
	must(t, err)
	var results []webhook.Result
	for _, e := range entries {
		results = append(results, webhook.Result{Entry: e, Attempts: 1, State: webhook.Pending})
	}
	_, err = w.store.Outbox().Record(t.Context(), h, end, results)
	must(t, err)
}

// The places have their bounds, however many want one: in all, of one project, and of one
// webhook.
func TestPlacesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.slow()
		for p := range 5 {
			project := w.newProject()
			for h := range webhook.MaxPerProject {
				w.createIn(project, fmt.Sprintf("%s%d/%d", slowly, p, h), "user.created")
			}
			for range 9 {
				w.happen(project, audit.UserCreated)
			}
		}
		defer w.start(nil)()
		most, ofProject := 0, map[string]int{}
		for range 100 {
			pass(200 * time.Millisecond)
			under, _ := w.atSlow()
			most = max(most, under)
			now := map[string]int{}
			w.mu.Lock()
			for address, n := range w.under {
				project, _, _ := strings.Cut(strings.TrimPrefix(address, slowly), "/")
				now[project] += n
			}
			for address, n := range w.most {
				if n > 4 {
					t.Fatalf("%d messages at the same time to %s", n, address)
				}
			}
			w.mu.Unlock()
			for project, n := range now {
				ofProject[project] = max(ofProject[project], n)
			}
		}
		if most > 256 || most < 64 {
			t.Errorf("%d messages at the same time", most)
		}
		for project, n := range ofProject {
			if n > 64 || n == 0 {
				t.Errorf("%d messages of project %s at the same time", n, project)
			}
		}
	})
}
