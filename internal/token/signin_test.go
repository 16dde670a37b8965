package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// mfa is added by the server when the methods prove two different factors, and never
// taken from a caller.
func TestAMR(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	for given, want := range map[string]string{
		"pwd": "pwd", "totp": "totp", "oauth": "oauth", "email": "email", "sms": "sms", "whatsapp": "whatsapp", "webauthn": "webauthn", "fed": "fed",
		"pwd totp":      "pwd totp mfa",
		"totp pwd":      "totp pwd mfa",
		"sms totp":      "sms totp", // both prove possession
		"email sms":     "email sms",
		"oauth fed":     "oauth fed",
		"oauth sms":     "oauth sms mfa",
		"webauthn pwd":  "webauthn pwd mfa",
		"email pwd fed": "email pwd fed mfa",
	} {
		set := w.signIn(t, func(in *token.SignIn) { in.AMR = strings.Fields(given) })
		var c struct {
			AMR []string `json:"amr"`
		}
		claimsInto(t, set.Session, &c)
		if strings.Join(c.AMR, " ") != want || !slices.Equal(set.Row.AMR, c.AMR) {
			t.Errorf("%s: %v, want %s", given, c.AMR, want)
		}
	}
	for given, pointers := range map[string]string{
		"": "/amr", "mfa": "/amr/0", "pwd mfa": "/amr/1", "pwd pwd": "/amr/1", "PWD": "/amr/0", "password magic": "/amr/0 /amr/1",
		"pwd totp sms email oauth fed webauthn whatsapp pwd": "/amr",
	} {
		_, err := w.trySignIn(func(in *token.SignIn) { in.AMR = strings.Fields(given) })
		refusedAt(t, given, err, fault.Invalid, pointers)
	}
}

func refusedAt(t *testing.T, name string, err error, kind fault.Kind, pointers string) {
	t.Helper()
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Kind != kind {
		t.Errorf("%s: %v, want %v", name, err, kind)
		return
	}
	var got []string
	for _, f := range refusal.Fields {
		got = append(got, f.Pointer)
		if f.Code == "" || f.Detail == "" {
			t.Errorf("%s: an empty field: %+v", name, f)
		}
	}
	if strings.Join(got, " ") != pointers {
		t.Errorf("%s: wrong are %v, want %s", name, got, pointers)
	}
}

// All that is wrong with a sign-in is said at once.
func TestSignInRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"absoluteTimeout":"2h"}`)
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprint("a", i)
	}
	for name, c := range map[string]struct {
		change   func(in *token.SignIn)
		kind     fault.Kind
		pointers string
	}{
		"everything": {func(in *token.SignIn) {
			in.AMR, in.Audience, in.Claims, in.NSec = []string{"magic"}, []string{"", strings.Repeat("x", 201)}, json.RawMessage(`[]`), json.RawMessage(`7`)
		}, fault.Invalid, "/amr/0 /audience/0 /audience/1 /claims /nsec"},
		"reserved":      {func(in *token.SignIn) { in.Claims = json.RawMessage(`{"sub":1,"exp":2}`) }, fault.ReservedClaim, "/claims/exp /claims/sub"},
		"too large":     {func(in *token.SignIn) { in.NSec = json.RawMessage(`{"a":"` + strings.Repeat("x", 600) + `"}`) }, fault.ClaimsTooLarge, "/nsec/a"},
		"many audience": {func(in *token.SignIn) { in.Audience = many }, fault.Invalid, "/audience"},
		"too short":     {func(in *token.SignIn) { in.Lifetime = 3*time.Minute - 1 }, fault.OutOfRange, "/lifetime"},
		"negative":      {func(in *token.SignIn) { in.Lifetime = -time.Hour }, fault.OutOfRange, "/lifetime"},
		"too long":      {func(in *token.SignIn) { in.Lifetime = 2*time.Hour + 1 }, fault.OutOfRange, "/lifetime"},
	} {
		_, err := w.trySignIn(c.change)
		refusedAt(t, name, err, c.kind, c.pointers)
	}
	if n := w.sessions.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	for name, c := range map[string]struct {
		change func(in *token.SignIn)
		kind   fault.Kind
	}{
		"no such project": {func(in *token.SignIn) { in.Project = id.NewProject(w.clock.Now()) }, fault.NotFound},
		"no such user":    {func(in *token.SignIn) { in.User = id.NewUser(w.clock.Now()) }, fault.NotFound},
	} {
		if _, err := w.trySignIn(c.change); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.signIn(t, func(in *token.SignIn) { in.Lifetime = 2 * time.Hour; in.Audience = many[:20] })
}

// A session whose tokens couldn't be kept by a client is never stored.
func TestSignInChecksTheBudget(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings string
		claims   int // of 400 characters each
		fits     bool
	}{
		"body":                             {`{}`, 20, true},
		"body, over":                       {`{}`, 40, false},
		"cookie":                           {`{"delivery":{"refresh":"cookie"}}`, 5, true},
		"cookie, over":                     {`{"delivery":{"refresh":"cookie"}}`, 8, false},
		"cookie without claims":            {`{"delivery":{"refresh":"cookie"},"claimsInRefreshToken":false}`, 8, true},
		"cookie, opaque":                   {`{"delivery":{"refresh":"cookie"},"refreshTokenFormat":"opaque"}`, 8, true},
		"both cookies, opaque":             {`{"delivery":{"session":"cookie","refresh":"cookie"},"refreshTokenFormat":"opaque"}`, 8, false},
		"without claims, over for session": {`{"claimsInRefreshToken":false}`, 40, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.settings)
			set := map[string]string{}
			for i := range c.claims {
				set[fmt.Sprintf("claim%d", i)] = strings.Repeat("x", 400)
			}
			claims, err := json.Marshal(set)
			must(t, err)
			_, err = w.trySignIn(func(in *token.SignIn) { in.Claims = claims })
			if c.fits != (err == nil) || err != nil && fault.KindOf(err) != fault.ClaimsTooLarge {
				t.Errorf("got %v", err)
			}
			if n := w.sessions.calls.Load(); (n > 0) != c.fits {
				t.Errorf("the store was asked %d times", n)
			}
			// The same is said of a change of claims.
			fits, err := w.Fits(w.ctx, w.project)
			must(t, err)
			row := newWorld(t, `{}`).signIn(t).Row
			row.Claims = claims
			if err := fits(row); c.fits != (err == nil) {
				t.Errorf("a change: %v", err)
			}
		})
	}
}

func TestSignInAndTheOtherSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"maxSessionsPerUser":2,"onLimit":"deny"}`)
	one := w.signIn(t)
	w.signIn(t)
	if _, err := w.trySignIn(); fault.KindOf(err) != fault.Conflict {
		t.Errorf("over the limit: %v", err)
	}
	last := w.signIn(t, func(in *token.SignIn) { in.EndOthers = true })
	w.refused(t, one.Refresh, fault.SessionRevoked)
	w.refresh(t, w.Service, last.Refresh)
	events, err := w.store.Events().List(w.ctx, audit.Query{Project: w.project, Types: []audit.Type{audit.SessionsEnded}, Limit: 9})
	must(t, err)
	if len(events) != 1 || events[0].Data["except"] != last.Row.ID.String() {
		t.Errorf("the events: %+v", events)
	}

	disabled := directory.Disabled
	_, err = w.directory.ChangeUser(w.ctx, w.project, w.user, directory.UserChange{Status: &disabled}, audit.Origin{Actor: audit.CLI})
	must(t, err)
	if _, err := w.trySignIn(); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a disabled user: %v", err)
	}
	w.refused(t, last.Refresh, fault.SessionRevoked)
}

