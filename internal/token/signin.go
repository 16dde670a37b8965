package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// SignIn is a session to be made: the application has authenticated the user.
type SignIn struct {
	Project   id.Project
	User      id.User
	AMR       []string // at least one; mfa is never taken from a caller
	Claims    json.RawMessage
	NSec      json.RawMessage
	Audience  []string
	Device    session.Device
	Context   session.Context
	Lifetime  time.Duration // 0: the absolute timeout; only ever shorter than it
	EndOthers bool
	Origin    audit.Origin
}

// methods maps each authentication method to the factor that it proves.
var methods = map[string]string{
	"pwd": "knowledge",
	"sms": "possession", "whatsapp": "possession", "email": "possession", "totp": "possession", "webauthn": "possession",
	"oauth": "federation", "fed": "federation",
}

// methodNames is the order in which people are told of them.
var methodNames = []string{"oauth", "email", "sms", "whatsapp", "webauthn", "totp", "fed", "pwd"}

// Limits of a sign-in.
const (
	maxAudience     = 20
	maxAudienceText = 200
	minLifetime     = 3 * time.Minute
)

// SignIn makes a session and returns its first tokens. Errors: fault.Invalid,
// OutOfRange, ReservedClaim, ClaimsTooLarge with every field that is wrong; NotFound for
// an unknown project or user; Conflict for a disabled user or one over
// maxSessionsPerUser, and while the project is disabled.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Set, error) {
	p, err := s.cached(ctx, in.Project)
	if err != nil {
		return Set{}, err
	}
	for range attempts {
		row, flagged, err := p.newRow(in, s.d.Now())
		if err != nil {
			return Set{}, err
		}
		// Minted before the insert, so that a session whose tokens don't fit is
		// never stored. The store sets nothing that tokens show.
		set, err := p.mint(row, session.Create, row.CreatedAt, 0, row.Newest)
		if err != nil {
			return Set{}, err
		}
		set.Flagged = flagged
		admission := session.Admission{EndOthers: in.EndOthers, Max: p.policy.MaxSessions, Deny: p.policy.DenyOverLimit}
		set.Row, err = s.d.Sessions.Insert(ctx, row, p.Version, admission, in.events(row, flagged)...)
		if errors.Is(err, session.ErrVersion) {
			if p, err = s.load(ctx, in.Project); err != nil {
				return Set{}, err
			}
			continue
		}
		return set, err
	}
	return Set{}, fault.New(fault.Unavailable, "The project is being changed; try again.")
}

// CheckSignIn returns what SignIn would refuse of everything but the user.
func (s *Service) CheckSignIn(ctx context.Context, in SignIn) error {
	p, err := s.current(ctx, in.Project)
	if err != nil {
		return err
	}
	if p.Status != directory.Enabled {
		return fault.New(fault.Conflict, "The project is disabled.")
	}
	row, _, err := p.newRow(in, s.d.Now())
	if err != nil {
		return err
	}
	_, err = p.mint(row, session.Create, row.CreatedAt, 0, row.Newest)
	return err
}

func (in SignIn) events(row session.Row, flagged []claim.Finding) []audit.Event {
	events := []audit.Event{audit.New(row.Project, row.CreatedAt, audit.SessionCreated, in.Origin).Of(row.ID, row.User)}
	if len(flagged) > 0 {
		events = append(events, audit.New(row.Project, row.CreatedAt, audit.ClaimsFlagged, in.Origin).Of(row.ID, row.User).
			With("findings", claim.Flagged(flagged)))
	}
	if in.EndOthers {
		events = append(events, audit.New(row.Project, row.CreatedAt, audit.SessionsEnded, in.Origin).Of(id.Session{}, row.User).
			With("reason", string(session.Superseded)).With("except", row.ID.String()))
	}
	return events
}

