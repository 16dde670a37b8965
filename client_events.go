package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// FollowedEvent is an event with the place behind it.
type FollowedEvent struct {
	Event
	Cursor string // for FollowEvents, to go on after this event
}

// FollowEvents yields events as they are written, in that order: those that match the
// filter, behind the cursor of an earlier event, or from now on without one. Scope events.
// Breaks are bridged: nothing is missing, and an event comes again only when the server
// doesn't know the place any more, such as after a backup was restored. It ends when ctx
// does, or with the error of a request that the server refuses for good.
func (c *Client) FollowEvents(ctx context.Context, filter EventFilter, cursor string) iter.Seq2[FollowedEvent, error] {
	return func(yield func(FollowedEvent, error) bool) {
		t := &tail{c: c, filter: filter, cursor: cursor, yield: yield}
		for failures := 0; ctx.Err() == nil; failures++ {
			heard, err := t.read(ctx)
			switch {
			case t.ended:
				return
			case final(err):
				yield(FollowedEvent{}, err)
				return
			case heard:
				failures = 0
			}
			// Not all who lost the server come back at the same moment.
			wait := rand.N(min(firstPause<<min(failures, 8), longestPause))
			var refusal *Error
			if errors.As(err, &refusal) {
				wait += min(refusal.RetryAfter, longestWish)
			}
			if !rest(ctx, wait) {
				return
			}
		}
	}
}

// final reports whether to ask again makes no sense.
func final(err error) bool {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Status < 500 && refusal.Status != http.StatusTooManyRequests
	}
	return errors.Is(err, errUnasked)
}

// errUnasked means that the request can't be made.
var errUnasked = errors.New("latchkey: the events can't be followed")

// tail is one reader of the events.
type tail struct {
	c      *Client
	filter EventFilter
	cursor string
	yield  func(FollowedEvent, error) bool
	ended  bool // the reader wants no more
}

// read follows the events on one connection until that ends. It reports whether the
// server has said anything.
func (t *tail) read(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A connection that died without a word is noticed: the server speaks every 10 s.
	timer := time.AfterFunc(beginWait, cancel)
	defer timer.Stop()
	res, err := t.ask(ctx)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	for events := newEventReader(res.Body); ; heard = true {
		e, err := events.next()
		if err != nil {
			return heard, err
		}
		timer.Reset(quietTime)
		if err := t.take(e); err != nil || t.ended {
			return heard, err
		}
	}
}

// take hands one event on.
func (t *tail) take(e streamEvent) error {
	if e.name != "event" {
		if e.id != "" {
			t.cursor = e.id
		}
		return nil
	}
	f := FollowedEvent{Cursor: e.id}
	if err := json.Unmarshal(e.data, &f.Event); err != nil {
		return errors.New("latchkey: the stream of events holds something else")
	}
	t.cursor = e.id
	t.ended = !t.yield(f, nil)
	return nil
}

// ask requests the stream from the cursor on.
func (t *tail) ask(ctx context.Context) (*http.Response, error) {
	op, err := t.c.managing(http.MethodGet, nil, "events")
	if err != nil {
		return nil, errors.Join(errUnasked, err)
	}
	query, err := queryOf(PageRequest{}, t.filter)
	if err != nil {
		return nil, errors.Join(errUnasked, err)
	}
	if isCredential(t.cursor) {
		return nil, errors.Join(errUnasked, errors.New("latchkey: the cursor is a credential; it wasn't sent"))
	}
	return t.send(ctx, op, query)
}

func (t *tail) send(ctx context.Context, op operation, query url.Values) (*http.Response, error) {
	op.query = query
	req, err := t.c.request(ctx, op, nil)
	if err != nil {
		return nil, errors.Join(errUnasked, err)
	}
	req.Header.Set("Accept", "text/event-stream")
	// A proxy that compresses also collects, and every event would come late.
	req.Header.Set("Accept-Encoding", "identity")
	if t.cursor != "" {
		req.Header.Set("Last-Event-ID", t.cursor)
	}
	res, err := t.c.http.Do(req)
	if err != nil {
		return nil, op.lost(err)
	}
	if res.StatusCode == http.StatusOK && media(res.Header) == "text/event-stream" {
		return res, nil
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil, errNoStream
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem+1))
	if err != nil {
		return nil, op.lost(err)
	}
	return nil, readProblem(res, body, t.c.now(), op.credentials())
}
