package native

import (
	"fmt"
	"net/http"
	"slices"

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
}

func (f *Face) eventRoutes() []Route {
	scope := directory.ScopeEvents
	return []Route{{
		Method: "GET", Pattern: "/v1/projects/{project}/events", ID: "listEvents", Tag: tagEvents, Scope: scope,
		Summary: "The audit log, newest first", Query: eventQuery{}, Answer: latchkey.EventList{}, serve: f.managed(scope, f.listEvents),
	}}
}

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
	events, err := f.d.Events.List(r.Context(), query)
	if err != nil {
		return err
	}
	out := latchkey.EventList{Events: []latchkey.Event{}}
	for i, e := range events {
		if i == q.Size {
			last := events[i-1].ID
			out.NextPageToken = wire.EncodePage(last[:])
			break
		}
		out.Events = append(out.Events, renderEvent(e))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (q eventQuery) query(p id.Project) (audit.Query, error) {
	out := audit.Query{Project: p, From: q.From, To: q.To, Limit: q.Size + 1}
	var bad []fault.Field
	for _, name := range q.Types {
		if !slices.Contains(audit.Types(), audit.Type(name)) {
			// What was given isn't repeated: it may be anything, a misplaced token too.
			bad = append(bad, fault.Field{Pointer: "?type", Code: "range", Detail: fmt.Sprintf("Types of events are wanted: %v.", audit.Types())})
			break
		}
		out.Types = append(out.Types, audit.Type(name))
	}
	var err error
	if q.Session != "" {
		if out.Session, err = id.ParseSession(q.Session); err != nil {
			bad = append(bad, fault.Field{Pointer: "?session", Code: "format", Detail: "A session id (ses_…) is wanted."})
		}
	}
	if q.User != "" {
		if out.User, err = id.ParseUser(q.User); err != nil {
			bad = append(bad, fault.Field{Pointer: "?user", Code: "format", Detail: "A user id (usr_…) is wanted."})
		}
	}
	if len(bad) > 0 {
		return out, fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	return out, nil
}