func TestNewNeedsItsDependencies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	good := token.Deps{
		Projects: w.store.Projects(), Keys: w.store.Keys(), Sessions: w.store.Sessions(), Holders: w.store.Holders(), Tenants: w.store.Tenants(), Master: w.master,
		Bulk: w.store.Bulk(), Documents: w.store.Documents(), Events: w.store.Events(), AccessKeys: w.store.AccessKeys(), PublicURL: publicURL, Now: w.clock.Now,
	}
	if _, err := token.New(good); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(d *token.Deps){
		func(d *token.Deps) { d.Projects = nil }, func(d *token.Deps) { d.Keys = nil },
		func(d *token.Deps) { d.Sessions = nil }, func(d *token.Deps) { d.Holders = nil }, func(d *token.Deps) { d.Tenants = nil },
		func(d *token.Deps) { d.Master = nil }, func(d *token.Deps) { d.Now = nil },
		func(d *token.Deps) { d.Bulk = nil }, func(d *token.Deps) { d.Documents = nil }, func(d *token.Deps) { d.Events = nil },
		func(d *token.Deps) { d.AccessKeys = nil },
		func(d *token.Deps) { d.PublicURL = "" }, func(d *token.Deps) { d.PublicURL += "/" },
	} {
		bad := good
		change(&bad)
		if _, err := token.New(bad); err == nil {
			t.Errorf("case %d: no error", i)
		}
	}
}

// What a session was made with is what its row keeps.
func TestSignInRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"idleTimeout":"1h"}`)
	device := session.Device{Name: "phone", IP: "192.0.2.7", UserAgent: "x"}
	set := w.signIn(t, everything, func(in *token.SignIn) { in.Device = device })
	row, _, err := w.store.Sessions().Find(w.ctx, w.project, set.Row.ID)
	must(t, err)
	now := w.clock.Now()
	if row.Device != device || !row.AuthTime.Equal(now) || !row.CreatedAt.Equal(now) || !row.IdleAt.Equal(now.Add(time.Hour)) ||
		!row.AbsoluteAt.Equal(now.Add(28*24*time.Hour)) || string(row.NSec) != `{"sub":"not me","theme":"dark"}` {
		t.Errorf("got %+v", row)
	}
	if len(row.Trace.Entries) != 1 || row.Trace.Entries[0].Rule != session.Create || row.Trace.Entries[0].Issued != row.Newest {
		t.Errorf("the trace: %+v", row.Trace)
	}
}
