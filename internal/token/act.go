package token

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// act lets the project's sign-in actions have their say about a session that begins in a
// tenant or changes to it, and returns its row as they leave it. What they have added
// before is taken away first: it may have been due to the tenant that is left. They see the
// session as it is at now: when its token was rotated doesn't tell whether a step-up still
// counts, the less so without rotation.
func (p *project) act(b bearer, now time.Time) (session.Row, []failed, error) {
	row := b.row
	row.Claims, row.Audience = row.Acted.Without(row.Claims, row.Audience)
	row.Acted = session.Acted{}
	document := p.documents.of(document.SignIn, row.ID.String())
	if document.unusable() {
		// A condition that fails lets nobody in, so neither does a list that can't be read.
		return b.row, nil, fault.New(fault.Unavailable, "The project's sign-in actions were saved by a newer server and can't be asked here.").After(time.Second)
	}
	if document.actions == nil {
		return row, nil, nil
	}
	with := b
	with.row = row
	out := document.actions.Evaluate(p.input(with, now))
	failures := document.failed(out.Failures)
	if err := refusal(out); err != nil {
		return b.row, append(failures, document.denied(out, row.User)), err
	}
	row, err := acted(row, out)
	if err != nil {
		return b.row, failures, err
	}
	return row, failures, nil
}

// acted returns a row with what sign-in actions have decided.
func acted(row session.Row, out template.Outcome) (session.Row, error) {
	var err error
	if row.Claims, err = claim.Merge(row.Claims, out.Claims, "/claims", true); err != nil {
		return row, err
	}
	row.Acted.Claims = names(out.Claims)
	for _, a := range out.Audience {
		if !slices.Contains(row.Audience, a) {
			row.Audience = append(slices.Clip(row.Audience), a)
			row.Acted.Audience = append(row.Acted.Audience, a)
		}
	}
	return shorten(row, out), nil
}

// refusal is what somebody is told whom the actions don't let in.
func refusal(out template.Outcome) error {
	switch {
	case out.Deny != nil:
		return fault.New(fault.Denied, "The sign-in is denied.").
			WithFields(fault.Field{Code: out.Deny.Code, Detail: out.Deny.Message})
	case out.Require == template.StepUp:
		return fault.New(fault.Insufficient, "The user has to prove once more who they are.").
			WithFields(fault.Field{Code: string(out.Require), Detail: "Step the session up first."})
	case out.Require != "":
		return fault.New(fault.Insufficient, "The user has to sign in with a second factor.").
			WithFields(fault.Field{Code: string(out.Require), Detail: "Methods of two different factors are wanted."})
	}
	return nil
}

// denied is what is told of somebody whom the actions don't let in, for each user apart.
func (c compiled) denied(out template.Outcome, user id.User) failed {
	code := string(out.Require)
	if out.Deny != nil {
		code = out.Deny.Code
	}
	return failed{kind: c.kind, version: c.n, denied: code, Failure: template.Failure{Path: "/denied/" + user.String() + "/" + code}}
}

// shorten makes the session end as early as the actions want, and never later than without
// them.
func shorten(row session.Row, out template.Outcome) session.Row {
	if at := row.CreatedAt.Add(out.Lifetime); out.Lifetime > 0 && at.Before(row.AbsoluteAt) {
		row.AbsoluteAt = at
	}
	if out.Idle > 0 && (row.IdleLimit == 0 || out.Idle < row.IdleLimit) {
		row.IdleLimit = out.Idle
	}
	if at := row.LastSeen().Add(row.IdleLimit); row.IdleLimit > 0 && (row.IdleAt.IsZero() || at.Before(row.IdleAt)) {
		row.IdleAt = at
	}
	return row
}

// names returns the names of the members of an object.
func names(object json.RawMessage) []string {
	var members map[string]json.RawMessage
	if object == nil || json.Unmarshal(object, &members) != nil {
		return nil
	}
	list := make([]string, 0, len(members))
	for name := range members {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// input is what expressions see of a session at a time.
func (p *project) input(b bearer, at time.Time) template.Input {
	row, may := b.row, b.authorization()
	u := b.holder.User
	person := &template.Person{
		ID: row.User.String(), LoginIDs: u.LoginIDs, Name: u.Name, Email: u.Email, Phone: u.Phone, Status: string(u.Status),
		Attributes: u.Attributes, Roles: may.Roles, Permissions: may.Permissions,
	}
	for _, t := range may.Tenants {
		person.Tenants = append(person.Tenants, placeOf(t))
	}
	in := template.Input{
		User: person, Project: template.Project{ID: p.ID.String(), Name: p.Name},
		Session: template.Session{
			ID: row.ID.String(), AMR: row.AMR, AuthTime: row.AuthTime.Unix(), CreatedAt: row.CreatedAt.Unix(), Claims: row.Claims,
			Audience: row.Audience, Actor: row.Actor, StepUp: row.SteppedUp(at, b.policy.StepUpTTL),
			Device: template.Device{Name: row.Device.Name, IP: row.Device.IP, UserAgent: row.Device.UserAgent},
		},
	}
	if in.Session.StepUp {
		in.Session.AMR = row.StepUpAMR
	}
	if t, open := may.In(row.Tenant); open {
		current := placeOf(t)
		in.Tenant = &current
	}
	return in
}

func placeOf(t directory.TenantAuthorization) template.Place {
	return template.Place{ID: t.ID.String(), Name: t.Name, Attributes: t.Attributes, Roles: t.Roles, Permissions: t.Permissions}
}
