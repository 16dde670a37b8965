package storetest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// standingLeft has users leave the tenants of their sessions, which sign-in actions have
// added to.
func standingLeft(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	for _, asked := range []bool{false, true} {
		u := w.member(t, tenant)
		row := w.row(u.ID)
		row.Tenant, row.Claims, row.Audience = tenant, json.RawMessage(`{"badge":7,"plan":"pro"}`), []string{"a", "b"}
		row.Acted = session.Acted{Claims: []string{"badge"}, Audience: []string{"b"}}
		row, err := w.insert(t, row, session.Admission{})
		ok(t, err)
		w.clock.Move(window)
		f := w.newest(t, row)
		f.Acts = asked
		// Nobody leaves who is a member.
		away := f
		away.Move = &session.Move{ClaimsEpoch: row.ClaimsEpoch, Claims: json.RawMessage(`{"away":1}`), Acted: session.Acted{Claims: []string{"away"}}}
		_, _, err = w.Sessions().Rotate(w.ctx, away)
		refused(t, err, fault.Conflict)
		_, err = w.grant(u.ID, directory.Grants{})
		ok(t, err)
		w.news(t)
		w.entries(t)
		want, from := `{"plan":"pro"}`, session.Acted{}
		if asked {
			before, _ := w.find(t, row.ID)
			if _, _, err := w.Sessions().Rotate(w.ctx, f); !errors.Is(err, session.ErrLeft) {
				t.Errorf("actions are to be asked: %v", err)
			}
			after, _ := w.find(t, row.ID)
			same(t, "the session", before, after)
			w.told(t)
			f, want, from = away, string(away.Move.Claims), away.Move.Acted
		}
		left := w.decided(t, f, session.Rotate)
		stored, _ := w.find(t, row.ID)
		same(t, "the stored session", left, stored)
		same(t, "the tenant", id.Tenant{}, stored.Tenant)
		same(t, "the claims", want, string(stored.Claims))
		same(t, "what actions have added", from, stored.Acted)
		same(t, "the epoch of the claims", row.ClaimsEpoch+1, stored.ClaimsEpoch)
		same(t, "the number of events", 1, len(w.news(t)))
		w.fed(t) // the membership's change was told already
	}
}

// standingGiven has somebody else change what sign-in actions have added.
func standingGiven(t *testing.T, w *world) {
	row := w.row(w.newUser(t).ID)
	row.Claims, row.Acted = json.RawMessage(`{"badge":7,"level":1}`), session.Acted{Claims: []string{"badge", "level"}, Audience: []string{"b"}}
	row, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	claims := json.RawMessage(`{"badge":8,"level":1}`)
	got, err := w.Sessions().SetClaims(w.ctx, row.Project, row.ID, row.ClaimsEpoch, claims, nil, w.event(row.Project, audit.SessionClaims))
	ok(t, err)
	stored, _ := w.find(t, row.ID)
	same(t, "the stored session", got, stored)
	same(t, "what is the actions'", session.Acted{Claims: []string{"level"}, Audience: []string{"b"}}, stored.Acted)
	same(t, "the claims", string(claims), string(stored.Claims))
}
