// Package revocation owns the revocation feed: which tokens that were minted already are
// not to be believed any more, told to every verifier. An entry is written by the store
// verb that ends the session, grows the epoch or revokes the key, in its transaction, so
// there is no end without its entry. It is forgotten once the last token that it
// concerns has expired by itself.
//
// It doesn't end anything, and it isn't asked by the server itself: a refresh looks at
// the session's row.
package revocation

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Kind is what an entry concerns.
type Kind string

// The kinds. All but Epoch, Role and Share refuse tokens; a token that those concern is
// good, but what it says of its user is outdated: a refresh puts that right.
const (
	Session Kind = "session" // the session with this id
	User    Kind = "user"    // tokens of the user or access key minted until At
	Tenant  Kind = "tenant"  // tokens with the tenant as current one minted until At
	Project Kind = "project" // all tokens of the project minted until At
	Epoch   Kind = "epoch"   // tokens of the session, user, tenant, access key or project minted until At
	Key     Kind = "key"     // what the signing key has signed
	Role    Kind = "role"    // tokens minted until At that name, anywhere, a role with this latchkey.RoleMark or TenantRoleMark
	Share   Kind = "share"   // tokens of sessions in these shares, a latchkey.ShareMark, minted until At
)

// Entry is one line of the feed. "Minted until At" is decided by the epc claim, which is
// an instant of the same clock: epc <= At in Unix milliseconds.
type Entry struct {
	Seq     int64  // order of commit, over all projects of the store; from 1, with gaps
	Tag     uint32 // random: a cursor of a store that was replaced by an older copy doesn't fit
	Project id.Project
	Kind    Kind
	ID      string     // of the session, user, tenant, project, key or access key; the mark of a role or of shares
	Except  id.Session // a session that a User or Project entry spares; zero: none
	At      time.Time  // by the store's clock, in whole milliseconds
	Until   time.Time  // from here on no token concerned can be valid
}

// Leeway is how much later than its expiry a verifier may still accept a token: it grants
// up to the largest clockSkew that settings allow, and its clock may be late by as much.
const Leeway = 10 * time.Minute

// Life is how long the tokens of a project live.
type Life struct {
	TTL    time.Duration // of session tokens minted now
	KeyTTL time.Duration // of those that access keys are exchanged for now

	// Before is when the last token has expired that was minted under a longer TTL
	// than now, of either kind; zero when there was none.
	Before time.Time
}

// until returns when an entry of time at can be forgotten that concerns tokens of a life.
func (l Life) until(at time.Time, ttl time.Duration) time.Time {
	until := at.Add(ttl)
	if l.Before.After(until) {
		until = l.Before
	}
	return until.Add(Leeway)
}

// Shortened returns the life once its TTLs have changed to those of next at the time now.
func (l Life) Shortened(next Life, now time.Time) Life {
	next.Before = l.Before
	for _, ttl := range [][2]time.Duration{{l.TTL, next.TTL}, {l.KeyTTL, next.KeyTTL}} {
		if last := now.Add(ttl[0]); ttl[1] < ttl[0] && last.After(next.Before) {
			next.Before = last
		}
	}
	return next
}

// Entry returns an entry of time at that concerns what has the given id. It spares
// nobody; the store gives it its Seq and Tag.
func (l Life) Entry(p id.Project, k Kind, about string, at time.Time) Entry {
	ttl := l.TTL
	if !ofSessions(k, about) {
		ttl = max(ttl, l.KeyTTL)
	}
	return Entry{Project: p, Kind: k, ID: about, At: at, Until: l.until(at, ttl)}
}

// ofSessions reports whether an entry concerns no token of an access key. Those may live
// for weeks, and verifiers needn't remember every session that long.
func ofSessions(k Kind, about string) bool {
	return k == Session || k == Share || strings.HasPrefix(about, "ses_") || strings.HasPrefix(about, "usr_")
}

// ByName reports whether the entry finds outdated tokens by a role or a tenant that they
// name. It doesn't find those that were made from it and don't name it.
func (e Entry) ByName() bool {
	return e.Kind == Role || e.Kind == Epoch && strings.HasPrefix(e.ID, "ten_")
}

// Sparing returns the entry with a session that it spares.
func (e Entry) Sparing(s id.Session) Entry {
	e.Except = s
	return e
}

// NotAfter returns the entry for tokens of which none expires later than last: it can
// be forgotten earlier.
func (e Entry) NotAfter(last time.Time) Entry {
	if end := last.Add(Leeway); end.Before(e.Until) {
		e.Until = end
	}
	return e
}

// NotBefore returns the entry for tokens of which some may expire as late as last.
func (e Entry) NotBefore(last time.Time) Entry {
	if end := last.Add(Leeway); end.After(e.Until) {
		e.Until = end
	}
	return e
}

// Behind returns the entry as it has to be while the store's clock is behind latest, an
// instant that it has shown before: tokens from before the clock was set back say that
// they were minted later than now, and live on as if they were.
func (e Entry) Behind(latest time.Time) Entry {
	if late := latest.Sub(e.At); late > 0 {
		e.At, e.Until = latest, e.Until.Add(late)
	}
	return e
}

// Passed tells what a clock has surely passed: it takes the clock itself and about as
// much time that has gone by. So a clock that is ahead for a while makes nothing be
// forgotten that still matters when it is right again. What it shows first is believed.
// The zero value is ready to use; it is not safe for concurrent use.
type Passed struct{ clock, real time.Time }

// catchUp is the part of the time gone by that an instant may run ahead of it, so that a
// step of the clock that stays, as after a sleep of the machine, is made up for.
const catchUp = 10

// By returns the instant when the clock shows now. A clock that goes back is followed.
func (p *Passed) By(now time.Time) time.Time {
	real := time.Now()
	if !p.real.IsZero() {
		span := real.Sub(p.real)
		if most := p.clock.Add(span + span/catchUp); now.After(most) {
			now = most
		}
	}
	p.clock, p.real = now, real
	return now
}

// Store keeps the entries that the other verbs of a store write.
type Store interface {
	// After returns at most limit entries of all projects with a greater Seq,
	// ascending. What it returns is complete: no entry with a smaller Seq than the
	// last one returned appears later.
	After(ctx context.Context, seq int64, limit int) ([]Entry, error)

	// Of returns at most limit entries of a project with a greater Seq, ascending, in
	// the same way. An unknown project has none.
	Of(ctx context.Context, p id.Project, seq int64, limit int) ([]Entry, error)

	// Last returns the greatest Seq that was ever given, 0 for none.
	Last(ctx context.Context) (int64, error)

	// Sweep removes at most limit entries whose Until was before cutoff, and returns
	// how many. Fewer than limit: none is left. It never looks past the store's now:
	// an entry that still matters stays, whatever the cutoff.
	Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error)
}
