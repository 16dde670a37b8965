package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tmaxmax/go-sse"

	"github.com/latchkey-dev/latchkey"
)

// receiver takes messages of a webhook and proves them with the library of the
// specification.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	secret   string
	away     bool
	arrived  []string // users that the events were about, each time
	messages map[string]int
	wrong    []error
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{messages: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP takes one message.
func (r *receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(in.Body)
	if err == nil {
		var proof *standardwebhooks.Webhook
		if proof, err = standardwebhooks.NewWebhook(r.secret); err == nil {
			err = proof.Verify(body, in.Header)
		}
	}
	var m struct {
		Type string         `json:"type"`
		Data latchkey.Event `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		r.wrong = append(r.wrong, fmt.Errorf("%s: %w", body, err))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.messages[in.Header.Get("webhook-id")]++
	r.arrived = append(r.arrived, m.Data.User)
}

func (r *receiver) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *receiver) has(user string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.arrived, user)
}

// TestWebhooks: what happens arrives at a receiver, signed, also what happened while it
// was away and before the server was killed. Whoever follows the events sees the same.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	args := []string{"dev", "--addr", "127.0.0.1:0", "--data", w.path("data")}
	p := w.start(args...)
	manage := "/v1/projects/" + p.ready.Project
	const canary = "canary0123456789canary"
	w.keepWord(canary)
	r := newReceiver(t)
	var made latchkey.NewWebhook
	body := fmt.Sprintf(`{"url":"%s/hooks?key=%s","types":["session.created"]}`, r.URL, canary)
	p.ask(call{method: "POST", path: manage + "/webhooks", bearer: p.ready.ManagementKey, body: body}).must(t, &made)
	r.set(func() { r.secret = made.Secret })
	for part := range strings.FieldsFuncSeq(strings.TrimPrefix(made.Secret, "whsec_"), func(c rune) bool { return strings.ContainsRune("+/=", c) }) {
		if len(part) >= 16 {
			w.keepWord(part)
		}
	}
	followed := p.followEvents("?type=session.created")

	in := tenancy{ID: p.ready.Project, ManagementKey: p.ready.ManagementKey}
	first := p.signIn(in, "a@example.com").Session.User
	took := w.eventually("the first event arrives", func() bool { return r.has(first) })
	t.Logf("an event arrived after %v", took)
	select {
	case e := <-followed:
		var event latchkey.Event
		if err := json.Unmarshal([]byte(e.Data), &event); err != nil || event.User != first {
			t.Errorf("the follower was told %s: %v", e.Data, err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the follower wasn't told")
	}

	r.set(func() { r.away = true })
	second := p.signIn(in, "b@example.com").Session.User
	var list latchkey.WebhookDeliveryList
	path := manage + "/webhooks/" + made.Webhook.ID
	w.eventually("it is noted that the second one failed", func() bool {
		p.ask(call{method: "GET", path: path + "/deliveries", bearer: p.ready.ManagementKey}).must(t, &list)
		return len(list.Deliveries) == 1
	})
	if d := list.Deliveries[0]; d.Status != http.StatusServiceUnavailable || d.Event.User != second || d.State != "pending" {
		t.Errorf("noted: %+v", d)
	}
	third := p.signIn(in, "c@example.com").Session.User
	p.kill()
	p = w.start(args...)
	r.set(func() { r.away = false })
	w.eventually("what happened meanwhile arrives", func() bool { return r.has(second) && r.has(third) })
	r.set(func() {
		if len(r.wrong) > 0 {
			t.Error(r.wrong)
		}
	})
	p.stop()
}

// followEvents reads the events of the project from now until the test ends.
func (p *process) followEvents(query string) <-chan sse.Event {
	p.world.t.Helper()
	in, err := http.NewRequestWithContext(p.world.t.Context(), "GET", p.ready.URL+"/v1/projects/"+p.ready.Project+"/events"+query, nil)
	if err != nil {
		p.world.t.Fatal(err)
	}
	in.Header.Set("Accept", "text/event-stream")
	in.Header.Set("Authorization", "Bearer "+p.ready.ManagementKey)
	answer, err := http.DefaultClient.Do(in)
	if err != nil {
		p.world.t.Fatal(err)
	}
	p.world.t.Cleanup(func() { answer.Body.Close() })
	events := make(chan sse.Event, 100)
	go func() {
		defer close(events)
		for e, err := range sse.Read(answer.Body, nil) {
			if err != nil {
				return
			}
			if e.Type == "event" {
				events <- e
			}
		}
	}()
	return events
}
