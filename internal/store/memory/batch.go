package memory

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

type batches struct{ *Store }

func (s batches) Apply(ctx context.Context, p id.Project, edits []directory.UserEdit) ([]error, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return nil, err
	}
	done := make([]error, 0, len(edits))
	outdated := false
	for _, e := range edits {
		done = append(done, tx.edit(owner, e, func(all ...revocation.Entry) {
			if e.Wide {
				var some bool
				all, some = directory.Wide(all)
				outdated = outdated || some
			}
			tx.revoke(all...)
		}))
	}
	if outdated {
		tx.revoke(directory.Outdated(p, owner.life(), tx.now))
	}
	return done, nil
}

func (s batches) Stored(ctx context.Context, p id.Project, users []id.User, logins []string) (map[id.User]directory.User, map[string]id.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return nil, nil, err
	}
	found, holders := map[id.User]directory.User{}, map[string]id.User{}
	for _, u := range users {
		if stored, ok := owner.users[u]; ok {
			found[u] = copyUser(stored)
		}
	}
	for _, u := range owner.users {
		for _, login := range u.LoginIDs {
			if slices.Contains(logins, login) {
				holders[login] = u.ID
			}
		}
	}
	return found, holders, nil
}

// edit does one edit of a batch, and hands what verifiers are told of it to tell.
func (tx transaction) edit(p *project, e directory.UserEdit, tell func(...revocation.Entry)) error {
	old, there := p.users[e.User]
	next, events, err := e.Edit(copyUser(old))
	if err != nil {
		return err
	}
	stays := !next.ID.IsZero()
	next.ID, next.Project = e.User, p.ID
	switch {
	case there && !stays:
		tx.removeUser(p, old, tell)
	case there && !next.Equal(old):
		_, err = tx.changeUser(p, old, next, tell)
	case !there && stays:
		err = p.addUser(next)
	}
	if err == nil {
		tx.log(events...)
	}
	return err
}

// addUser keeps a new user, unless they are refused.
func (p *project) addUser(u directory.User) error {
	err := p.free(u)
	if err != nil {
		return err
	}
	if u.Grants, err = u.Grants.Settle(directory.Grants{}, p); err != nil {
		return err
	}
	for _, row := range p.sessions {
		if row.User == u.ID { // of somebody with this id who was deleted
			u.Epoch = max(u.Epoch, row.UserEpoch+1)
		}
	}
	p.users[u.ID] = copyUser(u)
	return nil
}

// changeUser keeps a changed user, unless that is refused, and tells what verifiers are to
// be told.
func (tx transaction) changeUser(p *project, old, changed directory.User, tell func(...revocation.Entry)) (directory.User, error) {
	changed.ID, changed.Project, changed.CreatedAt = old.ID, old.Project, old.CreatedAt
	err := p.free(changed)
	if err != nil {
		return directory.User{}, err
	}
	if changed.Grants, err = changed.Grants.Settle(old.Grants, p); err != nil {
		return directory.User{}, err
	}
	p.users[old.ID] = copyUser(changed)
	tell(changed.Entries(old, p.life(), tx.now)...)
	if changed.Disables(old) {
		tx.endAccessKeys(p, old.ID)
	}
	return copyUser(changed), nil
}

// removeUser deletes a user and their access keys, and tells what verifiers are to be told.
func (tx transaction) removeUser(p *project, u directory.User, tell func(...revocation.Entry)) {
	delete(p.users, u.ID)
	tell(u.Revocation(p.life(), tx.now))
	tx.endAccessKeys(p, u.ID)
	p.removeAccessKeys(u.ID)
}
