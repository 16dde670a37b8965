package storetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func bulkChecks() []check {
	return []check{
		{"are filtered, newest first", bulkFilters},
		{"are listed page by page with their subjects", bulkPages},
		{"are listed by looking at no more than was asked", bulkReach},
		{"statuses follow the clock and the subject", bulkStatuses},
		{"belong to their project alone", bulkIsolation},
	}
}

// crowd is sessions that differ in everything that a filter looks at, oldest first.
func (w *world) crowd(t *testing.T) []session.Row {
	t.Helper()
	u, v := w.newUser(t), w.newUser(t)
	first, second := id.NewKey(w.clock.Now()), id.NewKey(w.clock.Now())
	var rows []session.Row
	for i, ip := range []string{"192.0.2.7", "192.0.3.7", "2001:db8::7", "", "not an address", "192.0.2.255"} {
		w.clock.Move(time.Second)
		row := w.row(u.ID)
		row.Device.IP, row.SigningKey = ip, first
		if i%2 == 1 {
			row.User = v.ID
		}
		if i%3 == 2 {
			row.SigningKey = second
		}
		row, err := w.insert(t, row, session.Admission{})
		ok(t, err)
		rows = append(rows, row)
	}
	_, err := w.Sessions().End(w.ctx, w.project.ID, rows[1].ID, w.ending())
	ok(t, err)
	rows[1] = endedAt(rows[1], session.Ended, w.clock.Now())
	w.news(t)
	return rows
}

func bulkFilters(t *testing.T, w *world) {
	rows := w.crowd(t)
	u, v := rows[0].User, rows[1].User
	for name, c := range map[string]struct {
		f    session.Filter
		want []int // of rows, newest first
	}{
		"none":      {session.Filter{}, []int{5, 4, 3, 2, 1, 0}},
		"limit":     {session.Filter{Limit: 2}, []int{5, 4}},
		"after":     {session.Filter{After: rows[2].ID}, []int{1, 0}},
		"user":      {session.Filter{User: u}, []int{4, 2, 0}},
		"other":     {session.Filter{User: v}, []int{5, 3, 1}},
		"nobody":    {session.Filter{User: id.NewUser(w.clock.Now())}, nil},
		"active":    {session.Filter{Status: session.Active}, []int{5, 4, 3, 2, 0}},
		"ended":     {session.Filter{Status: session.Over}, []int{1}},
		"expired":   {session.Filter{Status: session.Expired}, nil},
		"unheard":   {session.Filter{Status: "unheard"}, nil},
		"from":      {session.Filter{CreatedFrom: rows[3].CreatedAt}, []int{5, 4, 3}},
		"to":        {session.Filter{CreatedTo: rows[3].CreatedAt}, []int{2, 1, 0}},
		"span":      {session.Filter{CreatedFrom: rows[2].CreatedAt, CreatedTo: rows[4].CreatedAt}, []int{3, 2}},
		"network":   {session.Filter{IP: netip.MustParsePrefix("192.0.2.0/24")}, []int{5, 0}},
		"networks":  {session.Filter{IP: netip.MustParsePrefix("192.0.2.0/23")}, []int{5, 1, 0}},
		"all v4":    {session.Filter{IP: netip.MustParsePrefix("0.0.0.0/0")}, []int{5, 1, 0}},
		"v6":        {session.Filter{IP: netip.MustParsePrefix("2001:db8::/32")}, []int{2}},
		"address":   {session.Filter{IP: netip.MustParsePrefix("192.0.2.255/32")}, []int{5}},
		"key":       {session.Filter{SigningKey: rows[2].SigningKey}, []int{5, 2}},
		"many":      {session.Filter{User: v, Status: session.Active, SigningKey: rows[0].SigningKey, IP: netip.Prefix{}}, []int{3}},
		"all of it": {session.Filter{User: v, Status: session.Over, CreatedFrom: rows[1].CreatedAt, CreatedTo: rows[2].CreatedAt, IP: netip.MustParsePrefix("192.0.3.0/24"), SigningKey: rows[0].SigningKey, After: rows[2].ID}, []int{1}},
	} {
		c.f.Project = w.project.ID
		unlimited := c.f
		unlimited.Limit, unlimited.After = 0, id.Session{}
		if c.f.Limit == 0 {
			c.f.Limit = 99
		}
		got, subjects, next, err := w.Bulk().List(w.ctx, c.f)
		ok(t, err)
		want := []session.Row{}
		for _, i := range c.want {
			want = append(want, rows[i])
		}
		same(t, "filter "+name, want, got)
		same(t, "the number of subjects", len(want), len(subjects))
		if name == "limit" {
			same(t, "where to go on", rows[4].ID, next)
		} else {
			same(t, "where to go on", id.Session{}, next)
		}
		if c.f.After.IsZero() && c.f.Limit == 99 {
			n, err := w.Bulk().Count(w.ctx, unlimited)
			ok(t, err)
			same(t, "the count of "+name, len(want), n)
		}
	}
	n, err := w.Bulk().Count(w.ctx, session.Filter{Project: w.project.ID, After: rows[2].ID, Limit: 1})
	ok(t, err)
	same(t, "the count, which knows no pages", len(rows), n)
}

