package session_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

var oneTenant, otherTenant = id.NewTenant(rotatedAt), id.NewTenant(rotatedAt.Add(time.Hour))

// in puts a session into a tenant of which its user is a member.
func in(t id.Tenant) change {
	return func(e *exchange) {
		e.State.Tenant, e.State.TenantEpoch, e.Member, e.Subject.TenantEpoch = t, 4, true, 4
	}
}

func left(e *exchange)                           { e.Member = false }
func sole(t id.Tenant) change                    { return func(e *exchange) { e.Sole, e.SoleEpoch = t, 7 } }
func subject(with func(*session.Subject)) change { return func(e *exchange) { with(&e.Subject) } }

func TestDeadTenant(t *testing.T) {
	t.Parallel()
	gone := subject(func(u *session.Subject) { u.TenantGone = true })
	disabled := subject(func(u *session.Subject) { u.TenantDisabled = true })
	grown := subject(func(u *session.Subject) { u.TenantEpoch++ })
	for name, tt := range map[string]struct {
		given []change
		want  session.Reason
	}{
		"a live tenant":                         {do(in(oneTenant)), ""},
		"deleted":                               {do(in(oneTenant), gone), session.TenantDeleted},
		"disabled":                              {do(in(oneTenant), disabled), session.TenantDisabled},
		"its sessions were ended":               {do(in(oneTenant), grown), session.Superseded},
		"no tenant: what it says doesn't count": {do(gone, disabled, grown), ""},
		"a tenant that the user has left ends no session": {do(in(oneTenant), left), ""},
		"the user goes first":                             {do(in(oneTenant), gone, subject(func(u *session.Subject) { u.UserEnabled = false })), session.UserDisabled},
		"the project is disabled":                         {do(subject(func(u *session.Subject) { u.ProjectDisabled = true })), session.ProjectDisabled},
	} {
		e, row, v, _ := apply(tt.given...)
		status, why := session.Row{State: e.State}.Status(e.Subject, e.now)
		if why != tt.want || (tt.want == "") != (status == session.Active) {
			t.Errorf("%s: it looks %s, %q", name, status, why)
		}
		if v.Issues() != (tt.want == "") || row.EndReason != tt.want {
			t.Errorf("%s: decided as %v, ended as %q", name, v.Rule, row.EndReason)
		}
		if tt.want != "" && fault.KindOf(v.Err(row.State)) != fault.SessionRevoked {
			t.Errorf("%s: refused with %v", name, v.Err(row.State))
		}
	}
}

// A refresh leaves a session in a tenant in which its user may be.
func TestSettle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		given []change
		auto  bool
		want  id.Tenant
		epoch int64
	}{
		"stays":                          {do(in(oneTenant), sole(otherTenant)), true, oneTenant, 4},
		"left":                           {do(in(oneTenant), left), false, id.Tenant{}, 0},
		"left, and one tenant is left":   {do(in(oneTenant), left, sole(otherTenant)), true, otherTenant, 7},
		"left, and nothing is automatic": {do(in(oneTenant), left, sole(otherTenant)), false, id.Tenant{}, 0},
		"the only one":                   {do(sole(oneTenant)), true, oneTenant, 7},
		"several":                        {nil, true, id.Tenant{}, 0},
		"a replay settles, too":          {do(after(time.Second), sole(oneTenant)), true, oneTenant, 7},
		"and a read":                     {do(readOnly, in(oneTenant), left), true, id.Tenant{}, 0},
		"a refusal doesn't":              {do(full, in(oneTenant), left), true, oneTenant, 4},
		"nor does a theft":               {do(presentGrand, sole(oneTenant)), true, id.Tenant{}, 0},
	} {
		e := ordinary()
		for _, c := range tt.given {
			c(&e)
		}
		row, v, events, err := session.Apply(rowOf(e), e.Subject, session.Refresh{Request: e.Request, AutoTenant: tt.auto}, e.now)
		if err != nil || row.Tenant != tt.want || row.TenantEpoch != tt.epoch || v.Moved {
			t.Errorf("%s: in %v of %d, %v; %v", name, row.Tenant, row.TenantEpoch, v, err)
		}
		told := slices.ContainsFunc(events, func(e audit.Event) bool { return e.Type == audit.TenantChanged && e.Data["asked"] == false })
		if told != (row.Tenant != e.State.Tenant) {
			t.Errorf("%s: told: %v", name, told)
		}
	}
}

