package native

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// tailSource is one follower of the events of a project.
type tailSource struct {
	face *Face
	tail *audit.Tail
	live bool // it has caught up once
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
	at, known, err := f.eventPlace(r.Context(), text)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The events can't be read now.").After(streamRetry)
	}
	s := f.begin(w, r, c, directory.ScopeEvents)
	if !known {
		s.event("reset", "", s.time())
	}
	return s.run(r.Context(), &tailSource{face: f, tail: audit.NewTail(f.d.Events, query, at)})
}

// eventPlace finds where a stream starts: at the end without a cursor, at the beginning
// with one that isn't known, which is told.
func (f *Face) eventPlace(ctx context.Context, text string) (at audit.Cursor, known bool, err error) {
	if text == "" {
		at, err = audit.End(ctx, f.d.Events)
		return at, true, err
	}
	at, known = audit.ParseCursor(text)
	if known {
		known, err = audit.Known(ctx, f.d.Events, at)
	}
	if !known {
		at = audit.Cursor{}
	}
	return at, known, err
}

func (t *tailSource) part(ctx context.Context, to *stream) (<-chan struct{}, error) {
	grown := t.face.d.EventWatch.Grown() // before reading, so that nothing is missed
	list, done, err := t.tail.Next(ctx, streamStep)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		data, err := json.Marshal(e.Public())
		if err != nil {
			return nil, err
		}
		to.event("event", e.Cursor().String(), data)
	}
	if done && !t.live {
		t.live = true // it has everything, which is told once
		t.beat(to)
	}
	if err := to.flush(); err != nil || !done {
		return nil, err
	}
	return grown, nil
}

// beat tells the place, too: a reader who comes back needn't look at others' events again.
func (t *tailSource) beat(to *stream) { to.event("live", t.tail.At().String(), to.time()) }
