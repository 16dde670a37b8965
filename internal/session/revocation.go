package session

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Ends reports whether the decision itself has ended the session. One that was over
// before, whatever the trace shows now, was told to verifiers when that happened.
func (v Verdict) Ends() bool { return v.Rule == Theft }

// Revocation is what verifiers are told when the session ends at now. The absolute end
// is what bounds its tokens: the idle end may have been later once than it is now.
func (r Row) Revocation(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(r.Project, revocation.Session, r.ID.String(), now).NotAfter(r.AbsoluteAt)
}

// Outdated is what verifiers are told when the claims of the session change at now.
func (r Row) Outdated(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(r.Project, revocation.Epoch, r.ID.String(), now).NotAfter(r.AbsoluteAt)
}

// Moved is what verifiers are told when the session has changed its tenant at now: tokens
// of the old one are to be replaced. It is a millisecond early, else the token that comes
// of the very same refresh would have to be replaced, too.
func (r Row) Moved(l revocation.Life, now time.Time) revocation.Entry {
	return r.Outdated(l, now.Add(-time.Millisecond))
}

// SupersededIn is what verifiers are told when all sessions end in which a tenant is the
// current one.
func SupersededIn(p id.Project, t id.Tenant, l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(p, revocation.Tenant, t.String(), now)
}

// SupersededAt is what verifiers are told when all sessions of a user, or of the project
// when user is zero, end at now. The spared session, if there is one, goes on.
func SupersededAt(p id.Project, user id.User, spared id.Session, l revocation.Life, now time.Time) revocation.Entry {
	if user.IsZero() {
		return l.Entry(p, revocation.Project, p.String(), now).Sparing(spared)
	}
	return l.Entry(p, revocation.User, user.String(), now).Sparing(spared)
}
