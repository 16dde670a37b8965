package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func fits(session.Row) error { return nil }

func (o *office) claims(s session.Row, claims, nsec string, fit func(session.Row) error) (session.Found, error) {
	o.t.Helper()
	return o.ChangeClaims(o.t.Context(), o.project, s.ID, session.ClaimsChange{Claims: json.RawMessage(claims), NSec: json.RawMessage(nsec), Lint: o.lint}, fit, clerk)
}

func TestChangeClaims(t *testing.T) {
	o := newOffice(t)
	s := o.signIn(o.ada)
	epoch, before := int64(0), ""
	for _, c := range []struct{ claims, nsec, wantClaims, wantNSec string }{
		{`{"plan":"pro","seats":3}`, ``, `{"plan":"pro","seats":3}`, ``},
		{`{ "seats" : 4 , "a" : { "b" : null } }`, ``, `{"a":{"b":null},"plan":"pro","seats":4}`, ``},
		{``, `{"theme":"dark","sub":"whoever"}`, `{"a":{"b":null},"plan":"pro","seats":4}`, `{"sub":"whoever","theme":"dark"}`},
		{`{"a":null,"unknown":null}`, `{"sub":null}`, `{"plan":"pro","seats":4}`, `{"theme":"dark"}`},
		{`{}`, `null`, `{"plan":"pro","seats":4}`, `{"theme":"dark"}`},
		{`{"plan":null,"seats":null}`, `{"theme":null}`, ``, ``},
	} {
		var asked session.Row
		got, err := o.claims(s, c.claims, c.nsec, func(r session.Row) error { asked = r; return nil })
		if err != nil {
			t.Fatalf("%s %s: %v", c.claims, c.nsec, err)
		}
		stored, err := o.Get(t.Context(), o.project, s.ID)
		o.must(err)
		for what, row := range map[string]session.Row{"answered": got.Row, "stored": stored.Row, "fitted": asked} {
			if string(row.Claims) != c.wantClaims || string(row.NSec) != c.wantNSec {
				t.Errorf("%s %s %s\n%s %s, want\n%s %s", c.claims, c.nsec, what, row.Claims, row.NSec, c.wantClaims, c.wantNSec)
			}
		}
		var told []string
		if c.wantClaims+c.wantNSec != before { // what changes nothing is no change
			before = c.wantClaims + c.wantNSec
			epoch++
			told = append(told, "session.claims_changed <nil> <nil>")
		}
		if got.Status != session.Active || got.ClaimsEpoch != epoch || stored.ClaimsEpoch != epoch {
			t.Errorf("answered %s, epoch %d; stored %d; want %d", got.Status, got.ClaimsEpoch, stored.ClaimsEpoch, epoch)
		}
		o.expect(told...)
	}
}

func TestChangeClaimsRefused(t *testing.T) {
	o := newOffice(t)
	s := o.signIn(o.ada)
	_, err := o.claims(s, `{"plan":"pro"}`, ``, fits)
	o.must(err)
	o.said()
	for what, c := range map[string]struct {
		claims, nsec string
		kind         fault.Kind
		pointer      string
	}{
		"a reserved name":    {`{"plan":"x","sub":"root"}`, ``, fault.ReservedClaim, "/claims/sub"},
		"no object":          {`["plan"]`, ``, fault.Invalid, "/claims"},
		"no object for nsec": {``, `"x"`, fault.Invalid, "/nsec"},
		"a long value":       {`{"plan":"` + fmt.Sprintf("%0501d", 0) + `"}`, ``, fault.ClaimsTooLarge, "/claims/plan"},
		"a long one in nsec": {``, `{"x":"` + fmt.Sprintf("%0501d", 0) + `"}`, fault.ClaimsTooLarge, "/nsec/x"},
	} {
		_, err := o.claims(s, c.claims, c.nsec, func(session.Row) error {
			t.Errorf("%s: asked whether it fits", what)
			return nil
		})
		o.refused(err, c.kind)
		var refusal *fault.Error
		if !errors.As(err, &refusal) || len(refusal.Fields) != 1 || refusal.Fields[0].Pointer != c.pointer {
			t.Errorf("%s: %+v, want it at %s", what, err, c.pointer)
		}
	}
	large := fault.New(fault.ClaimsTooLarge, "too much")
	if _, err := o.claims(s, `{"plan":"team"}`, ``, func(session.Row) error { return large }); !errors.Is(err, large) {
		t.Errorf("what doesn't fit: %v", err)
	}
	found, err := o.Get(t.Context(), o.project, s.ID)
	if err != nil || string(found.Claims) != `{"plan":"pro"}` || found.NSec != nil || found.ClaimsEpoch != 1 {
		t.Errorf("refused changes left %s %s, epoch %d, %v", found.Claims, found.NSec, found.ClaimsEpoch, err)
	}
	o.expect()
}

