package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// verify fails unless the reference implementation accepts the message.
func verify(t *testing.T, text string, m webhook.Message) error {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(text)
	must(t, err)
	return receiver.VerifyIgnoringTimestamp(m.Body, http.Header{
		"Webhook-Id": {m.ID}, "Webhook-Timestamp": {strconv.FormatInt(m.At.Unix(), 10)}, "Webhook-Signature": {m.Signature},
	})
}

// What is sent is what the specification says, judged by its own library.
func TestSignature(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, text := w.create(home, "user.created")
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text.Reveal(), "whsec_"))
		if err != nil || len(key) != 32 || !strings.HasPrefix(text.Reveal(), "whsec_") {
			t.Errorf("the secret has %d bytes: %v", len(key), err)
		}
		defer w.start(nil)()
		e := w.happen(w.project, audit.UserCreated)
		pass(time.Second)
		m := w.sent[0]
		if err := verify(t, text.Reveal(), m); err != nil || m.ID != e.ID.String() || time.Until(m.At).Abs() > time.Minute {
			t.Errorf("the message %+v: %v", m, err)
		}
		var body struct {
			Type      string          `json:"type"`
			Timestamp time.Time       `json:"timestamp"`
			Data      json.RawMessage `json:"data"`
		}
		var data latchkey.Event
		must(t, json.Unmarshal(m.Body, &body))
		must(t, json.Unmarshal(body.Data, &data))
		if body.Type != "user.created" || !body.Timestamp.Equal(e.At.Truncate(time.Millisecond)) || data.ID != m.ID || data.Type != body.Type {
			t.Errorf("the body is %s", m.Body)
		}
		for name, spoilt := range map[string]webhook.Message{
			"body": {ID: m.ID, At: m.At, Signature: m.Signature, Body: append([]byte(" "), m.Body...)},
			"time": {ID: m.ID, At: m.At.Add(time.Second), Signature: m.Signature, Body: m.Body},
			"id":   {ID: id.NewEvent(time.Now()).String(), At: m.At, Signature: m.Signature, Body: m.Body},
		} {
			if verify(t, text.Reveal(), spoilt) == nil {
				t.Errorf("another %s is accepted", name)
			}
		}
		if kept := w.hook(h); strings.Contains(fmt.Sprintf("%+v", kept), text.Reveal()) || strings.Contains(string(kept.Sealed), string(key)) {
			t.Error("the secret is kept in clear")
		}
	})
}

// A secret that was replaced signs as well for a day.
func TestRotate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, first := w.create(home)
		_, second, err := w.service.Rotate(t.Context(), w.project, h.ID, origin)
		must(t, err)
		for _, c := range []struct {
			wait      time.Duration
			old, both bool
		}{{0, true, true}, {24*time.Hour - time.Second, true, true}, {time.Second, false, false}} {
			w.ahead.Add(int64(c.wait))
			w.sent = nil
			_, err := w.service.Test(t.Context(), w.project, h.ID)
			must(t, err)
			if err := verify(t, second.Reveal(), w.sent[0]); err != nil {
				t.Errorf("the new secret: %v", err)
			}
			if err := verify(t, first.Reveal(), w.sent[0]); (err == nil) != c.old {
				t.Errorf("the old secret: %v", err)
			}
			if both := strings.Contains(w.sent[0].Signature, " "); both != c.both {
				t.Errorf("the signature is %s", w.sent[0].Signature)
			}
		}
	})
}

func TestTest(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, text := w.create(home)
		_, err := w.service.Change(t.Context(), w.project, h.ID, webhook.Change{Enabled: new(false)}, origin)
		must(t, err)
		w.answer = func(webhook.Message, int) webhook.Outcome { return webhook.Outcome{Status: 202} }
		got, err := w.service.Test(t.Context(), w.project, h.ID)
		if err != nil || got.Status != 202 || !got.Delivered() {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := verify(t, text.Reveal(), w.sent[0]); err != nil || !strings.HasPrefix(string(w.sent[0].Body), `{"type":"webhook.test","timestamp":`) {
			t.Errorf("%s: %v", w.sent[0].Body, err)
		}
		_, err = w.service.Test(t.Context(), w.project, id.NewWebhook(time.Now()))
		if fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		// Tests are bounded, since each holds on for as long as the receiver likes.
		w.hang = func(webhook.Message) time.Duration { return time.Minute }
		errs := make(chan error)
		for range 10 {
			go func() {
				_, err := w.service.Test(context.Background(), w.project, h.ID)
				errs <- err
			}()
		}
		refused := 0
		for range 10 {
			if fault.KindOf(<-errs) == fault.Unavailable {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("%d were refused, want 2", refused)
		}
		events, err := w.store.Events().List(t.Context(), audit.Query{Project: w.project, Types: []audit.Type{webhook.TestType}, Limit: 9})
		if err != nil || len(events) != 0 {
			t.Errorf("a test is in the log: %v, %v", events, err)
		}
	})
}

