package native

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// FeedMeter is told what the revocation feed does, for metrics.
type FeedMeter interface {
	FeedSubscribed(change int) // +1 or -1
	FeedSnapshot()

	// FeedSent is told of each entry that was sent. lag is how long after it was
	// written, and negative for one that a subscriber has caught up with.
	FeedSent(lag time.Duration)
}

const (
	mediaStream = "text/event-stream"

	// longestWait is less than the minute after which proxies give a silent answer up.
	longestWait = 25 * time.Second

	// listLimit is how many entries one answer of the long poll has at most.
	listLimit = 1000
)

// revocationQuery says where the reader is. A cursor that can't be read isn't refused:
// a snapshot puts everything right that led to it.
type revocationQuery struct {
	After string            `query:"after" description:"The cursor of the last answer or event; without one, or with one that isn't known, the feed starts with a snapshot. Last-Event-ID goes before it."`
	Wait  latchkey.Duration `query:"wait" default:"0s" description:"How long to wait for the first entry, 0s to 25s. A stream doesn't need it."`
}

func (f *Face) revocationRoutes() []Route {
	return []Route{{
		Method: "GET", Pattern: "/{project}/revocations", ID: "listRevocations", Tag: tagRevocations, Scope: directory.ScopeVerify,
		Summary: "The revocation feed: which tokens are not to be believed any more",
		About: "With `Accept: text/event-stream` a stream of Server-Sent Events: `snapshot` when everything that matters follows, " +
			"`revocation` with one entry, `live` when the reader has caught up and every 10 seconds from then on. " +
			"Otherwise the entries behind `after`, as soon as there is one.",
		Query: revocationQuery{}, Answer: latchkey.RevocationList{}, serve: f.managed(directory.ScopeVerify, f.revocations),
	}}
}

func (f *Face) revocations(w http.ResponseWriter, r *http.Request, c caller) error {
	q := revocationQuery{}
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	if wait := q.Wait.Std(); wait < 0 || wait > longestWait {
		return fault.New(fault.Invalid, "The query string has a problem.").
			WithFields(fault.Field{Pointer: "?wait", Code: "range", Detail: "must be from 0s to 25s"})
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		q.After = last
	}
	after, given := revocation.ParseCursor(q.After)
	s, err := f.d.Revocations.Subscribe(r.Context(), c.project, after, given)
	if err != nil {
		return err
	}
	defer s.Close()
	f.d.FeedMeter.FeedSubscribed(1)
	defer f.d.FeedMeter.FeedSubscribed(-1)
	if s.Snapshot {
		f.d.FeedMeter.FeedSnapshot()
	}
	w.Header().Set("Vary", "Accept")
	if wantsStream(r) {
		return f.stream(w, r, c, s)
	}
	return f.poll(w, r, s, q.Wait.Std())
}

// wantsStream reports whether the Accept header names event streams.
func wantsStream(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(value, ",") {
			media, parameters, err := mime.ParseMediaType(one)
			if err == nil && media == mediaStream && parameters["q"] != "0" {
				return true
			}
		}
	}
	return false
}

// revocationPage is a latchkey.RevocationList whose entries are encoded already.
type revocationPage struct {
	Snapshot   bool              `json:"snapshot"`
	Entries    []json.RawMessage `json:"entries"`
	Cursor     string            `json:"cursor"`
	More       bool              `json:"more"`
	ServerTime time.Time         `json:"serverTime"`
}

// poll answers once: with what follows, or, after wait, with nothing.
func (f *Face) poll(w http.ResponseWriter, r *http.Request, s *revocation.Subscription, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	lines, caught, waited, err := f.firstLines(ctx, r.Context(), s)
	if err != nil {
		return err
	}
	page := revocationPage{Snapshot: s.Snapshot, Entries: []json.RawMessage{}}
	for !caught && len(lines) < listLimit {
		// A step of the feed may be shorter than an answer may be.
		more, ready, err := s.Next(r.Context(), listLimit-len(lines))
		if err != nil {
			return err
		}
		lines, caught = append(lines[:len(lines):len(lines)], more...), ready != nil
	}
	if caught && !f.d.Revocations.Fresh() {
		return fault.New(fault.Unavailable, "The revocation feed can't be read now.").After(time.Second)
	}
	now := f.d.Now().UTC()
	for _, l := range lines {
		page.Entries = append(page.Entries, l.JSON)
		lag := time.Duration(-1)
		if waited {
			lag = max(0, now.Sub(l.At))
		}
		f.d.FeedMeter.FeedSent(lag)
	}
	page.Cursor, page.More, page.ServerTime = s.Cursor().String(), !caught, now
	w.Header().Set("Cache-Control", "no-store")
	return wire.JSON(w, http.StatusOK, page)
}

// firstLines returns what follows, waiting until patience ends when that is nothing. A
// snapshot isn't waited for: it is an answer even if it is empty.
func (f *Face) firstLines(patience, ctx context.Context, s *revocation.Subscription) (lines []revocation.Line, caught, waited bool, err error) {
	for {
		lines, ready, err := s.Next(ctx, listLimit)
		if err != nil || len(lines) > 0 {
			return lines, false, waited, err
		}
		if ready == nil {
			continue
		}
		if s.Snapshot {
			return nil, true, waited, nil
		}
		select {
		case <-ready:
			waited = true
		case <-patience.Done():
			return nil, true, waited, ctx.Err()
		case <-f.d.Draining:
			return nil, true, waited, nil
		}
	}
}