func bulkPages(t *testing.T, w *world) {
	rows := w.crowd(t)
	u, v := rows[0].User, rows[1].User
	w.change(t, u, func(u *directory.User) { u.Status = directory.Disabled })
	_, err := w.Bulk().EndAll(w.ctx, w.project.ID, v, id.Session{}, w.ending())
	ok(t, err)
	slices.Reverse(rows)
	for _, limit := range []int{1, 2, 4, 6, 7} {
		var got []session.Row
		f := session.Filter{Project: w.project.ID, Limit: limit}
		for range 7 {
			page, subjects, next, err := w.Bulk().List(w.ctx, f)
			ok(t, err)
			if len(page) > limit || len(page) != len(subjects) {
				t.Fatalf("a page of at most %d has %d rows and %d subjects", limit, len(page), len(subjects))
			}
			for i, row := range page {
				_, want := w.find(t, row.ID)
				same(t, "a subject", want, subjects[i])
			}
			got = append(got, page...)
			if next.IsZero() {
				break
			}
			f.After = next
		}
		same(t, "the pages", rows, got)
	}
}

// bulkReach looks for sessions that a filter rarely selects. The number of those it may
// look at is the same in every store, and so is where it stops.
func bulkReach(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	u, v := w.newUser(t), w.granted(t, directory.Grants{Memberships: []directory.Membership{{Tenant: tenant}}})
	var rows []session.Row // newest first
	for i := range 12 {
		w.clock.Move(time.Second)
		row := w.row(u.ID)
		row.Device.IP = "192.0.2.7"
		if i%5 == 1 { // 1, 6, 11
			row.User, row.Device.IP = v.ID, "198.51.100.7"
		}
		if i == 1 || i == 11 {
			row.Tenant = tenant
		}
		row, err := w.insert(t, row, session.Admission{})
		ok(t, err)
		rows = append([]session.Row{row}, rows...)
	}
	network := netip.MustParsePrefix("198.51.100.0/24")
	for name, c := range map[string]struct {
		f     session.Filter
		pages [][]int // of rows
		stops []int   // of rows: where each page but the last stops
	}{
		"any":                      {session.Filter{Limit: 5, Reach: 99}, [][]int{{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11}}, []int{4, 9}},
		"reach is less":            {session.Filter{Limit: 9, Reach: 5}, [][]int{{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11}}, []int{4, 9}},
		"rare":                     {session.Filter{IP: network, Limit: 9, Reach: 4}, [][]int{{0}, {5}, {10}}, []int{3, 7}},
		"empty pages":              {session.Filter{IP: network, Limit: 9, Reach: 2}, [][]int{{0}, {}, {5}, {}, {}, {10}}, []int{1, 3, 5, 7, 9}},
		"a full page":              {session.Filter{IP: network, Limit: 1, Reach: 7}, [][]int{{0}, {5}, {10}}, []int{0, 7}},
		"full, no more":            {session.Filter{IP: network, Limit: 3, Reach: 99}, [][]int{{0, 5, 10}}, nil},
		"full at the end of reach": {session.Filter{IP: network, Limit: 1, Reach: 5}, [][]int{{0}, {5}, {10}}, []int{4, 9}},
		"of a user":                {session.Filter{User: v.ID, Limit: 9, Reach: 2}, [][]int{{0, 5}, {10}}, []int{5}},
		"all looked at":            {session.Filter{User: v.ID, Limit: 9, Reach: 3}, [][]int{{0, 5, 10}}, nil},
		"in a tenant":              {session.Filter{Tenant: tenant, Limit: 9, Reach: 1}, [][]int{{0}, {10}}, []int{0}},
		"of a user, in a tenant":   {session.Filter{User: v.ID, Tenant: tenant, Limit: 9, Reach: 1}, [][]int{{0}, {}, {10}}, []int{0, 5}},
		"of another":               {session.Filter{User: u.ID, IP: network, Limit: 9, Reach: 6}, [][]int{{}, {}}, []int{7}},
		"from":                     {session.Filter{IP: network, CreatedFrom: rows[6].CreatedAt, Limit: 9, Reach: 7}, [][]int{{0, 5}}, nil},
		"to":                       {session.Filter{IP: network, CreatedTo: rows[4].CreatedAt, Limit: 9, Reach: 1}, [][]int{{5}, {}, {}, {}, {}, {10}, {}}, []int{5, 6, 7, 8, 9, 10}},
		"to a part more":           {session.Filter{CreatedTo: rows[9].CreatedAt.Add(time.Microsecond), Limit: 9, Reach: 9}, [][]int{{9, 10, 11}}, nil},
		"from a part":              {session.Filter{CreatedFrom: rows[2].CreatedAt.Add(time.Microsecond), Limit: 9, Reach: 2}, [][]int{{0, 1}}, nil},
		"unlimited":                {session.Filter{IP: network, Limit: 9}, [][]int{{0, 5, 10}}, nil},
		"nothing":                  {session.Filter{Status: session.Expired, Limit: 9, Reach: 12}, [][]int{{}}, nil},
	} {
		c.f.Project = w.project.ID
		for i, want := range c.pages {
			got, subjects, next, err := w.Bulk().List(w.ctx, c.f)
			ok(t, err)
			list := []session.Row{}
			for _, at := range want {
				list = append(list, rows[at])
			}
			same(t, name+": a page", list, got)
			same(t, name+": subjects", len(want), len(subjects))
			stop := id.Session{}
			if i < len(c.stops) {
				stop = rows[c.stops[i]].ID
			}
			same(t, name+": where to go on", stop, next)
			c.f.After = next
		}
	}
}

