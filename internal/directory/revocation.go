package directory

import (
	"bytes"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Ends reports whether the change of a user from old to u ends sessions. A user who is
// disabled and enabled again with the same epoch has them back; verifiers refuse the
// tokens from before until they are refreshed.
func (u User) Ends(old User) bool {
	return u.Epoch > old.Epoch || old.Status == Enabled && u.Status != Enabled
}

// Revocation is what verifiers are told when all sessions of the user end at now.
func (u User) Revocation(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(u.Project, revocation.User, u.ID.String(), now)
}

// Outdated reports whether the change of a user from old to u makes what tokens say of
// them wrong: grants directly, attributes and profile by way of a template.
func (u User) Outdated(old User) bool {
	return !u.Grants.Equal(old.Grants) || !bytes.Equal(u.Attributes, old.Attributes) ||
		u.Name != old.Name || u.Email != old.Email || u.Phone != old.Phone || !slices.Equal(u.LoginIDs, old.LoginIDs)
}

// Entries are what verifiers are told when the user changes from old to u at now.
func (u User) Entries(old User, l revocation.Life, now time.Time) []revocation.Entry {
	switch {
	case u.Ends(old): // a token that is refused doesn't need to be refreshed
		return []revocation.Entry{u.Revocation(l, now)}
	case u.Outdated(old):
		return []revocation.Entry{l.Entry(u.Project, revocation.Epoch, u.ID.String(), now)}
	}
	return nil
}

// Outdated reports whether the change of a role from old to r makes tokens that name it
// wrong.
func (r Role) Outdated(old Role) bool {
	return r.Name != old.Name || !slices.Equal(r.Permissions, old.Permissions)
}

// Revocation is what verifiers are told when tokens that name the role are outdated at
// now: one entry, however many hold it. That of a tenant's own role concerns no token that
// names another one of its name.
func (r Role) Revocation(l revocation.Life, now time.Time) revocation.Entry {
	mark := latchkey.RoleMark(r.Name)
	if !r.Tenant.IsZero() {
		mark = latchkey.TenantRoleMark(r.Tenant.String(), r.Name)
	}
	return l.Entry(r.Project, revocation.Role, mark, now)
}

// Namesakes is Revocation of all roles with the name of r: one entry for many that change
// at once.
func (r Role) Namesakes(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(r.Project, revocation.Role, latchkey.RoleMark(r.Name), now)
}

// Entries are what verifiers are told when the tenant changes from old to t at now. When
// it is disabled or its epoch grows, sessions in which it is the current one are over;
// tokens that only name it are outdated by what they say of it. Of enabling they are told
// by Opened: no token that still counts names the tenant.
func (t Tenant) Entries(old Tenant, l revocation.Life, now time.Time) []revocation.Entry {
	disabled := old.Status == Enabled && t.Status != Enabled
	var told []revocation.Entry
	if disabled || t.Epoch > old.Epoch {
		told = append(told, l.Entry(t.Project, revocation.Tenant, t.ID.String(), now))
	}
	if disabled || t.Name != old.Name || !bytes.Equal(t.Attributes, old.Attributes) || !sameOverrides(t.Settings, old.Settings) {
		told = append(told, l.Entry(t.Project, revocation.Epoch, t.ID.String(), now))
	}
	return told
}

// MaxTold is of how many members of a tenant verifiers are told one by one.
const MaxTold = 1000

// Opens reports whether the change of a tenant from old to t gives its members something,
// of which a store tells verifiers by Opened.
func (t Tenant) Opens(old Tenant) bool { return old.Status != Enabled && t.Status == Enabled }

// Opened are what verifiers are told when the tenant is enabled at now: the tokens of its
// members are outdated. With more than MaxTold of them those of the whole project are, since
// others wait for the transaction; of so many members no more than that need be given.
func (t Tenant) Opened(members []id.User, l revocation.Life, now time.Time) []revocation.Entry {
	if len(members) > MaxTold {
		return []revocation.Entry{Outdated(t.Project, l, now)}
	}
	told := make([]revocation.Entry, len(members))
	for i, u := range members {
		told[i] = l.Entry(t.Project, revocation.Epoch, u.String(), now)
	}
	return told
}

// Gone are what verifiers are told when the tenant is deleted at now.
func (t Tenant) Gone(l revocation.Life, now time.Time) []revocation.Entry {
	return []revocation.Entry{
		l.Entry(t.Project, revocation.Tenant, t.ID.String(), now),
		l.Entry(t.Project, revocation.Epoch, t.ID.String(), now),
	}
}

// Life is how long the tokens of the project live; before is when the last one has
// expired that was minted under a longer TTL, as the store keeps it.
func (p Project) Life(before time.Time) revocation.Life {
	l := LifeUnder(p.Settings)
	l.Before = before
	return l
}

// LifeUnder is how long tokens live that are minted under some settings.
func LifeUnder(s latchkey.Settings) revocation.Life {
	return revocation.Life{TTL: s.SessionTokenTTL.Std(), KeyTTL: s.AccessKeyTokenTTL.Std()}
}
