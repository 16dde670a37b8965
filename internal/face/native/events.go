package native

import (
	"net/http"
	"net/netip"
	"regexp"

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
	out, err := eventsWanted(q.EventFilter)
	out.Project, out.Limit = p, q.Size
	return out, err
}

// actor is what events show of who acts.
var actor = regexp.MustCompile(`^[a-z]+(:[a-z]+_[0-9a-z]{26})?$`)

// eventsWanted reads a filter. What was given isn't repeated: it may be anything, a
// misplaced token too.
func eventsWanted(in latchkey.EventFilter) (audit.Query, error) {
	out := audit.Query{Actor: audit.Actor(in.Actor), RequestID: in.RequestID, From: in.From, To: in.To}
	var bad []fault.Field
	refuse := func(parameter, code, detail string) {
		bad = append(bad, fault.Field{Pointer: "?" + parameter, Code: code, Detail: detail})
	}
	var err error
	if out.Types, err = audit.Match(in.Types...); err != nil {
		refuse("type", "range", "Types of events are wanted, such as user.created, or kinds of them, such as user.*, separated by commas.")
	}
	if in.Session != "" {
		if out.Session, err = id.ParseSession(in.Session); err != nil {
			refuse("session", "format", "A session id (ses_…) is wanted.")
		}
	}
	if in.User != "" {
		if out.User, err = id.ParseUser(in.User); err != nil {
			refuse("user", "format", "A user id (usr_…) is wanted.")
		}
	}
	if in.Tenant != "" {
		if out.Tenant, err = id.ParseTenant(in.Tenant); err != nil {
			refuse("tenant", "format", "A tenant id (ten_…) is wanted.")
		}
	}
	if in.Actor != "" && !actor.MatchString(in.Actor) {
		refuse("actor", "format", "An actor is wanted, as events show it: system, cli, user:usr_… or key:mk_….")
	}
	if in.IP != "" {
		ip, err := netip.ParseAddr(in.IP)
		if err != nil || ip.Zone() != "" {
			refuse("ip", "format", "An address is wanted.")
		}
		out.IP = ip.Unmap().String()
	}
	if len(bad) > 0 {
		return out, fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	return out, nil
}
