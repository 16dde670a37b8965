package storetest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func largestChecks() []check {
	return []check{
		{"the largest sessions", checkLargest},
		{"the largest sessions live", checkLargestLive},
		{"events without a change", checkAppend},
	}
}

// sized adds a session with claims of about these sizes, 0 for none.
func (w *world) sized(t testing.TB, u id.User, claims, nsec int) session.Row {
	t.Helper()
	row := w.row(u)
	row.Claims, row.NSec = nil, nil
	for to, n := range map[*json.RawMessage]int{&row.Claims: claims, &row.NSec: nsec} {
		if n > 0 {
			// Characters of two bytes: it is bytes that count.
			*to = json.RawMessage(`{"a":"` + strings.Repeat("é", n/2) + `"}`)
		}
	}
	row, err := w.Sessions().Insert(w.ctx, row, w.version(t), session.Admission{})
	ok(t, err)
	return row
}

func (w *world) largest(t testing.TB, limit int) []session.Row {
	t.Helper()
	rows, subjects, err := w.Bulk().Largest(w.ctx, w.project.ID, limit)
	ok(t, err)
	if len(rows) != len(subjects) {
		t.Fatalf("%d rows, %d subjects", len(rows), len(subjects))
	}
	for i, row := range rows {
		found, subject, err := w.Sessions().Find(w.ctx, w.project.ID, row.ID)
		ok(t, err)
		same(t, "a row", found, row)
		same(t, "its subject", subject, subjects[i])
	}
	return rows
}

func checkLargest(t *testing.T, w *world) {
	u := w.newUser(t).ID
	none := w.sized(t, u, 0, 0)
	small := w.sized(t, u, 10, 0)
	w.clock.Move(1e6)
	newer := w.sized(t, u, 0, 0)
	nsec := w.sized(t, u, 0, 200)
	both := w.sized(t, u, 150, 150)
	large := w.sized(t, u, 250, 0)
	other := w.newProject(t)
	want := []id.Session{both.ID, large.ID, nsec.ID, small.ID, newer.ID, none.ID}
	for limit := range len(want) + 2 {
		var got []id.Session
		for _, row := range w.largest(t, limit) {
			got = append(got, row.ID)
		}
		if n := min(limit, len(want)); len(got) != n || n > 0 && got[n-1] != want[n-1] {
			t.Errorf("of %d: %v, want %v", limit, got, want)
		}
	}
	rows, _, err := w.Bulk().Largest(w.ctx, other.ID, 10)
	ok(t, err)
	if len(rows) > 0 {
		t.Error("those of another project")
	}
	if _, _, err := w.Bulk().Largest(w.ctx, id.NewProject(w.clock.Now()), 10); err != nil {
		t.Error(err)
	}
	// Claims that change count as they are now.
	_, err = w.Sessions().SetClaims(w.ctx, w.project.ID, none.ID, 0, json.RawMessage(`{"a":"`+strings.Repeat("x", 400)+`"}`), nil)
	ok(t, err)
	if rows := w.largest(t, 1); rows[0].ID != none.ID {
		t.Error("a session that has grown isn't the largest")
	}
}

func checkLargestLive(t *testing.T, w *world) {
	u, gone := w.newUser(t).ID, w.newUser(t).ID
	ended, small := w.sized(t, u, 300, 0), w.sized(t, u, 10, 0)
	w.sized(t, gone, 400, 0)
	_, err := w.Sessions().End(w.ctx, w.project.ID, ended.ID, session.Ending{Reason: session.Ended, Origin: origin})
	ok(t, err)
	ok(t, w.Users().Delete(w.ctx, w.project.ID, gone, w.event(w.project.ID, audit.UserDeleted)))
	rows := w.largest(t, 10)
	if len(rows) != 1 || rows[0].ID != small.ID {
		t.Errorf("%d rows", len(rows))
	}
}

func checkAppend(t *testing.T, w *world) {
	one, two := w.event(w.project.ID, audit.TemplateFailed), w.event(w.project.ID, audit.TemplateFailed).With("path", "/claims/a")
	ok(t, w.Events().Append(w.ctx, one, two))
	w.told(t, one, two)
	ok(t, w.Events().Append(w.ctx))
	w.told(t)
}

func accessKeyLargest(t *testing.T, w *world) {
	sized := func(claims, attributes int, change ...func(*directory.AccessKey)) directory.AccessKey {
		return w.newAccessKey(t, append(change, func(k *directory.AccessKey) {
			for to, n := range map[*json.RawMessage]int{&k.Claims: claims, &k.Attributes: attributes} {
				if n > 0 {
					*to = json.RawMessage(`{"a":"` + strings.Repeat("é", n/2) + `"}`) // it is bytes that count
				}
			}
			w.clock.Move(time.Millisecond)
		})...)
	}
	grants, _ := w.granting(t)
	none := sized(0, 0)
	small := sized(40, 0)
	newer := sized(0, 0)
	attributes := sized(0, 600)
	granted := sized(0, 0, func(k *directory.AccessKey) { k.Grants = grants }) // 4 + 64 + 4 + 3 * 64 = 264
	both := sized(400, 400)
	large := sized(700, 0)
	sized(900, 0, func(k *directory.AccessKey) { k.Status = directory.Disabled })
	sized(800, 0, func(k *directory.AccessKey) { k.ExpiresAt = session.Instant(w.clock.Now().Add(time.Millisecond)) })
	w.clock.Move(time.Second)
	want := []id.AccessKey{both.ID, large.ID, attributes.ID, granted.ID, small.ID, newer.ID, none.ID}
	for limit := range len(want) + 2 {
		keys, err := w.AccessKeys().Largest(w.ctx, w.project.ID, limit)
		ok(t, err)
		var got []id.AccessKey
		for _, k := range keys {
			same(t, "a key", w.findAccessKey(t, k.ID), k)
			got = append(got, k.ID)
		}
		if !slices.Equal(got, want[:min(limit, len(want))]) {
			t.Errorf("of %d: %v, want %v", limit, got, want)
		}
	}
	// What a key weighs is what stores go by, to the byte.
	wider := sized(264-len(`{"a":""}`), 0)
	if weight := w.findAccessKey(t, granted.ID).Weight(); weight != 264 || w.findAccessKey(t, wider.ID).Weight() != weight {
		t.Errorf("weighs %d", weight)
	}
	keys, err := w.AccessKeys().Largest(w.ctx, w.project.ID, 5)
	ok(t, err)
	if keys[3].ID != wider.ID || keys[4].ID != granted.ID {
		t.Error("of two that weigh the same, the newer one isn't first")
	}
	// Keys that change count as they are now.
	w.changeAccessKey(t, none.ID, func(k *directory.AccessKey) { k.Claims = json.RawMessage(`{"a":"` + strings.Repeat("x", 2000) + `"}`) })
	if keys, err = w.AccessKeys().Largest(w.ctx, w.project.ID, 1); err != nil || keys[0].ID != none.ID {
		t.Errorf("a key that has grown isn't the largest: %v", err)
	}
	for _, p := range []id.Project{w.newProject(t).ID, id.NewProject(w.clock.Now())} {
		if keys, err := w.AccessKeys().Largest(w.ctx, p, 10); err != nil || len(keys) > 0 {
			t.Errorf("those of another project: %v, %v", keys, err)
		}
	}
}