func TestChangeClaimsOfWhatIsOver(t *testing.T) {
	o := newOffice(t)
	ended, expired := o.signIn(o.ada), o.signIn(o.ada)
	if _, err := o.End(t.Context(), o.project, ended.ID, byClerk); err != nil {
		t.Fatal(err)
	}
	o.pass(time.Hour)
	o.said()
	_, err := o.claims(ended, `{"a":1}`, ``, fits)
	o.refused(err, fault.SessionRevoked)
	_, err = o.claims(expired, `{"a":1}`, ``, fits)
	o.refused(err, fault.SessionExpired)
	_, err = o.claims(session.Row{ID: id.NewSession(opening)}, `{"a":1}`, ``, fits)
	o.refused(err, fault.NotFound)
	o.expect()
}

// outrun lets others change the claims just before the service does.
type outrun struct {
	session.Store
	rivals, tries int
}

func (s *outrun) SetClaims(ctx context.Context, p id.Project, sid id.Session, epoch int64, claims, nsec json.RawMessage, events ...audit.Event) (session.Row, error) {
	if s.tries++; s.tries <= s.rivals {
		rival := json.RawMessage(fmt.Sprintf(`{"rival":%d}`, s.tries))
		if _, err := s.Store.SetClaims(ctx, p, sid, epoch, rival, nsec, events...); err != nil {
			return session.Row{}, err
		}
	}
	return s.Store.SetClaims(ctx, p, sid, epoch, claims, nsec, events...)
}

// A change that lost against another one is merged into what the other left.
func TestChangeClaimsRetried(t *testing.T) {
	for rivals, want := range map[int]string{0: `{"a":1}`, 1: `{"a":1,"rival":1}`, 3: `{"a":1,"rival":3}`} {
		o := newOffice(t)
		s := o.signIn(o.ada)
		o.on(session.Deps{Store: &outrun{Store: o.store.Sessions(), rivals: rivals}, Bulk: o.store.Bulk(), Now: o.now})
		if got, err := o.claims(s, `{"a":1}`, ``, fits); err != nil || string(got.Claims) != want {
			t.Errorf("after %d rivals: %s, %v, want %s", rivals, got.Claims, err, want)
		}
	}
	o := newOffice(t)
	s := o.signIn(o.ada)
	store := &outrun{Store: o.store.Sessions(), rivals: 100}
	o.on(session.Deps{Store: store, Bulk: o.store.Bulk(), Now: o.now})
	_, err := o.claims(s, `{"a":1}`, ``, fits)
	o.refused(err, fault.Conflict)
	if store.tries < 2 || store.tries > 10 {
		t.Errorf("gave up after %d tries", store.tries)
	}
}

// Sixteen patches at once: none is lost, and each is one epoch.
func TestChangeClaimsTogether(t *testing.T) {
	const callers = 16
	o := newOffice(t)
	s := o.signIn(o.ada)
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for i := range callers {
		wait.Go(func() {
			<-begin
			for {
				_, err := o.claims(s, fmt.Sprintf(`{"c%d":%d}`, i, i), fmt.Sprintf(`{"n%d":%d}`, i, i), fits)
				if fault.KindOf(err) == fault.Conflict {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	close(begin)
	wait.Wait()
	found, err := o.Get(t.Context(), o.project, s.ID)
	o.must(err)
	var claims, nsec map[string]int
	o.must(json.Unmarshal(found.Claims, &claims))
	o.must(json.Unmarshal(found.NSec, &nsec))
	for i := range callers {
		if claims[fmt.Sprint("c", i)] != i || nsec[fmt.Sprint("n", i)] != i {
			t.Errorf("the claims of caller %d were lost", i)
		}
	}
	if len(claims) != callers || len(nsec) != callers || found.ClaimsEpoch != callers || len(o.said()) != callers {
		t.Errorf("%d and %d claims, epoch %d", len(claims), len(nsec), found.ClaimsEpoch)
	}
}

// What looks sensitive is told once for each place, with the change that set it.
func TestChangeClaimsFlagged(t *testing.T) {
	o := newOffice(t)
	s := o.signIn(o.ada)
	o.lint = claim.LintWarn
	for _, c := range []struct {
		claims, nsec string
		flagged      int
		told         bool
	}{
		{`{"plan":"pro"}`, ``, 0, false},
		{`{"mail":"a@example.com"}`, ``, 1, true},
		{`{"mail":"b@example.com"}`, ``, 1, false},
		{`{"plan":"team"}`, ``, 0, false},
		{``, `{"mail":"a@example.com"}`, 1, true},
		{`{"mail":"c@example.com","phone":"+14155552671"}`, ``, 2, true},
		{`{"mail":null,"phone":null}`, `{"mail":null}`, 0, false},
	} {
		got, err := o.claims(s, c.claims, c.nsec, fits)
		o.must(err)
		events := o.said()
		if len(got.Flagged) != c.flagged || (len(events) == 2) != c.told {
			t.Errorf("%s %s: %+v, events %v", c.claims, c.nsec, got.Flagged, events)
		}
	}
	// Under reject nothing is set, and there is no event without a change.
	o.lint = claim.LintReject
	_, err := o.claims(s, `{"mail":"a@example.com"}`, `{"pwd":"x"}`, func(session.Row) error {
		t.Error("asked whether it fits")
		return nil
	})
	if !claim.Rejected(err) {
		t.Errorf("got %v", err)
	}
	o.expect()
}
