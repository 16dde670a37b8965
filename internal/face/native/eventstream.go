package native

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// tailSource is one follower of the events of a project. It keeps a place, and nothing of
// what was written.
type tailSource struct {
	face  *Face
	query audit.Query
	at    audit.Cursor
	live  bool // it has caught up once
}

// followEvents answers with events as they are written, in the order of commit.
func (f *Face) followEvents(w http.ResponseWriter, r *http.Request, c caller, q eventQuery, query audit.Query) error {
	if q.Token != "" {
		return fault.New(fault.Invalid, "The query string has a problem.").
			WithFields(fault.Field{Pointer: "?pageToken", Code: "contradiction", Detail: "A stream has no pages: it goes on after the id of its last event."})
	}
	text := q.After
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	leave, err := f.d.EventWatch.Follow(c.project)
	if err != nil {
		return err
	}
	defer leave()
	tail := &tailSource{face: f, query: query}
	known, err := tail.start(r.Context(), text)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The events can't be read now.").After(streamRetry)
	}
	s := f.begin(w, r, c, directory.ScopeEvents)
	if !known {
		s.event("reset", "", s.time())
	}
	return s.run(r.Context(), tail)
}

// start finds the place: the end without a cursor, the beginning with one that isn't
// known, which is told.
func (t *tailSource) start(ctx context.Context, text string) (known bool, err error) {
	if text == "" {
		t.at, err = audit.End(ctx, t.face.d.Events)
		return true, err
	}
	at, ok := audit.ParseCursor(text)
	if ok {
		ok, err = audit.Known(ctx, t.face.d.Events, at)
	}
	if ok {
		t.at = at
	}
	return ok, err
}

func (t *tailSource) part(ctx context.Context, to *stream) (<-chan struct{}, error) {
	grown := t.face.d.EventWatch.Grown() // before reading, so that nothing is missed
	list, reached, err := t.face.d.Events.After(ctx, t.query.Project, t.at.Seq, streamStep)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if t.at = e.Cursor(); !t.query.Selects(e.Event) {
			continue
		}
		data, err := json.Marshal(e.Public())
		if err != nil {
			return nil, err
		}
		to.event("event", t.at.String(), data)
	}
	done := reached == t.at.Seq && len(list) == 0
	if reached > t.at.Seq {
		t.at = audit.Cursor{Seq: reached} // others' events, or none that is wanted
	}
	if done {
		err = t.caught(ctx, to)
	}
	if err == nil {
		err = to.flush()
	}
	if err != nil || !done {
		return nil, err
	}
	return grown, nil
}

// caught says once that the reader has everything, and gives the place the tag that tells
// this log from another one.
func (t *tailSource) caught(ctx context.Context, to *stream) (err error) {
	if t.at.Tag == 0 && t.at.Seq > 0 {
		t.at, err = audit.Place(ctx, t.face.d.Events, t.at.Seq)
	}
	if !t.live {
		t.live = true
		t.beat(to)
	}
	return err
}

// beat tells the place, too: a reader who comes back needn't look at others' events again.
func (t *tailSource) beat(to *stream) { to.event("live", t.at.String(), to.time()) }
