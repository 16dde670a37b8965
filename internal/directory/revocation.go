package directory

import (
	"time"

	"github.com/latchkey-dev/latchkey"
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
