package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// receiver answers every message of a webhook, as long as the address isn't one that fails.
type receiver struct{}

func (receiver) Send(_ context.Context, m webhook.Message) webhook.Outcome {
	if strings.Contains(m.URL, "quick") {
		return webhook.Outcome{Status: 204, Took: 300 * time.Microsecond}
	}
	if strings.Contains(m.URL, "fails") {
		return webhook.Outcome{Error: "The connection was refused.", Took: 1500 * time.Microsecond}
	}
	return webhook.Outcome{Status: 204, Took: 12 * time.Millisecond}
}

// hooks is what a site has of webhooks.
type hooks struct {
	id     id.Webhook
	missed id.Event // what couldn't be delivered
}

func (w *world) newHooks(t testing.TB, p id.Project) hooks {
	t.Helper()
	h, _, err := w.webhooks.Create(context.Background(), p, webhook.Change{URL: new("https://hooks.example.com/latchkey?key=value"), Types: &[]string{"user.*"}}, cli)
	must(t, err)
	return hooks{h.ID, w.miss(t, h)}
}

// miss lets the delivery of the newest event fail.
func (w *world) miss(t testing.TB, h webhook.Hook) id.Event {
	t.Helper()
	ctx := context.Background()
	last, err := w.store.Events().Last(ctx)
	must(t, err)
	entry, err := w.store.Events().At(ctx, last)
	must(t, err)
	_, err = w.store.Outbox().Record(ctx, h, 0, []webhook.Result{{
		Entry: entry, Attempts: 1, State: webhook.Pending, Delay: 5 * time.Second, Status: 503,
	}})
	must(t, err)
	return entry.ID
}

// A zero duration is spelt off, which would say of a quick receiver that it took no part.
func TestWebhookTestOfAQuickReceiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made latchkey.NewWebhook
	w.ok(t, w.manage("POST", "/webhooks", `{"url":"https://quick.example.com/"}`), &made)
	var test latchkey.WebhookTest
	a := w.ok(t, w.manage("POST", "/webhooks/"+made.Webhook.ID+"/test", ""), &test)
	if !test.Delivered || test.Took.Std() != time.Millisecond || !strings.Contains(string(a.body), `"took":"1ms"`) {
		t.Errorf("the test says %s", a.body)
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made latchkey.NewWebhook
	w.ok(t, w.manage("POST", "/webhooks", `{"url":"https://fails.example.com/"}`), &made)
	if !made.Webhook.Enabled || len(made.Webhook.Types) != 0 || !strings.HasPrefix(made.Secret, "whsec_") {
		t.Errorf("made %+v", made.Webhook)
	}
	path := "/webhooks/" + made.Webhook.ID
	var test latchkey.WebhookTest
	w.ok(t, w.manage("POST", path+"/test", ""), &test)
	if test.Delivered || test.Error != "The connection was refused." || test.Took.Std() != time.Millisecond {
		t.Errorf("the test says %+v", test)
	}
	var again latchkey.NewWebhook
	w.ok(t, w.manage("POST", path+"/rotate", ""), &again)
	if again.Secret == made.Secret || again.OldSecretEndsAt == nil || !again.OldSecretEndsAt.Equal(w.clock.Now().Add(24*time.Hour)) {
		t.Errorf("rotated: %+v", again.Webhook)
	}
	for _, c := range []call{w.manage("GET", path, ""), w.manage("GET", "/webhooks", ""), w.manage("GET", "/events", "")} {
		if a := w.ok(t, c, nil); strings.Contains(string(a.body), strings.TrimPrefix(again.Secret, "whsec_")) || strings.Contains(string(a.body), strings.TrimPrefix(made.Secret, "whsec_")) {
			t.Errorf("%s shows a secret", c.path)
		}
	}
	var changed latchkey.Webhook
	w.ok(t, w.manage("PATCH", path, `{"enabled":false,"types":["user.created"]}`), &changed)
	if changed.Enabled || len(changed.Types) != 1 || changed.DisabledReason != "" {
		t.Errorf("changed to %+v", changed)
	}
	w.ok(t, w.manage("DELETE", path, ""), nil)
	for _, c := range []call{
		w.manage("GET", path, ""), w.manage("DELETE", path, ""), w.manage("PATCH", path, `{"enabled":true}`), w.manage("POST", path+"/rotate", ""),
		w.manage("POST", path+"/test", ""), w.manage("GET", path+"/deliveries", ""), w.manage("GET", "/webhooks/nonsense", ""),
		w.manage("POST", "/webhooks/"+w.hooks.id.String()+"/deliveries/nonsense/retry", ""),
		w.manage("POST", "/webhooks/"+w.hooks.id.String()+"/deliveries/"+id.NewEvent(w.clock.Now()).String()+"/retry", ""),
	} {
		w.refused(t, c, latchkey.CodeNotFound)
	}
}

func TestWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, body := range []string{``, `{}`, `{"url":null}`, `{"url":5}`, `{"url":"https://hooks.example.com","secret":"x"}`, `{"url":"https://hooks.example.com","types":"user.*"}`} {
		w.refused(t, w.manage("POST", "/webhooks", body), latchkey.CodeInvalidRequest)
	}
	a := w.refused(t, w.manage("POST", "/webhooks", `{"url":"http://169.254.169.254/?canary","types":["user.created","login"],"description":"a\u0000"}`), latchkey.CodeInvalidRequest)
	golden(t, "problems/a-webhook-to-nowhere", a.body)
	if strings.Contains(string(a.body), "canary") {
		t.Error("the address is repeated")
	}
	for range webhook.MaxPerProject - 1 { // the site has one
		w.ok(t, w.manage("POST", "/webhooks", `{"url":"https://hooks.example.com"}`), nil)
	}
	w.refused(t, w.manage("POST", "/webhooks", `{"url":"https://hooks.example.com"}`), latchkey.CodeConflict)
}

// A project's webhooks are nothing to another one's keys.
func TestWebhooksOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another(t)
	path := "/webhooks/" + other.hooks.id.String()
	for _, c := range []call{
		w.manage("GET", path, ""), w.manage("DELETE", path, ""), w.manage("PATCH", path, `{"enabled":false}`), w.manage("POST", path+"/rotate", ""),
		w.manage("POST", path+"/test", ""), w.manage("GET", path+"/deliveries", ""), w.manage("POST", path+"/deliveries/"+other.hooks.missed.String()+"/retry", ""),
	} {
		w.refused(t, c, latchkey.CodeNotFound)
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/webhooks/" + w.hooks.id.String()
	var list latchkey.WebhookDeliveryList
	for query, want := range map[string]int{"": 1, "?state=pending": 1, "?state=dead": 0} {
		w.ok(t, w.manage("GET", path+"/deliveries"+query, ""), &list)
		if len(list.Deliveries) != want {
			t.Errorf("%q: %d deliveries, want %d", query, len(list.Deliveries), want)
		}
	}
	w.refused(t, w.manage("GET", path+"/deliveries?state=delivered", ""), latchkey.CodeInvalidRequest)
	w.clock.Move(time.Minute)
	var d latchkey.WebhookDelivery
	w.ok(t, w.manage("POST", path+"/deliveries/"+w.hooks.missed.String()+"/retry", ""), &d)
	if d.State != "pending" || d.Attempts != 0 || d.NextAttemptAt == nil || !d.NextAttemptAt.Equal(w.clock.Now()) || d.Event.ID != w.hooks.missed.String() {
		t.Errorf("tried again: %+v", d)
	}
}

// What is sent is what the list of events shows.
func TestBodyIsTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newUser(t, w.project, "bob@example.com")
	var log latchkey.EventList
	w.ok(t, w.manage("GET", "/events?type=user.created&user="+e.String(), ""), &log)
	events, err := w.store.Events().List(t.Context(), audit.Query{Project: w.project, User: e, Limit: 1})
	must(t, err)
	body, err := webhook.Body(events[0])
	must(t, err)
	shown, err := json.Marshal(log.Events[0])
	must(t, err)
	var sent struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	must(t, json.Unmarshal(body, &sent))
	if string(sent.Data) != string(shown) || sent.Type != "user.created" {
		t.Errorf("sent %s\nshown %s", sent.Data, shown)
	}
}

