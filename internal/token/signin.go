package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// SignIn is a session to be made: the application has authenticated the user.
type SignIn struct {
	Project   id.Project
	User      id.User
	Tenant    id.Tenant // the current one; zero: the only one of the user, if the project says so
	Actor     string    // who acts as the user, whoever that is: impersonation; "" for the user
	AMR       []string  // at least one; mfa is never taken from a caller
	Claims    json.RawMessage
	NSec      json.RawMessage
	Audience  []string
	Device    session.Device
	Context   session.Context
	Lifetime  time.Duration // 0: the absolute timeout, an hour with an Actor; only ever shorter than the former
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
	maxActor        = 100 // characters

	// Of a session in which somebody acts as the user: long enough to look into
	// something, and never as long as the user's own may be.
	actorLifetime    = time.Hour
	maxActorLifetime = 24 * time.Hour
)

// errAgain means that a sign-in has to be worked out again: what it stood on is no more.
var errAgain = errors.New("the user's tenants have changed")

// SignIn makes a session and returns its first tokens. Errors: fault.Invalid,
// OutOfRange, Contradiction, ReservedClaim, ClaimsTooLarge with every field that is wrong;
// NotFound for an unknown project or user, and a tenant that the user isn't in; Conflict
// for a disabled user or project, and a user over maxSessionsPerUser; Denied and
// Insufficient by the project's sign-in actions. With an error nothing is stored.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Set, error) {
	p, err := s.cached(ctx, in.Project)
	if err != nil {
		return Set{}, err
	}
	for range attempts {
		set, err := s.signIn(ctx, p, in)
		switch {
		case errors.Is(err, session.ErrVersion):
			if p, err = s.load(ctx, in.Project); err != nil {
				return Set{}, err
			}
		case !errors.Is(err, errAgain):
			return set, err
		}
	}
	return Set{}, fault.New(fault.Unavailable, "The project is being changed; try again.")
}

func (s *Service) signIn(ctx context.Context, p *project, in SignIn) (Set, error) {
	now := s.d.Now() // before the user is read: tokens say that they are as new as that
	holder, err := s.d.Holders.Holder(ctx, p.ID, in.User)
	if err != nil {
		return Set{}, err
	}
	b, flagged, err := p.admitted(in, holder, now)
	if err != nil {
		return Set{}, err
	}
	var failures []failed
	b.row, failures, err = p.act(b, b.row.CreatedAt)
	s.tell(ctx, p.ID, id.Session{}, in.User, failures)
	if err != nil {
		return Set{}, err
	}
	// Minted before the insert, so that a session whose tokens don't fit is never stored.
	// The store sets nothing that tokens show.
	set, err := p.mint(b, moment{rule: session.Create, at: b.row.CreatedAt, held: b.row.Newest})
	if err != nil {
		return Set{}, err
	}
	set.Flagged = flagged
	row, err := s.d.Sessions.Insert(ctx, b.row, p.Version, in.admission(b.policy), in.events(b.row, flagged)...)
	if errors.Is(err, session.ErrNoTenant) && in.Tenant.IsZero() {
		return Set{}, errAgain
	}
	if err != nil {
		return Set{}, err
	}
	set.Row = row
	s.tell(ctx, p.ID, row.ID, row.User, set.failed)
	if in.overtaken(p, holder, row) {
		return s.anew(ctx, set), nil
	}
	return s.shownAgain(ctx, p, set, holder), nil
}

// shownAgain returns the set of a session that was just stored, with a token that shows its
// user as they are now if they have changed since was was read. A change whose transaction
// had read the clock before the sign-in did, and was only done after the user was read, is
// told to verifiers as older than the first token. None of the changes that are still to
// come is: the insert had to wait for those that had begun.
func (s *Service) shownAgain(ctx context.Context, p *project, set Set, was directory.Holder) Set {
	now, err := s.d.Holders.Holder(ctx, p.ID, set.Row.User)
	if err != nil {
		return set // they are gone, or the next refresh will show them
	}
	was.User.Epoch = now.User.Epoch // which EndOthers has grown, and no token shows
	if reflect.DeepEqual(was, now) {
		return set
	}
	fresh, err := p.mint(p.bearer(set.Row, now), moment{rule: session.Create, at: set.At, held: set.Row.Newest})
	if err != nil {
		return set
	}
	fresh.Flagged = set.Flagged
	return fresh
}