func bulkStatuses(t *testing.T, w *world) {
	u := w.newUser(t)
	counts := func(active, over, expired int) {
		t.Helper()
		for status, want := range map[session.Status]int{session.Active: active, session.Over: over, session.Expired: expired} {
			f := session.Filter{Project: w.project.ID, Status: status, Limit: 9}
			n, err := w.Bulk().Count(w.ctx, f)
			ok(t, err)
			same(t, "the count of "+string(status), want, n)
			list, _, _, err := w.Bulk().List(w.ctx, f)
			ok(t, err)
			same(t, "the list of "+string(status), want, len(list))
		}
	}
	counts(0, 0, 0)
	row := w.row(u.ID)
	row.IdleAt, row.AbsoluteAt = w.clock.Now().Add(time.Hour), w.clock.Now().Add(2*time.Hour)
	_, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	w.signIn(t, u.ID)
	counts(2, 0, 0)
	w.clock.Move(time.Hour - time.Millisecond)
	counts(2, 0, 0)
	w.clock.Move(time.Millisecond)
	counts(1, 0, 1)
	w.clock.Move(-time.Millisecond)
	counts(2, 0, 0)
	_, err = w.Bulk().EndAll(w.ctx, w.project.ID, u.ID, row.ID, w.ending())
	ok(t, err)
	counts(1, 1, 0)
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Disabled })
	counts(0, 2, 0)
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Enabled })
	counts(1, 1, 0)
	_, err = w.Bulk().EndAll(w.ctx, w.project.ID, id.User{}, id.Session{}, w.ending())
	ok(t, err)
	counts(0, 2, 0)
	w.signIn(t, u.ID)
	counts(1, 2, 0)
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, "user.deleted")))
	counts(0, 3, 0)
}

func bulkIsolation(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	other := w.newProject(t)
	for _, p := range []id.Project{other.ID, id.NewProject(w.clock.Now())} {
		for _, f := range []session.Filter{{}, {User: row.User}, {SigningKey: row.SigningKey}} {
			f.Project, f.Limit = p, 9
			rows, subjects, _, err := w.Bulk().List(w.ctx, f)
			ok(t, err)
			same(t, "the other project's sessions", 0, len(rows)+len(subjects))
			n, err := w.Bulk().Count(w.ctx, f)
			ok(t, err)
			same(t, "the other project's count", 0, n)
			ended, next, err := w.Bulk().EndMatching(w.ctx, f, w.ending())
			ok(t, err)
			if ended != 0 || !next.IsZero() {
				t.Errorf("%d ended, go on at %v", ended, next)
			}
		}
	}
	got, _ := w.find(t, row.ID)
	same(t, "the session", row, got)
}
