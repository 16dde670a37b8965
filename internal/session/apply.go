package session

import (
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// Refresh is what a store needs to run a refresh in one transaction.
type Refresh struct {
	Project id.Project
	Session id.Session
	// Version is the project version that Request.Policy and the check of the token
	// come from. A store whose project row has another one decides nothing and
	// returns ErrVersion, so that no cached policy or key outlives its change.
	Version    int64
	SigningKey id.Key // signs a token that the refresh makes
	Request    Request
	Origin     audit.Origin

	// AutoTenant makes the only enabled tenant of the user the current one, when the
	// session has none or the user has left it.
	AutoTenant bool
	Move       *Move // nil: the session stays where it is

	// Acts says that sign-in actions have a say in every change of tenant. So a refresh
	// that finds that the user has left the session's tenant is ErrLeft.
	Acts bool

	// Overrides are the settings of the enabled tenants that are stricter than the
	// project. Those of the user's tenants tighten Request.Policy, wherever the session
	// is: which ones these are is looked up in the transaction.
	Overrides map[id.Tenant]latchkey.TenantSettings
}

// Apply runs Decide on a row, settles its tenant, appends the decision to the trace and
// returns the events to be written with it. It is pure. Stores call it inside the
// transaction; the row it returns differs from the one given in every case, since the
// trace does. An error means that the session can't make f.Move, or ErrLeft: then nothing
// may be written. It is told to nobody but who presented a token that is good for a refresh.
func Apply(row Row, u Subject, f Refresh, now time.Time) (Row, Verdict, []audit.Event, error) {
	now = Instant(now)
	before := row
	f.Request.Policy = policy.Rules{Project: f.Request.Policy, Tenants: f.Overrides}.For(u.Tenants)
	var v Verdict
	row.State, v = Decide(row.State, u, f.Request, now)
	v.Granted = u.Granted
	if v.Issues() {
		var err error
		if row, v.Moved, err = row.settled(u, f, v, now); err != nil {
			return before, v, nil, err
		}
	}
	if v.Made() {
		row.SigningKey = f.SigningKey
	}
	out := events(row, before.State, v, f, now)
	if row.Tenant != before.Tenant {
		out = append(out, row.changedTenant(before.Tenant, v.Moved, f.Origin, now))
	}
	issued := id.Refresh{}
	if v.Issues() && v.Rule != Read {
		issued = row.Newest
	}
	row.Trace = row.Trace.Add(Entry{
		At: now, Rule: v.Rule, Foreign: v.Foreign, Token: f.Request.Token, Issued: issued, Context: f.Request.Context,
	})
	return row, v, out, nil
}

// events returns what is to be told of a verdict; row has its state, but not yet its
// trace entry.
func events(row Row, before State, v Verdict, f Refresh, now time.Time) []audit.Event {
	event := func(t audit.Type) audit.Event {
		return row.Event(t, f.Origin, now).
			With("presented", f.Request.Token.String()).
			With("network", network(f.Request.Context)).With("agent", f.Request.Context.Agent)
	}
	var out []audit.Event
	// One for each N. Whoever repeats himself inside the window would fill the log.
	if v.Foreign && !row.Trace.toldForeign() {
		out = append(out, event(audit.ReplayForeign).
			With("rotatedFromNetwork", network(before.Context)).With("rotatedFromAgent", before.Context.Agent))
	}
	switch v.Rule {
	case Recover:
		out = append(out, event(audit.RefreshRecovered).With("ageSeconds", v.Age.Seconds()).
			With("recoveries", float64(row.Recoveries)))
	case Theft:
		out = append(out, event(audit.TokenReuse).
			With("newest", before.Newest.String()).With("rotatedAt", before.RotatedAt.Format(time.RFC3339Nano)).
			With("rotatedFromNetwork", network(before.Context)).With("rotatedFromAgent", before.Context.Agent),
			event(audit.SessionEnded).With("reason", string(Reused)))
	}
	return out
}

func network(c Context) string {
	if !c.Network.IsValid() {
		return ""
	}
	return c.Network.String()
}

// Err is the refusal that a verdict means for a session in state s, nil when it hands
// out tokens.
func (v Verdict) Err(s State) error {
	switch v.Rule {
	case Theft:
		return fault.New(fault.TokenReuse, "This refresh token was already replaced. Two holders of the session are proven, so it was ended; sign in again.")
	case Revoked:
		if s.EndReason == Reused {
			return fault.New(fault.TokenReuse, "The session was ended because one of its refresh tokens was used by two holders; sign in again.")
		}
		return fault.New(fault.SessionRevoked, "The session was ended; sign in again.")
	case RanOut:
		return fault.New(fault.SessionExpired, "The session has run out; sign in again.")
	case Stale:
		return fault.New(fault.RequestExpired, "The request was composed too long ago to be judged; compose a new one with the token you hold now.")
	case Limited:
		return fault.New(fault.RateLimited, "The session was refreshed too often; keep the tokens you have and try again later.").After(v.RetryAfter)
	}
	return nil
}