func (in SignIn) admission(p policy.Policy) session.Admission {
	if in.Actor != "" {
		return session.Admission{}
	}
	return session.Admission{EndOthers: in.EndOthers, Max: p.MaxSessions, Deny: p.DenyOverLimit}
}

// overtaken reports whether all sessions of the user, the tenant or the project were ended
// between the moment at which p and h were read and the insert of a session. The session
// is younger than that and lives, but its first token says that it is older.
func (in SignIn) overtaken(p *project, h directory.Holder, row session.Row) bool {
	user := h.User.Epoch
	if in.EndOthers {
		user++
	}
	tenant := slices.ContainsFunc(h.Tenants, func(t directory.Tenant) bool { return t.ID == row.Tenant && t.Epoch != row.TenantEpoch })
	return row.UserEpoch != user || row.ProjectEpoch != p.Epoch || tenant
}

// anew returns the set of a session that was stored a moment ago, with tokens as of now.
// Should that fail, the ones that it has are good for a refresh.
func (s *Service) anew(ctx context.Context, set Set) Set {
	p, err := s.load(ctx, set.Row.Project)
	if err != nil {
		return set
	}
	at := session.Instant(s.d.Now())
	b, err := s.bearer(ctx, p, set.Row, true)
	if err != nil {
		return set
	}
	fresh, err := p.mint(b, moment{rule: session.Create, at: at, held: set.Row.Newest})
	if err != nil {
		return set
	}
	fresh.Flagged = set.Flagged
	return fresh
}

// CheckSignIn returns what SignIn would refuse of everything but the user, who needn't
// exist yet.
func (s *Service) CheckSignIn(ctx context.Context, in SignIn) error {
	p, err := s.current(ctx, in.Project)
	if err != nil {
		return err
	}
	if p.Status != directory.Enabled {
		return fault.New(fault.Conflict, "The project is disabled.")
	}
	row, _, err := p.newRow(in, p.policy, s.d.Now())
	if err != nil {
		return err
	}
	_, err = p.mint(bearer{row: row, policy: p.policy}, moment{rule: session.Create, at: row.CreatedAt, held: row.Newest})
	return err
}

// admitted returns the first row of a session in the tenant where it begins.
func (p *project) admitted(in SignIn, h directory.Holder, now time.Time) (bearer, []claim.Finding, error) {
	row, flagged, err := p.newRow(in, p.rules.For(h.User.Tenants()), now)
	if err != nil {
		return bearer{}, nil, err
	}
	b := p.bearer(row, h)
	may := b.authorization()
	switch _, open := may.In(in.Tenant); {
	case in.Tenant.IsZero() && p.Settings.AutoTenant:
		b.row.Tenant = may.Sole()
	case in.Tenant.IsZero():
	case !open:
		return bearer{}, nil, fault.New(fault.NotFound, "The user is not in such a tenant.").
			WithFields(fault.Field{Pointer: "/tenant", Code: "unknown", Detail: "An enabled tenant is wanted of which the user is a member."})
	default:
		b.row.Tenant = in.Tenant
	}
	return b, flagged, nil
}

func (in SignIn) events(row session.Row, flagged []claim.Finding) []audit.Event {
	created := row.Event(audit.SessionCreated, in.Origin, row.CreatedAt)
	if !row.Tenant.IsZero() {
		created = created.With("tenant", row.Tenant.String())
	}
	events := []audit.Event{created}
	if row.Actor != "" {
		events = append(events, row.Event(audit.SessionImpersonated, in.Origin, row.CreatedAt).With("until", row.AbsoluteAt.Format(time.RFC3339)))
	}
	if len(flagged) > 0 {
		events = append(events, row.Event(audit.ClaimsFlagged, in.Origin, row.CreatedAt).With("findings", claim.Flagged(flagged)))
	}
	if in.EndOthers {
		events = append(events, audit.New(row.Project, row.CreatedAt, audit.SessionsEnded, in.Origin).Of(id.Session{}, row.User).
			With("reason", string(session.Superseded)).With("except", row.ID.String()))
	}
	return events
}