func rowOf(e exchange) session.Row {
	return session.Row{ID: theSession, Project: theProject, User: theUser, State: e.State, Profile: session.Profile{
		ClaimsEpoch: 3, Claims: json.RawMessage(`{"plan":"pro"}`), NSec: json.RawMessage(`{"theme":"dark"}`), SigningKey: oldKey,
	}}
}

func TestMove(t *testing.T) {
	t.Parallel()
	open := subject(func(u *session.Subject) { u.Open, u.OpenEpoch = true, 9 })
	soon := rotatedAt.Add(48 * time.Hour)
	goal := session.Move{
		Tenant: otherTenant, ClaimsEpoch: 3, Claims: json.RawMessage(`{"plan":"pro","badge":1}`), Audience: []string{"b"},
		Acted: session.Acted{Claims: []string{"badge"}, Audience: []string{"b"}}, AbsoluteAt: soon, IdleLimit: time.Hour,
	}
	run := func(m session.Move, given ...change) (exchange, session.Row, session.Verdict, []audit.Event, error) {
		e := ordinary()
		for _, c := range given {
			c(&e)
		}
		row, v, events, err := session.Apply(rowOf(e), e.Subject, session.Refresh{Request: e.Request, SigningKey: freshKey, Move: &m}, e.now)
		return e, row, v, events, err
	}
	for name, given := range map[string][]change{
		"rotate": do(open), "replay": do(open, after(time.Second)), "from another tenant": do(open, in(oneTenant)), "from one that was left": do(open, in(oneTenant), left),
	} {
		e, row, v, events, err := run(goal, given...)
		if err != nil || !v.Moved || row.Tenant != otherTenant || row.TenantEpoch != 9 || string(row.Claims) != string(goal.Claims) || row.ClaimsEpoch != 4 ||
			!slices.Equal(row.Audience, goal.Audience) || row.AbsoluteAt != soon || row.IdleLimit != time.Hour || string(row.NSec) != `{"theme":"dark"}` {
			t.Errorf("%s: %+v, %v", name, row, err)
		}
		if want := row.LastSeen().Add(time.Hour); row.IdleAt != want {
			t.Errorf("%s: idle at %v, want %v", name, row.IdleAt, want)
		}
		if last := events[len(events)-1]; last.Type != audit.TenantChanged || last.Data["asked"] != true || last.Data["tenant"] != otherTenant.String() {
			t.Errorf("%s: %+v", name, last)
		}
		plain, _ := session.Decide(e.State, e.Subject, e.Request, e.now)
		if row.Newest != plain.Newest || row.Parent != plain.Parent || row.RotatedAt != plain.RotatedAt {
			t.Errorf("%s: the lineage isn't what the refresh alone makes of it", name)
		}
	}
	// Only ever shorter.
	laxer := goal
	laxer.AbsoluteAt, laxer.IdleLimit, laxer.Claims = soon.Add(10_000*day), 2*time.Hour, rowOf(ordinary()).Claims
	e, row, _, _, err := run(laxer, open, func(e *exchange) { e.IdleLimit = time.Hour })
	if err != nil || row.AbsoluteAt != e.AbsoluteAt || row.IdleLimit != time.Hour || row.ClaimsEpoch != 3 {
		t.Errorf("a move made the session longer, or counted a change of claims: %+v, %v", row.State, err)
	}
	// Nothing changes when it can't be, and a bad token is judged as ever.
	for name, tt := range map[string]struct {
		given []change
		epoch int64
		kind  fault.Kind
		rule  session.Rule
	}{
		"no such tenant":                         {nil, 3, fault.NotFound, session.Rotate},
		"other claims":                           {do(open), 2, fault.Conflict, session.Rotate},
		"no such tenant for a thief":             {do(presentGrand), 3, fault.Internal, session.Theft},
		"a thief who knows one":                  {do(open, presentGrand), 3, fault.Internal, session.Theft},
		"too often":                              {do(open, full), 3, fault.Internal, session.Limited},
		"ended":                                  {do(open, closed(session.Logout)), 3, fault.Internal, session.Revoked},
		"the old tenant was disabled: it's over": {do(open, in(oneTenant), subject(func(u *session.Subject) { u.TenantDisabled = true })), 3, fault.Internal, session.Revoked},
	} {
		m := goal
		m.ClaimsEpoch = tt.epoch
		e, row, v, events, err := run(m, tt.given...)
		if v.Rule != tt.rule || v.Moved || row.Tenant != e.State.Tenant || row.ClaimsEpoch != 3 {
			t.Errorf("%s: %v, %+v", name, v, row)
		}
		if tt.kind == fault.Internal {
			if err != nil || len(row.Trace.Entries) != 1 {
				t.Errorf("%s: %v, %+v", name, err, row.Trace)
			}
			continue
		}
		if fault.KindOf(err) != tt.kind || row.State != e.State || len(row.Trace.Entries) != 0 || len(events) != 0 {
			t.Errorf("%s: %v, %+v, %v", name, err, row, events)
		}
	}
}

