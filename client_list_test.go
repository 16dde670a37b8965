package latchkey

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// numbered is a list of n entries in pages of size.
func numbered(n, size int, fetched *int) func(PageRequest) ([]int, string, error) {
	return func(p PageRequest) ([]int, string, error) {
		*fetched++
		from := 0
		if p.Token != "" {
			if _, err := fmt.Sscan(p.Token, &from); err != nil {
				return nil, "", err
			}
		}
		var page []int
		for i := from; i < min(from+size, n); i++ {
			page = append(page, i)
		}
		next := ""
		if from+size < n {
			next = fmt.Sprint(from + size)
		}
		return page, next, nil
	}
}

func TestListsPageLazily(t *testing.T) {
	for _, test := range []struct{ n, size, take, entries, pages int }{
		{0, 3, 100, 0, 1}, {2, 3, 100, 2, 1}, {3, 3, 100, 3, 1}, {7, 3, 100, 7, 3},
		{7, 3, 1, 1, 1}, {7, 3, 3, 3, 1}, {7, 3, 4, 4, 2},
	} {
		var pages, entries int
		for i, err := range each(numbered(test.n, test.size, &pages)) {
			if err != nil || i != entries {
				t.Fatalf("%+v: got %d, %v", test, i, err)
			}
			if entries++; entries == test.take {
				break
			}
		}
		if entries != test.entries || pages != test.pages {
			t.Errorf("%+v: %d entries of %d pages", test, entries, pages)
		}
	}
}

func TestListsEnd(t *testing.T) {
	n := 0
	lists := map[string]func(PageRequest) ([]int, string, error){
		"same token":  func(PageRequest) ([]int, string, error) { return []int{1}, "again", nil },
		"empty pages": func(PageRequest) ([]int, string, error) { n++; return nil, fmt.Sprint(n), nil },
		"failure":     func(PageRequest) ([]int, string, error) { return []int{1}, "next", io.EOF },
	}
	for name, fetch := range lists {
		entries, failures := 0, 0
		for _, err := range each(fetch) {
			if err != nil {
				failures++
			} else if entries++; entries > 1000 {
				break
			}
		}
		if failures != 1 || entries > 2 {
			t.Errorf("%s: %d entries, %d errors", name, entries, failures)
		}
	}
}

func TestListGoesOnAfterAPassingFailure(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := play(
			answersJSON(SessionList{Sessions: []Session{{ID: "ses_2"}}, NextPageToken: "p2"}), fails(io.EOF),
			answersJSON(SessionList{Sessions: []Session{{ID: "ses_1"}}}),
		)
		var got []string
		for s, err := range testClient(t, testKey, server).Sessions(t.Context(), SessionFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s.ID)
		}
		if fmt.Sprint(got) != "[ses_2 ses_1]" || len(server.calls) != 3 {
			t.Errorf("got %v with %d calls", got, len(server.calls))
		}
	})
}

func TestListCanBeReadAgain(t *testing.T) {
	server := play(answersJSON(UserList{Users: []User{{ID: "usr_1"}}}))
	list := testClient(t, testKey, server).Users(t.Context(), UserFilter{})
	if len(server.calls) != 0 {
		t.Error("asked before anybody wanted an entry")
	}
	for range 2 {
		if err := drain(list); err != nil {
			t.Error(err)
		}
	}
	if len(server.calls) != 2 {
		t.Errorf("%d calls", len(server.calls))
	}
}

func TestFilterOfAnotherTypeIsRefused(t *testing.T) {
	if _, err := queryOf(PageRequest{}, struct {
		N int `query:"n"`
	}{1}); err == nil {
		t.Error("no error")
	}
}

func TestServerClock(t *testing.T) {
	local := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	server := local.Add(time.Hour)
	after := func(d time.Duration) time.Time { return local.Add(d) }
	var c serverClock
	if !c.at(local).Equal(local) {
		t.Error("knows something from the start")
	}
	c.learn(time.Time{}, local, local, 0)
	if !c.at(local).Equal(local) {
		t.Error("learned from nothing")
	}
	c.learn(server.Add(dateOff), local, after(100*time.Millisecond), dateOff)
	if got := c.at(after(50 * time.Millisecond)); !got.Equal(server.Add(dateOff)) {
		t.Errorf("got %v", got)
	}
	// Exact, so it replaces what a Date header said.
	c.learn(server.Add(time.Second), after(time.Second), after(time.Second), 0)
	if got := c.at(after(2 * time.Second)); !got.Equal(server.Add(2 * time.Second)) {
		t.Errorf("got %v", got)
	}
	// Worse, so it doesn't.
	c.learn(server.Add(time.Minute), after(3*time.Second), after(5*time.Second), dateOff)
	if got := c.at(after(2 * time.Second)); !got.Equal(server.Add(2 * time.Second)) {
		t.Errorf("got %v", got)
	}
	// After an hour the old estimate isn't better any more.
	c.learn(server.Add(time.Hour+time.Minute), after(time.Hour), after(time.Hour), dateOff)
	if got := c.at(after(time.Hour)); !got.Equal(server.Add(time.Hour + time.Minute)) {
		t.Errorf("got %v", got)
	}
	c.forget()
	c.learn(server, local, after(time.Minute), dateOff)
	if got := c.at(after(30 * time.Second)); !got.Equal(server) {
		t.Errorf("after forgetting: %v", got)
	}
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	c := testClient(t, testKey, roundTripper(func(r *http.Request) (*http.Response, error) {
		return answersJSON(TokenSet{Session: Session{ID: "ses_1"}, ServerTime: time.Now()})(r)
	}))
	done := make(chan error)
	for range 20 {
		go func() {
			_, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken})
			done <- errors.Join(err, second(c.Settings(t.Context())), c.Logout(t.Context(), testToken))
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