// Everything that is wrong is told at once, and nothing is kept of it.
func TestChangeTellsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home)
		many := make([]string, 51)
		for name, c := range map[string]struct {
			in   webhook.Change
			want []string
		}{
			"all": {webhook.Change{URL: new("http://10.0.0.1"), Description: new("a\nb"), Types: &[]string{"user.*", "login", "*", ""}},
				[]string{"/url", "/description", "/types/1", "/types/2", "/types/3"}},
			"too many types": {webhook.Change{Types: &many}, []string{"/types"}},
			"a long text":    {webhook.Change{Description: new(strings.Repeat("x", 201))}, []string{"/description"}},
		} {
			_, err := w.service.Change(t.Context(), w.project, h.ID, c.in, origin)
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Kind != fault.Invalid {
				t.Fatalf("%s: %v", name, err)
			}
			var got []string
			for _, f := range refusal.Fields {
				got = append(got, f.Pointer)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		if got := w.hook(h); !reflect.DeepEqual(got, h) {
			t.Errorf("it is %+v", got)
		}
	})
}

// Events tell what changed, and neither the address nor a secret.
func TestEventsOfWebhooks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, _ := w.create(home + "?key=canary")
		for _, c := range []webhook.Change{
			{URL: new("https://other.example.com/?key=canary"), Types: &[]string{"user.created"}}, {Enabled: new(true)}, {Description: new("x"), Enabled: new(false)},
		} {
			w.ahead.Add(int64(time.Second))
			_, err := w.service.Change(t.Context(), w.project, h.ID, c, origin)
			must(t, err)
		}
		w.ahead.Add(int64(time.Second))
		_, _, err := w.service.Rotate(t.Context(), w.project, h.ID, origin)
		must(t, err)
		w.ahead.Add(int64(time.Second))
		must(t, w.service.Delete(t.Context(), w.project, h.ID, origin))
		types, err := audit.Match("webhook.*")
		must(t, err)
		events, err := w.store.Events().List(t.Context(), audit.Query{Project: w.project, Types: types, Limit: 99})
		must(t, err)
		var got []string
		for _, e := range events {
			b, err := json.Marshal(e.Data)
			must(t, err)
			got = append(got, strings.ReplaceAll(string(e.Type)+string(b), h.ID.String(), "ID"))
		}
		want := []string{
			`webhook.deleted{"webhook":"ID"}`, `webhook.secret_rotated{"webhook":"ID"}`, `webhook.updated{"changed":["description","enabled"],"webhook":"ID"}`,
			`webhook.updated{"changed":["url","types"],"webhook":"ID"}`, `webhook.created{"webhook":"ID"}`,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the events are\n%q, want\n%q", got, want)
		}
	})
}

// When the master key is replaced, webhooks follow.
func TestReseal(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		h, first := w.create(home)
		_, second, err := w.service.Rotate(t.Context(), w.project, h.ID, origin)
		must(t, err)
		w.create(home)
		ring := func(keys string) *secret.Ring {
			r, err := secret.ParseRing(secret.New(keys))
			must(t, err)
			return r
		}
		service := func(master *secret.Ring) *webhook.Service {
			s, err := webhook.New(webhook.Deps{Store: w.store.Webhooks(), Master: master, Sender: w, Now: w.now})
			must(t, err)
			return s
		}
		old, fresh := strings.Repeat("1b", 32), strings.Repeat("2c", 32)
		for _, want := range []int{2, 0} {
			hooks, resealed, err := service(ring(fresh+"\n"+old)).Reseal(t.Context(), w.project, origin)
			if err != nil || hooks != 2 || resealed != want {
				t.Errorf("%d of %d were resealed, want %d: %v", resealed, hooks, want, err)
			}
		}
		_, err = service(ring(fresh)).Test(t.Context(), w.project, h.ID)
		must(t, err)
		for _, text := range []secret.Text{first, second} {
			if err := verify(t, text.Reveal(), w.sent[0]); err != nil {
				t.Error(err)
			}
		}
		if _, _, err := service(ring(strings.Repeat("3d", 32))).Reseal(t.Context(), w.project, origin); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("without the key that sealed: %v", err)
		}
		if _, err := service(ring(old)).Test(t.Context(), w.project, h.ID); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("with the old key: %v", err)
		}
	})
}
