// Package document owns the documents of a project that are rolled out: templates and
// sign-in actions (package template says what is in them). Each kind has versions, of
// which one is stable, and one may be the candidate for a share of the sessions. The
// package decides what saving, rolling out and rolling back do to that, and which
// sessions it concerns. It doesn't evaluate documents, and mints nothing.
//
//	         save percent<100            rollout 100
//	stable ─────────────────▶ stable ───────────────▶ candidate is stable,
//	                          candidate               stable is previous
//	                             │ rollback               │ rollback
//	                             ▼                        ▼
//	                           stable                  previous is stable
package document

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Kind is what a document is for.
type Kind string

// The kinds.
const (
	User      Kind = "user"      // template of users' session tokens
	AccessKey Kind = "accessKey" // template of access keys' tokens
	SignIn    Kind = "signIn"    // sign-in actions
)

// Kinds returns all kinds, in the order above.
func Kinds() []Kind { return []Kind{User, AccessKey, SignIn} }

// Limits of what is kept.
const (
	MaxVersions = 100 // of a kind; the oldest that isn't in use goes first
	MaxComment  = 500 // characters
	Shares      = 100 // sessions are told apart by latchkey.Share, which is 0 to 99
)

// Version is a document as it was saved. It never changes.
type Version struct {
	N         int // from 1, in the order of saving; none comes twice, also after a deletion
	Document  json.RawMessage
	Comment   string
	CreatedAt time.Time
	Actor     audit.Actor

	// Conceals is whether tokens may show what follows from a role or a tenant that they
	// don't name. While such a version of the kind User is in use, a store adds to each
	// revocation.Entry that is ByName one for all tokens of the project: without it what
	// has changed would be seen at the next refresh only.
	Conceals bool
}

// State is which versions of a kind are in use; 0 is none. It is comparable.
type State struct {
	Stable    int
	Candidate int // for sessions whose share is less than Percent
	Percent   int // 0 to 99; 0 without a candidate
	Previous  int // was stable before Stable
	Last      int // the greatest number that was given
}

// For returns the version that a session of this share gets; 0: none.
func (s State) For(share int) int {
	if s.Candidate > 0 && share < s.Percent {
		return s.Candidate
	}
	return s.Stable
}

// Uses reports whether a version must be kept.
func (s State) Uses(n int) bool {
	return n > 0 && (n == s.Stable || n == s.Candidate || n == s.Previous)
}

// Saved returns the state with a new version, for a share of sessions: 100 makes it the
// stable one; less makes it the candidate, in place of any that there was.
func (s State) Saved(percent int) State {
	s.Last++
	if percent >= Shares {
		return State{Stable: s.Last, Previous: s.Stable, Last: s.Last}
	}
	s.Candidate, s.Percent = s.Last, max(percent, 0)
	return s
}

// RolledOut returns the state with the candidate for another share of sessions; 100
// makes it the stable one. Without a candidate it is fault.Conflict.
func (s State) RolledOut(percent int) (State, error) {
	if s.Candidate == 0 {
		return s, fault.New(fault.Conflict, "There is no candidate to be rolled out. Save a version with a percentage below 100 first.")
	}
	if percent >= Shares {
		return State{Stable: s.Candidate, Previous: s.Stable, Last: s.Last}, nil
	}
	s.Percent = max(percent, 0)
	return s, nil
}

// RolledBack returns the state one step back: without the candidate, or, when there is
// none, with the previous version as stable one. With neither it is fault.Conflict.
func (s State) RolledBack() (State, error) {
	switch {
	case s.Candidate > 0:
		s.Candidate, s.Percent = 0, 0
	case s.Previous > 0:
		s.Stable, s.Previous = s.Previous, 0
	default:
		return s, fault.New(fault.Conflict, "There is nothing to go back to: neither a candidate nor a version that was stable before this one.")
	}
	return s, nil
}

// Deleted returns the state without any version.
func (s State) Deleted() State { return State{Last: s.Last} }

// Concerned returns the shares of sessions that get another version than before, as
// ranges [from, to), ascending and as few as possible.
func Concerned(before, after State) [][2]int {
	var ranges [][2]int
	for share := range Shares {
		if before.For(share) == after.For(share) {
			continue
		}
		if n := len(ranges); n > 0 && ranges[n-1][1] == share {
			ranges[n-1][1]++
		} else {
			ranges = append(ranges, [2]int{share, share + 1})
		}
	}
	return ranges
}

// Entries is what verifiers are told when a kind goes from one state to another at now:
// which tokens are outdated. Sign-in actions show only in sessions that are made later,
// and access keys' tokens, which nobody refreshes, are exchanged soon enough.
func Entries(p id.Project, kind Kind, before, after State, l revocation.Life, now time.Time) []revocation.Entry {
	if kind != User {
		return nil
	}
	var entries []revocation.Entry
	for _, r := range Concerned(before, after) {
		entries = append(entries, l.Entry(p, revocation.Share, latchkey.ShareMark(r[0], r[1]), now))
	}
	return entries
}

// Current is a kind with the documents of the versions that sessions get.
type Current struct {
	Kind     Kind
	State    State
	Versions []Version // the stable one and the candidate, as far as there are any
}

// Step is one change of a kind.
type Step struct {
	State State
	Save  *Version // to be added, with the number State.Last; nil: none
	Clear bool     // all versions are removed
	Event audit.Event
}

// Store keeps documents.
type Store interface {
	// InUse returns the kinds of a project of which sessions get a version. An unknown
	// project has none.
	InUse(ctx context.Context, p id.Project) ([]Current, error)

	// Find returns the state of a kind, the zero one when nothing was ever saved;
	// fault.NotFound for an unknown project.
	Find(ctx context.Context, p id.Project, k Kind) (State, error)

	// Version returns one version; fault.NotFound for one that isn't kept.
	Version(ctx context.Context, p id.Project, k Kind, n int) (Version, error)

	// List returns at most limit versions with a number less than before, or all when
	// before is 0, newest first.
	List(ctx context.Context, p id.Project, k Kind, before, limit int) ([]Version, error)

	// Change reads the state, hands it to step and writes what step returns, with its
	// event and with Entries in the revocation feed, in one transaction. It grows the
	// project's version, and removes the oldest versions that the new state doesn't use
	// while there are more than MaxVersions. step may be called more than once and must
	// be pure; an error of it is returned as it is and nothing is written. Unknown
	// project: fault.NotFound.
	Change(ctx context.Context, p id.Project, k Kind, step func(State) (Step, error)) (State, error)
}