// newRow returns the first row of a session, and what the project's claimLint flags in
// its claims.
func (p *project) newRow(in SignIn, now time.Time) (session.Row, []claim.Finding, error) {
	now = session.Instant(now)
	profile, flagged, err := in.profile(claim.LintPolicy(p.Settings.ClaimLint), now)
	if err != nil {
		return session.Row{}, nil, err
	}
	lifetime := p.policy.AbsoluteTimeout
	if in.Lifetime != 0 {
		if in.Lifetime < minLifetime || in.Lifetime > lifetime {
			return session.Row{}, nil, fault.New(fault.OutOfRange, "The session can't be made like this.").WithFields(fault.Field{
				Pointer: "/lifetime", Code: "range", Detail: fmt.Sprintf("%v to the project's absoluteTimeout of %v is wanted.", minLifetime, lifetime)})
		}
		lifetime = in.Lifetime
	}
	profile.SigningKey = p.ring.Active()
	row := session.Row{
		ID: id.NewSession(now), Project: p.ID, User: in.User, Profile: profile,
		State: session.State{
			Newest: id.NewRefresh(), RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(lifetime), Context: in.Context,
		},
	}
	if p.policy.IdleTimeout > 0 {
		row.IdleAt = now.Add(p.policy.IdleTimeout)
	}
	row.Trace = row.Trace.Add(session.Entry{At: now, Rule: session.Create, Issued: row.Newest, Context: in.Context})
	return row, flagged, nil
}

// profile checks what the caller says of the session, all at once.
func (in SignIn) profile(lint claim.LintPolicy, now time.Time) (session.Profile, []claim.Finding, error) {
	var bad []fault.Field
	kind := fault.Invalid
	collect := func(err error) {
		var f *fault.Error
		if errors.As(err, &f) {
			if len(bad) == 0 {
				kind = f.Kind
			}
			bad = append(bad, f.Fields...)
		}
	}
	amr, err := checkAMR(in.AMR)
	collect(err)
	collect(checkAudience(in.Audience))
	claims, err := claim.Parse(in.Claims, "/claims")
	collect(err)
	nsec, err := claim.ParseUntrusted(in.NSec, "/nsec")
	collect(err)
	flagged, err := lint.Apply(claims, nsec)
	collect(err)
	if len(bad) > 0 {
		return session.Profile{}, nil, fault.New(kind, "The session can't be made like this.").WithFields(bad...)
	}
	return session.Profile{
		AuthTime: now, AMR: amr, Audience: slices.Clone(in.Audience), Claims: claims, NSec: nsec, Device: in.Device,
	}, flagged, nil
}

// checkAMR returns the methods, with mfa when they prove two different factors.
func checkAMR(amr []string) ([]string, error) {
	var bad []fault.Field
	if len(amr) == 0 || len(amr) > len(methods) {
		bad = append(bad, fault.Field{Pointer: "/amr", Code: "required", Detail: "How the user signed in: one or more of " + fmt.Sprint(methodNames) + "."})
	}
	factors := map[string]bool{}
	for i, m := range amr[:min(len(amr), len(methods))] {
		factor, known := methods[m]
		switch {
		case m == "mfa":
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "reserved", Detail: "mfa is added by the server when the methods prove two different factors."})
		case !known:
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "range", Detail: "One of " + fmt.Sprint(methodNames) + " is wanted."})
		case slices.Contains(amr[:i], m):
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "duplicate", Detail: "This method is given twice."})
		}
		factors[factor] = true
	}
	if len(bad) > 0 {
		return nil, fault.New(fault.Invalid, "").WithFields(bad...)
	}
	out := slices.Clone(amr)
	if len(factors) > 1 {
		out = append(out, "mfa")
	}
	return out, nil
}

func checkAudience(list []string) error {
	if len(list) > maxAudience {
		return fault.New(fault.Invalid, "").WithFields(fault.Field{Pointer: "/audience", Code: "size", Detail: fmt.Sprintf("At most %d entries are allowed.", maxAudience)})
	}
	var bad []fault.Field
	for i, a := range list {
		if a == "" || len(a) > maxAudienceText || strings.ContainsFunc(a, unicode.IsControl) {
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/audience/%d", i), Code: "size", Detail: fmt.Sprintf("1 to %d bytes without control characters are wanted.", maxAudienceText)})
		}
	}
	if len(bad) > 0 {
		return fault.New(fault.Invalid, "").WithFields(bad...)
	}
	return nil
}

// Fits returns a check of whether the tokens of a row would fit, for changes of claims.
func (s *Service) Fits(ctx context.Context, p id.Project) (func(session.Row) error, error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return nil, err
	}
	return func(row session.Row) error {
		_, err := current.mint(row, session.Replay, s.d.Now(), 0, row.Newest)
		return err
	}, nil
}
