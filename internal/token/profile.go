package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

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
	case utf8.RuneCountInString(in.Actor) > maxActor || strings.TrimSpace(in.Actor) != in.Actor || strings.ContainsFunc(in.Actor, unseen) || !utf8.ValidString(in.Actor):
		return fault.New(fault.Invalid, "").WithFields(fault.Field{Pointer: "/actor", Code: "format",
			Detail: fmt.Sprintf("1 to %d characters are wanted, without control or invisible characters and without spaces around them.", maxActor)})
	case in.EndOthers:
		return fault.New(fault.Contradiction, "").WithFields(
			fault.Field{Pointer: "/actor", Code: "contradiction", Detail: "Who acts as the user doesn't end the user's own sessions."},
			fault.Field{Pointer: "/revokeOthers", Code: "contradiction", Detail: "Leave it out when somebody acts as the user."})
	}
	return nil
}

// unseen reports whether people don't see a character, or see what stands beside it in
// another order: whoever reads who acts has to read what is written.
func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
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
