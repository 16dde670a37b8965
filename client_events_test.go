package latchkey

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// A follower gets over a break behind the last place that it heard of, and ends with a
// refusal for good.
func TestFollowEvents(t *testing.T) {
	var places, queries []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		places = append(places, r.Header.Get("Last-Event-ID"))
		queries = append(queries, r.URL.RawQuery+" "+r.Header.Get("Accept"))
		switch len(places) {
		case 3:
			w.WriteHeader(http.StatusBadGateway)
			return
		case 5:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"type":"/docs/errors/forbidden","title":"x","status":403,"code":"forbidden"}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		n := len(places)
		fmt.Fprintf(w, "event: live\nid: %d.live\ndata: {}\n\nevent: event\nid: %d.event\ndata: {\"id\":\"evt_%d\",\"type\":\"user.created\"}\n\n", n, n, n)
		if n == 4 {
			fmt.Fprintf(w, "event: live\nid: %d.last\ndata: {}\n\n", n)
		}
	}))
	defer s.Close()
	c, err := NewClient(ClientConfig{Issuer: s.URL + "/prj_01kkaj7v9w7q5c0v8m3nf2s4hd", Key: "lk_mgmt_x"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var last error
	for e, err := range c.FollowEvents(t.Context(), EventFilter{Types: []string{"user.*"}}, "0.begin") {
		if last = err; err == nil {
			got = append(got, e.ID+" "+e.Cursor)
		}
	}
	if want := []string{"evt_1 1.event", "evt_2 2.event", "evt_4 4.event"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if CodeOf(last) != CodeForbidden {
		t.Errorf("it ends with %v", last)
	}
	if want := []string{"0.begin", "1.event", "2.event", "2.event", "4.last"}; !slices.Equal(places, want) {
		t.Errorf("asked behind %q, want %q", places, want)
	}
	if queries[0] != "type=user.%2A text/event-stream" {
		t.Errorf("asked for %q", queries[0])
	}
	// Who wants no more is let go.
	places = nil
	for range c.FollowEvents(t.Context(), EventFilter{}, "") {
		break
	}
	if len(places) != 1 {
		t.Errorf("%d requests by a reader who wanted one event", len(places))
	}
	for _, err := range c.FollowEvents(t.Context(), EventFilter{User: "lk_mgmt_x"}, "") {
		last = err
	}
	if last == nil || len(places) != 1 {
		t.Errorf("a credential as filter: %v after %d requests", last, len(places))
	}
}
