package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (f *Face) endRoutes() []Route {
	scope := directory.ScopeSessions
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/sessions/{sid}/revoke", ID: "revokeSession", Tag: tagSessions, Scope: scope,
			Summary: "End a session", About: "Repeating it is no error: revoked is 0 then.",
			Body: nothing{}, Answer: latchkey.EndedSessions{}, serve: f.managed(scope, f.endOne),
		},
		{
			Method: "POST", Pattern: "/v1/projects/{project}/users/{user}/sessions/revoke", ID: "revokeUserSessions", Tag: tagSessions, Scope: scope,
			Summary: "End all sessions of a user", About: "One write, however many there are: no refresh that is under way survives it.",
			Body: nothing{}, Answer: latchkey.EndedSessions{}, serve: f.managed(scope, f.endUser),
		},
		{
			Method: "POST", Pattern: "/v1/projects/{project}/sessions/revoke", ID: "revokeSessions", Tag: tagSessions, Scope: scope,
			Summary: "End the sessions that match a filter, or all of them",
			Body:    latchkey.EndSessionsRequest{}, Answer: latchkey.EndedSessions{}, Codes: []latchkey.Code{latchkey.CodeContradiction},
			serve: f.managed(scope, f.endMatching),
		},
	}
}

func (f *Face) ending(c caller) session.Ending {
	return session.Ending{Reason: session.Ended, Origin: c.origin}
}

func (f *Face) ended(w http.ResponseWriter, n int) error {
	f.d.Counter.SessionsEnded(session.Ended, n)
	return wire.JSON(w, http.StatusOK, latchkey.EndedSessions{Revoked: n})
}

func (f *Face) endOne(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	sid, err := pathSession(r)
	if err != nil {
		return err
	}
	active, err := f.d.Sessions.End(r.Context(), c.project, sid, f.ending(c))
	if err != nil {
		return err
	}
	n := 0
	if active {
		n = 1
	}
	return f.ended(w, n)
}

func (f *Face) endUser(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	n, err := f.d.Sessions.EndUser(r.Context(), c.project, u, none, f.ending(c))
	if err != nil {
		return err
	}
	return f.ended(w, n)
}

func (f *Face) endMatching(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.EndSessionsRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	filter, err := endFilter(body, c.project)
	if err != nil {
		return err
	}
	var n int
	switch {
	case body.DryRun:
		if n, err = f.d.Sessions.Count(r.Context(), filter); err != nil {
			return err
		}
		return wire.JSON(w, http.StatusOK, latchkey.EndedSessions{Revoked: n, DryRun: true})
	case body.All:
		n, err = f.d.Sessions.EndProject(r.Context(), c.project, f.ending(c))
	default:
		n, err = f.d.Sessions.EndMatching(r.Context(), filter, f.ending(c))
	}
	if err != nil {
		return err
	}
	return f.ended(w, n)
}

// endFilter reads the filter. No filter at all isn't taken for all sessions: a client that
// forgets its filter must not log everybody out.
func endFilter(b latchkey.EndSessionsRequest, p id.Project) (session.Filter, error) {
	out := session.Filter{Project: p, CreatedFrom: b.CreatedFrom, CreatedTo: b.CreatedTo}
	var bad []fault.Field
	var err error
	if b.User != "" {
		if out.User, err = id.ParseUser(b.User); err != nil {
			bad = append(bad, fault.Field{Pointer: "/user", Code: "format", Detail: "A user id (usr_…) is wanted."})
		}
	}
	if b.Tenant != "" {
		if out.Tenant, err = id.ParseTenant(b.Tenant); err != nil {
			bad = append(bad, fault.Field{Pointer: "/tenant", Code: "format", Detail: "A tenant id (ten_…) is wanted."})
		}
	}
	if b.IP != "" {
		if out.IP, err = parseNetwork(b.IP); err != nil {
			bad = append(bad, fault.Field{Pointer: "/ip", Code: "format", Detail: "An address or a network such as 192.0.2.0/24 is wanted."})
		}
	}
	if len(bad) > 0 {
		return out, fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	filtered := b.User != "" || b.Tenant != "" || b.IP != "" || !b.CreatedFrom.IsZero() || !b.CreatedTo.IsZero()
	switch {
	case filtered && b.All:
		return out, fault.New(fault.Contradiction, "All sessions and a filter can't both be meant.").WithFields(
			fault.Field{Pointer: "/all", Code: "contradiction", Detail: "Leave out all, or the filter."})
	case !filtered && !b.All:
		return out, fault.New(fault.Invalid, "It isn't said which sessions are meant.").WithFields(
			fault.Field{Pointer: "/all", Code: "required", Detail: "Give a filter (user, tenant, ip, createdFrom, createdTo), or all: true for every session of the project."})
	}
	return out, nil
}
