package directory

import (
	"bytes"
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Upsert returns the user that has one of c's login ids, changed as c says, or a new one.
// A user who is like that already isn't written again. Login ids of two different users
// are fault.Conflict.
func (s *Service) Upsert(ctx context.Context, p id.Project, c UserChange, o audit.Origin) (User, error) {
	if err := c.named(); err != nil {
		return User{}, err
	}
	for range attempts {
		known, err := s.anyOf(ctx, p, *c.LoginIDs)
		if err == nil {
			u, err := s.bringTo(ctx, known, c, o)
			if fault.KindOf(err) == fault.NotFound {
				continue // Somebody else has just deleted the user: look again.
			}
			return u, err
		}
		if fault.KindOf(err) != fault.NotFound {
			return User{}, err
		}
		u, err := s.CreateUser(ctx, p, c, o)
		if fault.KindOf(err) != fault.Conflict {
			return u, err
		}
		// Somebody else has just made the user: look again.
	}
	return User{}, fault.New(fault.Conflict, "The user is being changed by others; try again.")
}

// CheckUpsert returns what Upsert would refuse of c, and changes nothing.
func (s *Service) CheckUpsert(ctx context.Context, p id.Project, c UserChange) error {
	if err := c.named(); err != nil {
		return err
	}
	known, err := s.anyOf(ctx, p, *c.LoginIDs)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		_, _, err = s.newUser(ctx, s.look(p), c, audit.Origin{})
	case err == nil:
		_, _, err = s.wanted(ctx, known, c)
	}
	return err
}

// named refuses a change that nobody can be found by.
func (c UserChange) named() error {
	if c.LoginIDs != nil && len(*c.LoginIDs) > 0 {
		return nil
	}
	return fault.New(fault.Invalid, "The user can't be found or made.").WithFields(
		fault.Field{Pointer: "/loginIds", Code: "required", Detail: "A user object needs its login ids."})
}

func (s *Service) anyOf(ctx context.Context, p id.Project, logins []string) (User, error) {
	for _, login := range logins[:min(len(logins), maxLoginIDs)] {
		u, err := s.users.FindByLogin(ctx, p, login)
		if fault.KindOf(err) != fault.NotFound {
			return u, err
		}
	}
	return User{}, fault.New(fault.NotFound, "This project has no such user.")
}

// wanted returns a user as a change wants them, and what the change grants.
func (s *Service) wanted(ctx context.Context, known User, c UserChange) (User, granting, error) {
	bad := problems(slices.Clone(c.Unreadable))
	wanted := c.apply(known, &bad)
	granted, err := s.look(known.Project).grants(ctx, c.GrantChange, &bad)
	if err == nil {
		err = bad.refusal(badUser)
	}
	if err != nil {
		return User{}, granting{}, err
	}
	wanted.Grants = granted.to(known.Grants).tidy()
	return wanted, granted, nil
}

func (s *Service) bringTo(ctx context.Context, known User, c UserChange, o audit.Origin) (User, error) {
	wanted, granted, err := s.wanted(ctx, known, c)
	if err != nil {
		return User{}, err
	}
	if slices.Equal(wanted.LoginIDs, known.LoginIDs) && wanted.Name == known.Name && wanted.Email == known.Email && wanted.Phone == known.Phone &&
		wanted.Status == known.Status && bytes.Equal(wanted.Attributes, known.Attributes) && wanted.Grants.Equal(known.Grants) {
		return known, nil
	}
	return s.changeUser(ctx, known.Project, known.ID, c, granted, o)
}