// What sign-in actions have added goes when the user has left the tenant, unless they are
// to be asked: then nothing happens.
func TestLeft(t *testing.T) {
	t.Parallel()
	acted := func(e session.Row) session.Row {
		e.Claims, e.Audience = json.RawMessage(`{"badge":1,"plan":"pro"}`), []string{"a", "b"}
		e.Acted = session.Acted{Claims: []string{"badge"}, Audience: []string{"b"}}
		return e
	}
	for name, given := range map[string][]change{"rotate": nil, "replay": do(after(time.Second)), "read": do(readOnly)} {
		e := ordinary()
		for _, c := range append(do(in(oneTenant), left), given...) {
			c(&e)
		}
		row, _, _, err := session.Apply(acted(rowOf(e)), e.Subject, session.Refresh{Request: e.Request}, e.now)
		if err != nil || !row.Tenant.IsZero() || string(row.Claims) != `{"plan":"pro"}` || !slices.Equal(row.Audience, []string{"a"}) ||
			len(row.Acted.Claims)+len(row.Acted.Audience) != 0 || row.ClaimsEpoch != 4 {
			t.Errorf("%s: %+v, %v", name, row.Profile, err)
		}
		given := acted(rowOf(e))
		row, _, events, err := session.Apply(given, e.Subject, session.Refresh{Request: e.Request, Acts: true}, e.now)
		if !errors.Is(err, session.ErrLeft) || len(events) != 0 || row.State != given.State || row.ClaimsEpoch != 3 || len(row.Trace.Entries) != 0 {
			t.Errorf("%s, asked: %+v, %v, %v", name, row, events, err)
		}
		away := session.Move{ClaimsEpoch: 3, Claims: json.RawMessage(`{"plan":"basic"}`), Acted: session.Acted{Claims: []string{"plan"}}, IdleLimit: time.Hour}
		row, v, events, err := session.Apply(given, e.Subject, session.Refresh{Request: e.Request, Acts: true, Move: &away}, e.now)
		if err != nil || v.Moved || !row.Tenant.IsZero() || row.TenantEpoch != 0 || string(row.Claims) != `{"plan":"basic"}` || row.Audience != nil ||
			row.Acted.Claims[0] != "plan" || row.ClaimsEpoch != 4 || row.IdleLimit != time.Hour {
			t.Errorf("%s, answered: %+v, %v", name, row, err)
		}
		if told := events[len(events)-1]; told.Type != audit.TenantChanged || told.Data["asked"] != false || told.Data["from"] != oneTenant.String() {
			t.Errorf("%s: told %+v", name, told)
		}
		away.ClaimsEpoch++
		if _, _, _, err = session.Apply(given, e.Subject, session.Refresh{Request: e.Request, Acts: true, Move: &away}, e.now); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s, with other claims: %v", name, err)
		}
	}
	// The session of somebody who hasn't left, or who is nowhere, can't leave.
	away := session.Move{ClaimsEpoch: 3}
	for name, given := range map[string][]change{"a member": do(in(oneTenant)), "nowhere": nil, "nowhere, and open": do(subject(func(u *session.Subject) { u.Open = true }))} {
		e := ordinary()
		for _, c := range given {
			c(&e)
		}
		row, _, _, err := session.Apply(rowOf(e), e.Subject, session.Refresh{Request: e.Request, Acts: true, Move: &away}, e.now)
		if fault.KindOf(err) != fault.Conflict || row.Tenant != e.State.Tenant {
			t.Errorf("%s: %v, %v", name, row.Tenant, err)
		}
	}
	// Who presents a bad token learns nothing of it.
	e := ordinary()
	for _, c := range do(in(oneTenant), left, presentGrand) {
		c(&e)
	}
	if _, v, _, err := session.Apply(rowOf(e), e.Subject, session.Refresh{Request: e.Request, Acts: true}, e.now); err != nil || v.Rule != session.Theft {
		t.Errorf("a thief: %v, %v", v, err)
	}
}

