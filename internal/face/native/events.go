package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type eventQuery struct {
	wire.Page
	latchkey.EventFilter
	After string `query:"after" maxLength:"40" description:"Of a stream: the id of the last event or live event that was read, 0.00000000 for the oldest event that is kept; without it the stream starts now. Last-Event-ID goes before it."`
}

func (f *Face) eventRoutes() []Route {
	scope := directory.ScopeEvents
	return []Route{{
		Method: "GET", Pattern: "/v1/projects/{project}/events", ID: "listEvents", Tag: tagEvents, Scope: scope,
		Summary: "The audit log, newest first", About: eventsAbout, Query: eventQuery{}, Answer: latchkey.EventList{}, serve: f.managed(scope, f.listEvents),
	}}
}

const eventsAbout = "A page may hold fewer events than pageSize, even none, while nextPageToken is set: the server looks at a bounded part of the log for each page. Go on until it is absent. " +
	"With `Accept: text/event-stream` a stream of Server-Sent Events follows the log in the order in which events are written: `event` with each event that the filter selects, " +
	"`live` when the reader has caught up and every 10 seconds from then on, `reset` when the place isn't known and everything that is kept comes again."

func (f *Face) listEvents(w http.ResponseWriter, r *http.Request, c caller) error {
	var q eventQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	query, err := q.query(c.project)
	if err != nil {
		return err
	}
	if err := cursor(q.Page, query.Before[:]); err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	if wantsStream(r) {
		return f.followEvents(w, r, c, q, query)
	}
	if q.After != "" {
		return fault.New(fault.Invalid, "The query string has a problem.").
			WithFields(fault.Field{Pointer: "?after", Code: "contradiction", Detail: "Only a stream goes on after a place; a list has pageToken."})
	}
	events, next, err := f.d.Events.Walk(r.Context(), query)
	if err != nil {
		return err
	}
	out := latchkey.EventList{Events: []latchkey.Event{}}
	if !next.IsZero() {
		out.NextPageToken = wire.EncodePage(next[:])
	}
	for _, e := range events {
		out.Events = append(out.Events, e.Public())
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (q eventQuery) query(p id.Project) (audit.Query, error) {
	out, bad := audit.ParseFilter(q.EventFilter)
	for i := range bad {
		bad[i].Pointer = "?" + bad[i].Pointer
	}
	if len(bad) > 0 {
		return out, fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	out.Project, out.Limit = p, q.Size
	return out, nil
}
