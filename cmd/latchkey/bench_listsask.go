package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// listKind is a kind of request.
type listKind struct {
	name   string
	weight int // how often it is asked, relative to the others
	path   func(r *listsRun) string
}

const trivial = "trivial"

// listKinds is what an application asks for: mostly about one user, sometimes about all.
func listKinds() []listKind {
	sessions := func(name string, weight int, query func(r *listsRun, q url.Values)) listKind {
		return listKind{"sessions " + name, weight, func(r *listsRun) string { return r.listPath("sessions", query) }}
	}
	users := func(name string, weight int, query func(r *listsRun, q url.Values)) listKind {
		return listKind{"users " + name, weight, func(r *listsRun) string { return r.listPath("users", query) }}
	}
	return []listKind{
		{trivial, 20, func(*listsRun) string { return "/livez" }},
		sessions("of a user", 20, func(r *listsRun, q url.Values) { q.Set("user", r.someone()) }),
		sessions("of a user, active", 20, func(r *listsRun, q url.Values) { q.Set("user", r.someone()); q.Set("state", "active") }),
		sessions("newest", 10, func(*listsRun, url.Values) {}),
		sessions("newest, 200", 4, func(_ *listsRun, q url.Values) { q.Set("pageSize", "200") }),
		sessions("further on", 10, func(r *listsRun, q url.Values) { q.Set("pageToken", r.place()) }),
		sessions("active", 8, func(r *listsRun, q url.Values) { q.Set("state", "active"); q.Set("pageToken", r.place()) }),
		sessions("ended", 8, func(r *listsRun, q url.Values) { q.Set("state", "ended"); q.Set("pageToken", r.place()) }),
		sessions("expired", 4, func(r *listsRun, q url.Values) { q.Set("state", "expired"); q.Set("pageToken", r.place()) }),
		sessions("in a tenant", 10, func(r *listsRun, q url.Values) { q.Set("tenant", r.customer()) }),
		sessions("in a tenant, active", 8, func(r *listsRun, q url.Values) { q.Set("tenant", r.customer()); q.Set("state", "active") }),
		sessions("of a day", 8, func(r *listsRun, q url.Values) { r.day(q) }),
		sessions("of a day, ended", 8, func(r *listsRun, q url.Values) { r.day(q); q.Set("state", "ended") }),
		sessions("from an address", 6, func(r *listsRun, q url.Values) { q.Set("ip", r.address()) }),
		sessions("from a network, of a day", 6, func(r *listsRun, q url.Values) {
			r.day(q)
			q.Set("ip", fmt.Sprintf("198.51.%d.0/24", rand.IntN(256)))
		}),
		sessions("of a user from an address", 4, func(r *listsRun, q url.Values) { q.Set("user", r.someone()); q.Set("ip", r.address()) }),
		users("by login id", 20, func(r *listsRun, q url.Values) { q.Set("loginId", r.login()) }),
		users("newest", 6, func(*listsRun, url.Values) {}),
		users("by a name", 10, func(_ *listsRun, q url.Values) { q.Set("query", lastNames[rand.IntN(len(lastNames))]) }),
		users("by an e-mail address", 10, func(r *listsRun, q url.Values) { q.Set("query", r.login()) }),
		users("by nothing that is there", 6, func(_ *listsRun, q url.Values) { q.Set("query", "nobody at all") }),
		users("in a tenant", 10, func(r *listsRun, q url.Values) { q.Set("tenant", r.customer()) }),
		users("with the role", 6, func(r *listsRun, q url.Values) { q.Set("role", r.role.String()) }),
		users("disabled", 6, func(_ *listsRun, q url.Values) { q.Set("status", "disabled") }),
		users("of a day", 6, func(r *listsRun, q url.Values) { r.day(q) }),
	}
}

func (r *listsRun) listPath(list string, query func(r *listsRun, q url.Values)) string {
	q := url.Values{}
	query(r, q)
	return "/v1/projects/" + r.project.String() + "/" + list + "?" + q.Encode()
}

func (r *listsRun) someone() string  { return r.people[rand.IntN(len(r.people))].String() }
func (r *listsRun) customer() string { return r.tenants[rand.IntN(len(r.tenants))].String() }
func (r *listsRun) login() string    { return fmt.Sprintf("user%d@example.com", rand.IntN(len(r.people))) }
func (r *listsRun) address() string {
	return fmt.Sprintf("198.51.%d.%d", rand.IntN(256), rand.IntN(256))
}

// place is the token of some page of a list of sessions.
func (r *listsRun) place() string {
	at := id.FirstSession(r.from.Add(time.Duration(rand.Int64N(int64(span)))))
	return wire.EncodePage(at[:])
}

func (r *listsRun) day(q url.Values) {
	from := r.from.Add(time.Duration(rand.Int64N(int64(span))))
	q.Set("createdFrom", from.UTC().Format(time.RFC3339))
	q.Set("createdTo", from.Add(24*time.Hour).UTC().Format(time.RFC3339))
}

// call makes one request as the application.
func (r *listsRun) call(ctx context.Context, method, path, body string) ([]byte, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.key.Reveal())
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, answer)
	}
	return answer, took, err
}

// asked is what one kind of request took.
type asked struct {
	times   []time.Duration
	entries int
	err     error // the first failure
	failed  int
}

// ask asks for lists for as long as the plan says.
func (r *listsRun) ask(ctx context.Context, out *listsAnswer) error {
	kinds := listKinds()
	deadline := time.Now().Add(r.lists.lasts)
	results := make([][]asked, r.lists.clients)
	var asking sync.WaitGroup
	for c := range results {
		results[c] = make([]asked, len(kinds))
		asking.Go(func() {
			for n := 0; time.Now().Before(deadline) && ctx.Err() == nil; n++ {
				k := choose(kinds)
				results[c][k].add(r.call(ctx, http.MethodGet, kinds[k].path(r), ""))
				if c == 0 {
					r.show.show("asking for lists: %d, %.0f s to go", n*len(results), time.Until(deadline).Seconds())
				}
			}
		})
	}
	asking.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return summarize(kinds, results, out)
}

// choose picks a kind by its weight.
func choose(kinds []listKind) int {
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n := rand.IntN(sum)
	for i, k := range kinds {
		if n -= k.weight; n < 0 {
			return i
		}
	}
	return 0
}

func (a *asked) add(answer []byte, took time.Duration, err error) {
	if err != nil {
		if a.failed++; a.err == nil {
			a.err = err
		}
		return
	}
	a.times = append(a.times, took)
	a.entries += bytes.Count(answer, []byte(`"id":"ses_`)) + bytes.Count(answer, []byte(`"id":"usr_`))
}

func summarize(kinds []listKind, results [][]asked, out *listsAnswer) error {
	var all []time.Duration
	for k, kind := range kinds {
		var sum asked
		for c := range results {
			one := results[c][k]
			sum.times, sum.entries, sum.failed = append(sum.times, one.times...), sum.entries+one.entries, sum.failed+one.failed
			if sum.err == nil {
				sum.err = one.err
			}
		}
		if sum.err != nil {
			return fmt.Errorf("%s: %w", kind.name, sum.err)
		}
		if len(sum.times) == 0 {
			continue // a short run doesn't get to every kind
		}
		f := spread(sum.times)
		if kind.name == trivial {
			out.Trivial = f
			continue
		}
		all = append(all, sum.times...)
		out.Lists = append(out.Lists, listsFigures{kind.name, float64(sum.entries) / float64(len(sum.times)), f})
	}
	if len(all) == 0 {
		return errors.New("no list was asked for: the run was too short")
	}
	out.All = spread(all)
	return nil
}