// A claim that somebody changes isn't the sign-in actions' any more.
func TestGiven(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		claims string
		want   []string
	}{
		"as they were": {`{"badge":1,"level":2,"plan":"pro"}`, []string{"badge", "level"}},
		"another":      {`{"badge":1,"level":2,"plan":"basic"}`, []string{"badge", "level"}},
		"one of them":  {`{"badge":2,"level":2}`, []string{"level"}},
		"taken out":    {`{"badge":1}`, []string{"badge"}},
		"all":          {`{"badge":2,"level":3}`, nil},
		"none":         {``, nil},
	} {
		row := session.Row{Profile: session.Profile{Claims: json.RawMessage(`{"badge":1,"level":2,"plan":"pro"}`), ClaimsEpoch: 5, Acted: session.Acted{Claims: []string{"badge", "level"}, Audience: []string{"a"}}}}
		var claims json.RawMessage
		if tt.claims != "" {
			claims = json.RawMessage(tt.claims)
		}
		got := row.Given(claims, json.RawMessage(`{"n":1}`))
		if !slices.Equal(got.Acted.Claims, tt.want) || len(got.Acted.Audience) != 1 || string(got.Claims) != tt.claims || string(got.NSec) != `{"n":1}` || got.ClaimsEpoch != 6 {
			t.Errorf("%s: %+v", name, got.Profile)
		}
		if len(row.Acted.Claims) != 2 || row.Acted.Claims[0] != "badge" {
			t.Errorf("%s: the row from before has %v", name, row.Acted.Claims)
		}
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	row := rowOf(ordinary())
	now := rotatedAt.Add(500 * ms)
	by := session.StepUp{AMR: []string{"pwd", "totp", "mfa"}, TTL: 10 * time.Minute, Origin: origin}
	up, event, err := row.SteppedUpBy(by, now)
	if err != nil || up.StepUpUntil != now.Add(10*time.Minute) || !slices.Equal(up.StepUpAMR, by.AMR) || event.Type != audit.SessionSteppedUp {
		t.Fatalf("%+v, %+v, %v", up.Profile, event, err)
	}
	// A token's exp is in whole seconds: it must be later than its iat.
	for at, want := range map[time.Time]bool{
		now: true, now.Add(10*time.Minute - time.Second): true, up.StepUpUntil.Truncate(time.Second): false, up.StepUpUntil: false, now.Add(time.Hour): false,
	} {
		if up.SteppedUp(at, by.TTL) != want {
			t.Errorf("at %v: %v", at, !want)
		}
	}
	// A stepUpTTL that has become shorter counts from the proof, and a longer one gives nothing.
	for ttl, want := range map[time.Duration]time.Duration{5 * time.Minute: 5 * time.Minute, time.Hour: by.TTL, 0: 0} {
		if got := up.StepUpEnds(ttl); got != now.Add(want) {
			t.Errorf("with a stepUpTTL of %v it ends at %v", ttl, got)
		}
	}
	if row.SteppedUp(now, time.Hour) {
		t.Error("a session that never was")
	}
	by.TTL = 1000 * day
	if up, _, err = row.SteppedUpBy(by, now); err != nil || up.StepUpUntil != row.AbsoluteAt {
		t.Errorf("stepped up beyond the session's end: %v, %v", up.StepUpUntil, err)
	}
	row.Actor = "support"
	if _, _, err = row.SteppedUpBy(by, now); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("somebody who acts as the user: %v", err)
	}
}

