package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// minStepUp is the shortest step-up that can be asked for.
const minStepUp = time.Minute

// StepUp is a proof that the application has got of a session's user.
type StepUp struct {
	Session  id.Session
	AMR      []string      // at least one; mfa is never taken from a caller
	Lifetime time.Duration // 0: stepUpTTL; only ever shorter than it
	Origin   audit.Origin
}

// StepUp records the proof: until it is too old, tokens carry su and the methods of sign-in
// and proof together. The client is told to refresh. Errors: fault.Invalid, OutOfRange;
// NotFound for a session that the project doesn't have; SessionRevoked and SessionExpired
// for one that isn't active; Forbidden when somebody acts as its user.
func (s *Service) StepUp(ctx context.Context, project id.Project, in StepUp) (session.Found, error) {
	proof, err := checkAMR(in.AMR)
	if err != nil {
		return session.Found{}, err
	}
	p, err := s.current(ctx, project)
	if err != nil {
		return session.Found{}, err
	}
	row, _, err := s.d.Sessions.Find(ctx, project, in.Session)
	if err != nil {
		return session.Found{}, err
	}
	b, err := s.bearer(ctx, p, row, true)
	if err != nil {
		return session.Found{}, err
	}
	ttl := b.policy.StepUpTTL
	switch {
	case in.Lifetime == 0:
	case in.Lifetime < minStepUp || in.Lifetime > ttl:
		return session.Found{}, fault.New(fault.OutOfRange, "The session can't be stepped up like this.").WithFields(fault.Field{
			Pointer: "/lifetime", Code: "range", Detail: fmt.Sprintf("%s to the stepUpTTL of %s is wanted.", latchkey.Duration(minStepUp), latchkey.Duration(ttl))})
	default:
		ttl = in.Lifetime
	}
	// A session's methods never change, so those that were read are those that it has.
	row, err = s.d.Sessions.StepUp(ctx, project, in.Session, session.StepUp{AMR: together(row.AMR, proof), TTL: ttl, Origin: in.Origin})
	return session.Found{Row: row, Status: session.Active}, err
}

// together returns the methods of two lists, each once, with mfa at the end when they
// prove two different factors.
func together(first, second []string) []string {
	var all []string
	factors := map[string]bool{}
	for _, m := range slices.Concat(first, second) {
		factor, known := methods[m]
		if known && !slices.Contains(all, m) {
			all, factors[factor] = append(all, m), true
		}
	}
	if len(factors) > 1 {
		all = append(all, "mfa")
	}
	return all
}
