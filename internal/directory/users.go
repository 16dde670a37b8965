package directory

import (
	"context"
	"encoding/json"
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
	LoginIDs   *[]string
	Name       *string
	Email      *string
	Phone      *string
	Status     *Status
	Attributes json.RawMessage // a JSON merge patch
	GrantChange

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// profile reports whether anything but grants is said.
func (c UserChange) profile() bool {
	return c.LoginIDs != nil || c.Name != nil || c.Email != nil || c.Phone != nil || c.Status != nil || c.Attributes != nil || c.none()
}

// apply returns u with the change made, but for grants; what is wrong with the result is
// told in bad.
func (c UserChange) apply(u User, bad *problems) User {
	refuse := func(pointer, detail string) { bad.add(pointer, "format", "%s", detail) }
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
		u.Status = *c.Status
		checkStatus(bad, u.Status)
	}
	u.Attributes = mergeAttributes(u.Attributes, c.Attributes, "/attributes", bad)
	return u
}

const badUser = "The user can't be stored like this."

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
	u, e, err := s.newUser(ctx, s.look(p), c, o)
	if err != nil {
		return User{}, err
	}
	return u, s.users.Insert(ctx, u, e)
}

// newUser returns a user who is to be added, and the event that says so.
func (s *Service) newUser(ctx context.Context, l *lookup, c UserChange, o audit.Origin) (User, audit.Event, error) {
	now := s.now()
	if c.LoginIDs == nil {
		c.LoginIDs = new([]string)
	}
	bad := problems(slices.Clone(c.Unreadable))
	u := c.apply(User{ID: id.NewUser(now), Project: l.p, Status: Enabled, CreatedAt: millis(now), UpdatedAt: millis(now)}, &bad)
	granted, err := l.grants(ctx, c.GrantChange, &bad)
	if err == nil {
		err = bad.refusal(badUser)
	}
	if err != nil {
		return User{}, audit.Event{}, err
	}
	u.Grants = granted.to(Grants{}).tidy()
	e := audit.New(l.p, now, audit.UserCreated, o).Of(id.Session{}, u.ID)
	return u, grantEvent(e, Grants{}, u.Grants), nil
}

// User returns a user by id; fault.NotFound when the project has none such.
func (s *Service) User(ctx context.Context, p id.Project, u id.User) (User, error) {
	return s.users.Find(ctx, p, u)
}

// UserByLogin returns a user by any of the login ids.
func (s *Service) UserByLogin(ctx context.Context, p id.Project, login string) (User, error) {
	return s.users.FindByLogin(ctx, p, login)
}

// Users lists users as HolderStore.Search does.
func (s *Service) Users(ctx context.Context, q UserQuery) ([]User, id.User, error) {
	return s.holders.Search(ctx, q)
}

// ChangeUser changes a user. Disabling ends all of the user's sessions, in the same
// transaction; enabling again doesn't bring them back.
func (s *Service) ChangeUser(ctx context.Context, p id.Project, u id.User, c UserChange, o audit.Origin) (User, error) {
	granted, err := s.checkChange(ctx, p, u, c)
	if err != nil {
		return User{}, err
	}
	return s.changeUser(ctx, p, u, c, granted, o)
}

func (s *Service) changeUser(ctx context.Context, p id.Project, u id.User, c UserChange, granted granting, o audit.Origin) (User, error) {
	now := s.now()
	return s.users.Change(ctx, p, u, func(old User) (User, []audit.Event, error) {
		var bad problems // nothing was unreadable: checkChange has refused that
		changed := c.apply(old, &bad)
		if err := bad.refusal(badUser); err != nil {
			return old, nil, err
		}
		var events []audit.Event
		if c.profile() {
			changed.UpdatedAt = millis(now)
			t := audit.UserUpdated
			switch {
			case old.Status != changed.Status && changed.Status == Disabled:
				t = audit.UserDisabled
				changed.Epoch++
			case old.Status != changed.Status:
				t = audit.UserEnabled
			}
			events = append(events, audit.New(p, now, t, o).Of(id.Session{}, u))
		}
		changed, regranted := changed.granted(granted.to(old.Grants), now, o)
		return changed, append(events, regranted...), nil
	})
}

// checkChange finds what a change of grants names, and refuses what is unreadable. What
// else is wrong with the change is told with it; otherwise that is left to the transaction
// of the change.
func (s *Service) checkChange(ctx context.Context, p id.Project, u id.User, c UserChange) (granting, error) {
	if c.none() && len(c.Unreadable) == 0 {
		return granting{}, nil
	}
	known, err := s.users.Find(ctx, p, u)
	if err != nil {
		return granting{}, err
	}
	bad := problems(slices.Clone(c.Unreadable))
	c.apply(known, &bad)
	granted, err := s.look(p).grants(ctx, c.GrantChange, &bad)
	if err == nil {
		err = bad.refusal(badUser)
	}
	return granted, err
}

// DeleteUser removes a user; the user's sessions are refused from then on.
func (s *Service) DeleteUser(ctx context.Context, p id.Project, u id.User, o audit.Origin) error {
	return s.users.Delete(ctx, p, u, audit.New(p, s.now(), audit.UserDeleted, o).Of(id.Session{}, u))
}
