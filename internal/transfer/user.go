package transfer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// crowdSize is how many users are looked up together, and applied in one transaction.
const crowdSize = 100

// pending is the line of a user that is to be looked at with others.
type pending struct {
	n       int
	record  userRecord
	user    id.User // zero: whoever has the first login id
	granted granted
}

func (r *reading) userLine(n int, record userRecord) error {
	g, err := r.granted(n, record.Roles, record.Tenants)
	if err != nil {
		return err
	}
	record.Attributes = bytes.Clone(record.Attributes) // what was read is overwritten by the lines to come
	p := pending{n: n, record: record, granted: g}
	switch {
	case record.ID != nil && !record.ID.IsZero():
		p.user = *record.ID
	case record.LoginIDs == nil || len(*record.LoginIDs) == 0:
		r.report.problem(n, "/loginIds", "required", "A user without id needs a login id.")
		return nil
	}
	if record.LoginIDs != nil {
		for i, login := range *record.LoginIDs {
			r.claim(r.logins, r.hash(login), n, fmt.Sprintf("/loginIds/%d", i), "login id")
		}
	}
	if r.crowd = append(r.crowd, p); len(r.crowd) == crowdSize {
		return r.flush()
	}
	return nil
}

func (r *reading) granted(n int, roles *[]string, tenants *[]memberRecord) (granted, error) {
	return r.known.grants(r.ctx, roles, tenants, func(pointer, code, detail string) { r.report.problem(n, pointer, code, detail) })
}

// Derived is the id of a user whom a line of a file names by login id alone and whom the
// project doesn't have: the same each time, so that the line can be repeated. Its time is
// zero, so such users stand first in lists.
func Derived(p id.Project, login string) id.User {
	sum := sha256.Sum256([]byte("user of a file\x00" + p.String() + "\x00" + login))
	var u id.User
	copy(u[6:], sum[:])
	return u
}

// flush looks at the users that wait.
func (r *reading) flush() error {
	crowd := r.crowd
	r.crowd = r.crowd[:0]
	if len(crowd) == 0 {
		return nil
	}
	users, holders, err := r.lookUp(crowd)
	if err != nil {
		return err
	}
	for _, p := range crowd {
		if err := r.user(p, users, holders); err != nil {
			return err
		}
	}
	if !r.apply || r.report.Found > 0 {
		return nil
	}
	return r.write(crowd)
}

// lookUp returns what is stored of the users, and who has their login ids. It fills in
// who is meant by a login id alone.
func (r *reading) lookUp(crowd []pending) (map[id.User]directory.User, map[string]id.User, error) {
	var ids []id.User
	var logins []string
	for _, p := range crowd {
		if !p.user.IsZero() {
			ids = append(ids, p.user)
		}
		if p.record.LoginIDs != nil {
			logins = append(logins, *p.record.LoginIDs...)
		}
	}
	users, holders := map[id.User]directory.User{}, map[string]id.User{}
	var err error
	if !r.target.New {
		if users, holders, err = r.d.Store.Batches().Stored(r.ctx, r.target.Project, ids, logins); err != nil {
			return nil, nil, err
		}
	}
	var meant []id.User
	for i, p := range crowd {
		if !p.user.IsZero() {
			continue
		}
		first := (*p.record.LoginIDs)[0]
		holder, there := holders[first]
		if there {
			meant = append(meant, holder)
		} else {
			holder = Derived(r.target.Project, first)
		}
		crowd[i].user = holder
	}
	if len(meant) > 0 {
		more, _, err := r.d.Store.Batches().Stored(r.ctx, r.target.Project, meant, nil)
		if err != nil {
			return nil, nil, err
		}
		for u, found := range more {
			users[u] = found
		}
	}
	return users, holders, nil
}

// user checks one user against what is stored.
func (r *reading) user(p pending, users map[id.User]directory.User, holders map[string]id.User) error {
	if !r.claim(r.users, r.hash(p.user.String()), p.n, "/id", "user") {
		return nil
	}
	old, there := users[p.user]
	next, bad := p.whole(r, old, there)
	r.report.fields(p.n, "", bad)
	for i, login := range next.LoginIDs {
		holder, taken := holders[login]
		if taken && holder != p.user && !r.freed[r.hash(login)] {
			r.report.problem(p.n, fmt.Sprintf("/loginIds/%d", i), "conflict", fmt.Sprintf("The user %s of the project has this login id.", holder))
		}
	}
	for _, login := range old.LoginIDs {
		r.freed[r.hash(login)] = true // until a line claims it, and then it is found there
	}
	same := false
	if there {
		_, events := next.Turned(old, r.d.Now(), r.target.Origin)
		same = len(events) == 0
	}
	r.report.count(User, there, same)
	return r.measure(p.n, next)
}

// whole returns the user as the line wants them, and what is wrong with that.
func (p pending) whole(r *reading, old directory.User, there bool) (directory.User, []fault.Field) {
	c := directory.UserChange{
		LoginIDs: p.record.LoginIDs, Name: p.record.Name, Email: p.record.Email, Phone: p.record.Phone,
		Status: (*directory.Status)(p.record.Status), Attributes: p.record.Attributes,
	}
	base := old
	if !there {
		made := r.at(p.record.CreatedAt)
		base = directory.User{ID: p.user, Project: r.target.Project, Status: directory.Enabled, CreatedAt: made, UpdatedAt: r.at(nil)}
		if c.LoginIDs == nil {
			c.LoginIDs = new([]string)
		}
	}
	next, bad := c.Whole(base)
	next.Grants = p.granted.to(base.Grants)
	return next, bad
}

// write applies users. That somebody else has changed one meanwhile is no reason to stop:
// what the line doesn't say stays as they have made it.
func (r *reading) write(crowd []pending) error {
	edits := make([]directory.UserEdit, len(crowd))
	for i, p := range crowd {
		edits[i] = directory.UserEdit{User: p.user, Wide: r.wide, Edit: func(old directory.User) (directory.User, []audit.Event, error) {
			there := !old.ID.IsZero()
			next, bad := p.whole(r, old, there)
			if len(bad) > 0 {
				return old, nil, fault.New(fault.Invalid, "The user can't be stored like this.").WithFields(bad...)
			}
			if !there {
				return next, []audit.Event{next.Created(r.d.Now(), r.target.Origin)}, nil
			}
			turned, events := next.Turned(old, r.d.Now(), r.target.Origin)
			return turned, events, nil
		}}
	}
	start := time.Now()
	outcomes, err := r.d.Store.Batches().Apply(r.ctx, r.target.Project, edits)
	for i, refused := range outcomes {
		r.refused(crowd[i].n, "", refused)
	}
	r.d.Pause(r.ctx, time.Since(start))
	return err
}
