package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type users struct{ *Store }

func (p *project) user(u id.User) (directory.User, error) {
	found, ok := p.users[u]
	if !ok {
		return directory.User{}, fault.New(fault.NotFound, "This project has no such user.")
	}
	return found, nil
}

// free returns fault.Conflict when another user has one of u's login ids.
func (p *project) free(u directory.User) error {
	for _, other := range p.users {
		for _, login := range u.LoginIDs {
			if other.ID != u.ID && slices.Contains(other.LoginIDs, login) {
				return fault.New(fault.Conflict, "Another user has this login id.")
			}
		}
	}
	return nil
}

func (s users) Insert(ctx context.Context, u directory.User, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	p, err := tx.find(u.Project)
	if err != nil {
		return err
	}
	if _, taken := p.users[u.ID]; taken {
		return fault.New(fault.Conflict, "There is a user with this id already.")
	}
	if err := p.addUser(u); err != nil {
		return err
	}
	tx.log(e)
	return nil
}

func (s users) Find(ctx context.Context, p id.Project, u id.User) (directory.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.User{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.User{}, err
	}
	found, err := owner.user(u)
	return copyUser(found), err
}

func (s users) FindByLogin(ctx context.Context, p id.Project, loginID string) (directory.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.User{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.User{}, err
	}
	for _, u := range owner.users {
		if slices.Contains(u.LoginIDs, loginID) {
			return copyUser(u), nil
		}
	}
	return directory.User{}, fault.New(fault.NotFound, "No user of this project has this login id.")
}

func (s users) List(ctx context.Context, p id.Project, after id.User, limit int) ([]directory.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return nil, nil
	}
	var page []directory.User
	for _, u := range ascending(maps.Keys(owner.users), after, limit) {
		page = append(page, copyUser(owner.users[u]))
	}
	return page, nil
}

// Change runs change under the mutex: calling the store from within it would wait for
// itself.
func (s users) Change(ctx context.Context, p id.Project, u id.User, change func(directory.User) (directory.User, []audit.Event, error)) (directory.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.User{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.User{}, err
	}
	old, err := owner.user(u)
	if err != nil {
		return directory.User{}, err
	}
	changed, written, err := change(copyUser(old))
	if err != nil {
		return directory.User{}, err
	}
	if changed, err = tx.changeUser(owner, old, changed, tx.revoke); err != nil {
		return directory.User{}, err
	}
	tx.log(written...)
	return changed, nil
}

func (s users) Delete(ctx context.Context, p id.Project, u id.User, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	found, err := owner.user(u)
	if err != nil {
		return err
	}
	tx.removeUser(owner, found, tx.revoke)
	tx.log(e)
	return nil
}