// newRow returns the first row of a session, and what the project's claimLint flags in
// its claims.
func (p *project) newRow(in SignIn, terms policy.Policy, now time.Time) (session.Row, []claim.Finding, error) {
	now = session.Instant(now)
	profile, flagged, err := in.profile(claim.LintPolicy(p.Settings.ClaimLint), now)
	if err != nil {
		return session.Row{}, nil, err
	}
	lifetime, err := in.lifetime(p.policy.AbsoluteTimeout)
	if err != nil {
		return session.Row{}, nil, err
	}
	profile.SigningKey = p.ring.Active()
	row := session.Row{
		ID: id.NewSession(now), Project: p.ID, User: in.User, Profile: profile,
		State: session.State{
			Newest: id.NewRefresh(), RotatedAt: now, CreatedAt: now, Context: in.Context,
			// A tenant may want it shorter than whoever asks can know.
			AbsoluteAt: now.Add(min(lifetime, terms.AbsoluteTimeout)),
		},
	}
	if terms.IdleTimeout > 0 {
		row.IdleAt = now.Add(terms.IdleTimeout)
	}
	row.Trace = row.Trace.Add(session.Entry{At: now, Rule: session.Create, Issued: row.Newest, Context: in.Context})
	return row, flagged, nil
}

// lifetime is how long the session may live at most.
func (in SignIn) lifetime(longest time.Duration) (time.Duration, error) {
	whose := "the project's absoluteTimeout of"
	usual := longest
	if in.Actor != "" {
		if longest > maxActorLifetime {
			whose, longest = "the longest that somebody may act as a user,", maxActorLifetime
		}
		usual = min(longest, actorLifetime)
	}
	if in.Lifetime == 0 {
		return usual, nil
	}
	if in.Lifetime < minLifetime || in.Lifetime > longest {
		return 0, fault.New(fault.OutOfRange, "The session can't be made like this.").WithFields(fault.Field{
			Pointer: "/lifetime", Code: "range", Detail: fmt.Sprintf("%s to %s %s is wanted.", latchkey.Duration(minLifetime), whose, latchkey.Duration(longest))})
	}
	return in.Lifetime, nil
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
	collect(in.checkActor())
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
		Actor: in.Actor,
	}, flagged, nil
}

func (in SignIn) checkActor() error {
	switch {
	case in.Actor == "":
		return nil
	case utf8.RuneCountInString(in.Actor) > maxActor || strings.TrimSpace(in.Actor) != in.Actor || strings.ContainsFunc(in.Actor, unicode.IsControl) || !utf8.ValidString(in.Actor):
		return fault.New(fault.Invalid, "").WithFields(fault.Field{Pointer: "/actor", Code: "format",
			Detail: fmt.Sprintf("1 to %d characters are wanted, without control characters and without spaces around them.", maxActor)})
	case in.EndOthers:
		return fault.New(fault.Contradiction, "").WithFields(
			fault.Field{Pointer: "/actor", Code: "contradiction", Detail: "Who acts as the user doesn't end the user's own sessions."},
			fault.Field{Pointer: "/revokeOthers", Code: "contradiction", Detail: "Leave it out when somebody acts as the user."})
	}
	return nil
}

// checkAMR returns the methods, with mfa when they prove two different factors.
func checkAMR(amr []string) ([]string, error) {
	var bad []fault.Field
	if len(amr) == 0 || len(amr) > len(methods) {
		bad = append(bad, fault.Field{Pointer: "/amr", Code: "required", Detail: "How the user signed in: one or more of " + strings.Join(methodNames, ", ") + "."})
	}
	for i, m := range amr[:min(len(amr), len(methods))] {
		_, known := methods[m]
		switch {
		case m == "mfa":
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "reserved", Detail: "The server adds mfa by itself when the methods prove two different factors."})
		case !known:
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "range", Detail: "One of " + strings.Join(methodNames, ", ") + " is wanted."})
		case slices.Contains(amr[:i], m):
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/amr/%d", i), Code: "duplicate", Detail: "This method is given twice."})
		}
	}
	if len(bad) > 0 {
		return nil, fault.New(fault.Invalid, "The methods of authentication can't be taken like this.").WithFields(bad...)
	}
	return together(amr, nil), nil
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
		b, err := s.bearer(ctx, current, row, true)
		if fault.KindOf(err) == fault.SessionRevoked {
			b, err = bearer{row: row, policy: current.policy}, nil // whose user is gone: the store says so
		}
		if err == nil {
			_, err = current.mint(b, moment{rule: session.Replay, at: session.Instant(s.d.Now()), held: row.Newest})
		}
		return err
	}, nil
}
