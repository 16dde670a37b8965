package webhook_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

var origin = audit.Origin{Actor: audit.CLI}

// world is a project with webhooks, whose receivers are functions. Inside a bubble of
// synctest its clock is the bubble's.
type world struct {
	t       testing.TB
	store   *memory.Store
	master  *secret.Ring
	service *webhook.Service
	project id.Project

	ahead atomic.Int64 // by how much the clock is ahead of the bubble's

	mu      sync.Mutex
	answer  func(m webhook.Message, nth int) webhook.Outcome // nth attempt for this event, from 1
	hang    func(m webhook.Message) time.Duration
	sent    []webhook.Message
	under   map[string]int // messages on their way, by address
	most    map[string]int
	tries   map[string]int
	metered map[string]int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	master, err := secret.ParseRing(secret.New(strings.Repeat("1b", 32)))
	must(t, err)
	w := &world{
		t: t, master: master, under: map[string]int{}, most: map[string]int{}, tries: map[string]int{}, metered: map[string]int{},
	}
	w.store = memory.Open(w.now)
	w.service, err = webhook.New(webhook.Deps{Store: w.store.Webhooks(), Master: master, Sender: w, Now: w.now})
	must(t, err)
	w.project = w.newProject()
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) newProject() id.Project {
	w.t.Helper()
	now := w.now()
	p := directory.Project{ID: id.NewProject(now), Name: "acme", Settings: policy.Defaults(), Version: 1, CreatedAt: now}
	must(w.t, w.store.Projects().Insert(context.Background(), p, audit.New(p.ID, now, audit.ProjectCreated, origin)))
	return p.ID
}

// happen writes an event of a project.
func (w *world) happen(p id.Project, kind audit.Type) audit.Event {
	w.t.Helper()
	now := w.now()
	u := id.NewUser(now)
	e := audit.New(p, now, kind, origin)
	must(w.t, w.store.Users().Insert(context.Background(), directory.User{ID: u, Project: p, LoginIDs: []string{u.String()}, Status: directory.Enabled}, e))
	return e
}

func (w *world) create(address string, types ...string) (webhook.Hook, secret.Text) {
	w.t.Helper()
	return w.createIn(w.project, address, types...)
}

func (w *world) createIn(p id.Project, address string, types ...string) (webhook.Hook, secret.Text) {
	w.t.Helper()
	h, text, err := w.service.Create(context.Background(), p, webhook.Change{URL: &address, Types: &types}, origin)
	must(w.t, err)
	return h, text
}

// Send notes a message and answers as the test wants; 200 otherwise.
func (w *world) Send(ctx context.Context, m webhook.Message) webhook.Outcome {
	w.mu.Lock()
	w.under[m.URL]++
	w.most[m.URL] = max(w.most[m.URL], w.under[m.URL])
	hang := w.hang
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.under[m.URL]--
		w.mu.Unlock()
	}()
	if hang != nil {
		timer := time.NewTimer(hang(m))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return webhook.Outcome{Error: "cut off"}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, m)
	w.tries[m.URL+m.ID]++
	if w.answer == nil {
		return webhook.Outcome{Status: 200}
	}
	return w.answer(m, w.tries[m.URL+m.ID])
}

// WebhookSent counts.
func (w *world) WebhookSent(outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metered[outcome]++
}

// arrived returns the ids of the messages to an address, in the order of their sending.
func (w *world) arrived(address string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, m := range w.sent {
		if m.URL == address {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (w *world) hook(h webhook.Hook) webhook.Hook {
	w.t.Helper()
	found, err := w.service.Find(context.Background(), h.Project, h.ID)
	must(w.t, err)
	return found
}

func (w *world) deliveries(h webhook.Hook, state webhook.State) []webhook.Delivery {
	w.t.Helper()
	list, err := w.service.Deliveries(context.Background(), webhook.DeliveryQuery{Project: h.Project, Hook: h.ID, State: state, Limit: 10_000})
	must(w.t, err)
	return list
}

// start runs a dispatcher until stop is called, which returns when it has ended.
func (w *world) start(outbox webhook.Outbox) (stop func()) {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	watch, err := audit.NewWatch(w.store.Events(), log)
	must(w.t, err)
	if outbox == nil {
		outbox = w.store.Outbox()
	}
	d, err := webhook.NewDispatcher(webhook.DispatcherDeps{
		Store: w.store.Webhooks(), Outbox: outbox, Events: w.store.Events(), Watch: watch, Master: w.master, Sender: w, Meter: w, Now: w.now, Log: log,
	})
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { watch.Run(ctx) })
	running.Go(func() { d.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// jump lets a long time go by at once, and what was put off meanwhile be done.
func (w *world) jump(d time.Duration) {
	w.ahead.Add(int64(d - 2*time.Minute))
	pass(2 * time.Minute)
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	bubbletest.Run(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