// Replays make no token and aren't counted as refreshes, but moves are: each one is told
// to every verifier.
func TestMovesAreLimited(t *testing.T) {
	t.Parallel()
	e := ordinary()
	after(time.Second)(&e)
	e.Open = true
	row, moves := rowOf(e), 0
	for range 20 {
		m := session.Move{Tenant: oneTenant, ClaimsEpoch: row.ClaimsEpoch, Claims: row.Claims}
		next, v, _, err := session.Apply(row, e.Subject, session.Refresh{Request: e.Request, Move: &m}, e.now)
		if err != nil {
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.RateLimited || f.RetryAfter <= 0 {
				t.Fatal(err)
			}
			continue
		}
		if v.Rule != session.Replay {
			t.Fatal(v.Rule)
		}
		row, moves = next, moves+1
	}
	if moves != e.Policy.RotationLimit {
		t.Errorf("%d moves inside the window", moves)
	}
}

// The policy is that of the tenants that the user is a member of when it is decided.
func TestOverrides(t *testing.T) {
	t.Parallel()
	hour := latchkey.Duration(time.Hour)
	strict := map[id.Tenant]latchkey.TenantSettings{oneTenant: {IdleTimeout: &hour}}
	for name, tt := range map[string]struct {
		member []id.Tenant
		after  time.Duration
		want   session.Rule
	}{
		"a member who was away": {[]id.Tenant{otherTenant, oneTenant}, time.Hour, session.RanOut},
		"a member in time":      {[]id.Tenant{oneTenant}, time.Hour - ms, session.Rotate},
		"somebody else":         {[]id.Tenant{otherTenant}, 5 * day, session.Rotate},
	} {
		e := ordinary()
		after(tt.after)(&e)
		e.Tenants = tt.member
		row, v, _, err := session.Apply(rowOf(e), e.Subject, session.Refresh{Request: e.Request, Overrides: strict}, e.now)
		if err != nil || v.Rule != tt.want {
			t.Errorf("%s: %v, %v", name, v.Rule, err)
		}
		if v.Rule == session.Rotate && row.IdleAt.IsZero() == slices.Contains(tt.member, oneTenant) {
			t.Errorf("%s: idle at %v", name, row.IdleAt)
		}
	}
}

// What somebody does who acts as the user is never told as the user's own doing.
func TestEventsNameTheActor(t *testing.T) {
	t.Parallel()
	e := ordinary()
	presentGrand(&e)
	row := rowOf(e)
	row.Actor = "support: Eve"
	_, _, events, err := session.Apply(row, e.Subject, session.Refresh{Request: e.Request}, e.now)
	if err != nil || len(events) != 2 {
		t.Fatalf("%v, %v", events, err)
	}
	for _, ev := range append(events, row.EndedBy(session.Ending{Reason: session.Logout}, e.now), row.Event(audit.SessionClaims, origin, e.now)) {
		if ev.Data["impersonator"] != row.Actor {
			t.Errorf("%s says %v", ev.Type, ev.Data)
		}
	}
}

// A policy that has become stricter bites sessions that live already.
func TestRunsOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		idle, limit, absolute, after time.Duration
		over                         bool
	}{
		"nothing":                      {0, 0, 0, 20 * day, false},
		"a tightened idle timeout":     {time.Hour, 0, 0, time.Hour, true},
		"not yet":                      {time.Hour, 0, 0, time.Hour - ms, false},
		"the session's own":            {0, time.Hour, 0, time.Hour, true},
		"the session's own is shorter": {day, time.Hour, 0, time.Hour, true},
		"the policy's is shorter":      {time.Hour, day, 0, time.Hour, true},
		"a tightened absolute timeout": {0, 0, 2 * day, 2 * day, true},
	} {
		e := ordinary()
		after(tt.after)(&e)
		e.IdleLimit, e.Request.Policy.IdleTimeout = tt.limit, tt.idle
		if tt.absolute > 0 {
			e.Request.Policy.AbsoluteTimeout = tt.absolute
		}
		s, v := session.Decide(e.State, e.Subject, e.Request, e.now)
		if (v.Rule == session.RanOut) != tt.over {
			t.Errorf("%s: decided as %v", name, v.Rule)
		}
		if tt.over == e.now.Before(e.State.RunsOut(e.Request.Policy)) {
			t.Errorf("%s: runs out at %v", name, e.State.RunsOut(e.Request.Policy))
		}
		if idle := min(orLong(tt.idle), orLong(tt.limit)); v.Rule == session.Rotate && idle < 1000*day && s.IdleAt != e.now.Add(idle) {
			t.Errorf("%s: idle at %v", name, s.IdleAt)
		}
	}
}

func orLong(d time.Duration) time.Duration {
	if d == 0 {
		return 1000 * day
	}
	return d
}
