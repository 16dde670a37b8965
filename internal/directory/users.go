package directory

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// userPrefix begins every user id. Where a user is named by either, a login id that
// looks like an id could stand for somebody else.
const userPrefix = "usr_"

// Limits of a user and of a management key.
const (
	maxLoginIDs = 10
	maxLoginID  = 254 // the longest e-mail address
	maxName     = 200
)

// UserChange is what a caller says of a user. Members that are nil stay as they are.
type UserChange struct {
	LoginIDs *[]string
	Name     *string
	Email    *string
	Phone    *string
	Status   *Status
}

// apply returns u with the change made, and every problem of the result.
func (c UserChange) apply(u User) (User, error) {
	var bad []fault.Field
	refuse := func(pointer, detail string) {
		bad = append(bad, fault.Field{Pointer: pointer, Code: "format", Detail: detail})
	}
	if c.LoginIDs != nil {
		u.LoginIDs = slices.Clone(*c.LoginIDs)
		checkLoginIDs(u.LoginIDs, refuse)
	}
	if c.Name != nil {
		if u.Name = *c.Name; !plain(u.Name, maxName) {
			refuse("/name", "At most 200 characters without control characters.")
		}
	}
	if c.Email != nil {
		if u.Email = *c.Email; u.Email != "" && !address(u.Email) {
			refuse("/email", "An e-mail address is wanted.")
		}
	}
	if c.Phone != nil {
		if u.Phone = *c.Phone; u.Phone != "" && !phone(u.Phone) {
			refuse("/phone", "A phone number such as +4915112345678 is wanted (E.164).")
		}
	}
	if c.Status != nil {
		if u.Status = *c.Status; u.Status != Enabled && u.Status != Disabled {
			refuse("/status", "enabled or disabled is wanted.")
		}
	}
	if len(bad) > 0 {
		return u, fault.New(fault.Invalid, "The user can't be stored like this.").WithFields(bad...)
	}
	return u, nil
}

func checkLoginIDs(ids []string, refuse func(pointer, detail string)) {
	if len(ids) == 0 || len(ids) > maxLoginIDs {
		refuse("/loginIds", fmt.Sprintf("A user has 1 to %d login ids.", maxLoginIDs))
	}
	for i, login := range ids[:min(len(ids), maxLoginIDs)] {
		at := fmt.Sprintf("/loginIds/%d", i)
		if login == "" || !plain(login, maxLoginID) || strings.TrimSpace(login) != login {
			refuse(at, fmt.Sprintf("A login id is 1 to %d characters without control characters and without space at its ends.", maxLoginID))
		}
		if strings.HasPrefix(login, userPrefix) {
			refuse(at, "A login id can't start with "+userPrefix+": a sign-in would take it for a user's id.")
		}
		if slices.Contains(ids[:i], login) {
			refuse(at, "This login id is given twice.")
		}
	}
}

func plain(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && !strings.ContainsFunc(s, unicode.IsControl)
}

func address(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= maxLoginID
}

func phone(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && strings.Trim(s[1:], "0123456789") == ""
}

// CreateUser adds a user. Login ids are needed. A login id that another user has is
// fault.Conflict.
func (s *Service) CreateUser(ctx context.Context, p id.Project, c UserChange, o audit.Origin) (User, error) {
	now := s.now()
	if c.LoginIDs == nil {
		c.LoginIDs = new([]string)
	}
	u := User{ID: id.NewUser(now), Project: p, Status: Enabled, CreatedAt: millis(now), UpdatedAt: millis(now)}
	u, err := c.apply(u)
	if err != nil {
		return User{}, err
	}
	e := audit.New(p, now, audit.UserCreated, o).Of(id.Session{}, u.ID)
	return u, s.users.Insert(ctx, u, e)
}

// User returns a user by id; fault.NotFound when the project has none such.
func (s *Service) User(ctx context.Context, p id.Project, u id.User) (User, error) {
	return s.users.Find(ctx, p, u)
}

// UserByLogin returns a user by any of the login ids.
func (s *Service) UserByLogin(ctx context.Context, p id.Project, login string) (User, error) {
	return s.users.FindByLogin(ctx, p, login)
}

// Users lists users, ascending.
func (s *Service) Users(ctx context.Context, p id.Project, after id.User, limit int) ([]User, error) {
	return s.users.List(ctx, p, after, limit)
}

// ChangeUser changes a user. Disabling ends all of the user's sessions, in the same
// transaction; enabling again doesn't bring them back.
func (s *Service) ChangeUser(ctx context.Context, p id.Project, u id.User, c UserChange, o audit.Origin) (User, error) {
	now := s.now()
	return s.users.Change(ctx, p, u, func(old User) (User, []audit.Event, error) {
		changed, err := c.apply(old)
		if err != nil {
			return old, nil, err
		}
		changed.UpdatedAt = millis(now)
		t := audit.UserUpdated
		switch {
		case old.Status != changed.Status && changed.Status == Disabled:
			t = audit.UserDisabled
			changed.Epoch++
		case old.Status != changed.Status:
			t = audit.UserEnabled
		}
		return changed, []audit.Event{audit.New(p, now, t, o).Of(id.Session{}, u)}, nil
	})
}

// DeleteUser removes a user; the user's sessions are refused from then on.
func (s *Service) DeleteUser(ctx context.Context, p id.Project, u id.User, o audit.Origin) error {
	return s.users.Delete(ctx, p, u, audit.New(p, s.now(), audit.UserDeleted, o).Of(id.Session{}, u))
}