func exerciseWebhooks(t *testing.T, w *world, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateWebhook(ctx, latchkey.WebhookRequest{URL: new("https://hooks.example.com/"), Types: &[]string{"session.*"}})
	must(t, err)
	found, err := c.Webhook(ctx, made.Webhook.ID)
	must(t, err)
	if found.URL != "https://hooks.example.com/" || made.Secret == "" {
		t.Errorf("found %+v", found)
	}
	changed, err := c.ChangeWebhook(ctx, found.ID, latchkey.WebhookRequest{Description: new("billing")})
	must(t, err)
	rotated, err := c.RotateWebhook(ctx, found.ID)
	must(t, err)
	if changed.Description != "billing" || rotated.Secret == made.Secret {
		t.Errorf("changed %+v", changed)
	}
	if test, err := c.TestWebhook(ctx, found.ID); err != nil || !test.Delivered || test.Status != 204 {
		t.Errorf("tested %+v, %v", test, err)
	}
	if n := len(all(t, c.Webhooks(ctx))); n != 2 {
		t.Errorf("%d webhooks, want 2", n)
	}
	waiting := all(t, c.WebhookDeliveries(ctx, w.hooks.id.String(), latchkey.DeliveryFilter{State: "pending"}))
	if len(waiting) != 1 {
		t.Fatalf("%d deliveries, want 1", len(waiting))
	}
	if d, err := c.RetryWebhookDelivery(ctx, w.hooks.id.String(), waiting[0].Event.ID); err != nil || d.Attempts != 0 {
		t.Errorf("tried again: %+v, %v", d, err)
	}
	must(t, c.DeleteWebhook(ctx, found.ID))
	if _, err := c.Webhook(ctx, found.ID); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Error(errors.Join(errors.New("it is still there"), err))
	}
}

// tappedWebhooks is the store of webhooks with a tap.
type tappedWebhooks struct {
	webhook.Store
	*tap
}

func (s tappedWebhooks) Insert(ctx context.Context, h webhook.Hook, most int, e audit.Event) (webhook.Hook, error) {
	if err := s.call("webhooks.Insert"); err != nil {
		return webhook.Hook{}, err
	}
	return s.Store.Insert(ctx, h, most, e)
}

func (s tappedWebhooks) Find(ctx context.Context, p id.Project, w id.Webhook) (webhook.Hook, error) {
	if err := s.call("webhooks.Find"); err != nil {
		return webhook.Hook{}, err
	}
	return s.Store.Find(ctx, p, w)
}

func (s tappedWebhooks) List(ctx context.Context, p id.Project, after id.Webhook, limit int) ([]webhook.Hook, error) {
	if err := s.call("webhooks.List"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, p, after, limit)
}

func (s tappedWebhooks) Change(ctx context.Context, p id.Project, w id.Webhook, change func(webhook.Hook) (webhook.Hook, []audit.Event, error)) (webhook.Hook, error) {
	if err := s.call("webhooks.Change"); err != nil {
		return webhook.Hook{}, err
	}
	return s.Store.Change(ctx, p, w, change)
}

func (s tappedWebhooks) Delete(ctx context.Context, p id.Project, w id.Webhook, e audit.Event) error {
	if err := s.call("webhooks.Delete"); err != nil {
		return err
	}
	return s.Store.Delete(ctx, p, w, e)
}

func (s tappedWebhooks) Retry(ctx context.Context, p id.Project, w id.Webhook, e id.Event) (webhook.Delivery, error) {
	if err := s.call("webhooks.Retry"); err != nil {
		return webhook.Delivery{}, err
	}
	return s.Store.Retry(ctx, p, w, e)
}
