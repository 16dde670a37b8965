package storetest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// moves are the operations of Agree. Refreshes come more often than the rest.
var moves = [...]func(*game){
	(*game).refresh, (*game).wait, (*game).signIn, (*game).refresh, (*game).wait, (*game).refresh,
	(*game).confirm, (*game).claims, (*game).end, (*game).endAll, (*game).endMatching, (*game).sweep,
	(*game).addUser, (*game).changeUser, (*game).deleteUser, (*game).settings, (*game).signingKeys, (*game).managementKeys,
	(*game).list, (*game).count, (*game).history, (*game).signIn, (*game).life, (*game).stepUp,
	(*game).addTenant, (*game).changeTenant, (*game).grant, (*game).override, (*game).sweepGrants, (*game).search, (*game).batch,
	(*game).permissions, (*game).addRole, (*game).changeRole, (*game).deleteRole, (*game).grantMore, (*game).grantMore,
}

func (g *game) wait() {
	waits := []time.Duration{
		0, time.Millisecond, time.Second, window - time.Millisecond, window, window + time.Millisecond, time.Minute,
		15 * time.Minute, time.Hour, 28 * 24 * time.Hour, -time.Millisecond, -time.Hour, 333_333 * time.Nanosecond,
	}
	d := choose(g, waits)
	g.clock.Move(d)
	g.log = append(g.log, "wait "+d.String())
}

func (g *game) now() time.Time { return session.Instant(g.clock.Now()) }

func (g *game) signIn() {
	if len(g.users) == 0 {
		g.addUser()
	}
	if len(g.family) == 24 {
		return
	}
	now, u, version := g.now(), g.user(), g.atVersion()
	newest := g.refreshID()
	row := session.Row{
		ID: id.Session(g.id()), Project: g.project, User: u,
		State: session.State{Newest: newest, RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(28 * 24 * time.Hour), Context: home},
		Profile: session.Profile{
			AuthTime: now, AMR: []string{"pwd"}, SigningKey: choose(g, g.keys).ID,
			Device: session.Device{IP: choose(g, []string{"192.0.2.7", "192.0.3.7", "2001:db8::7", "", "::ffff:192.0.2.9", "fe80::1%eth0"})},
		},
		Trace: session.Trace{}.Add(session.Entry{At: now, Rule: session.Create, Issued: newest, Context: home}),
	}
	if g.chance(4) {
		row.IdleAt = now.Add(time.Hour)
	}
	if g.chance(3) {
		row.Tenant = g.tenant()
	}
	if g.chance(8) {
		row.Actor = "support"
	}
	if f := g.one(); f != nil && g.chance(16) {
		row.ID, g.vague = f.id, true
	}
	a := session.Admission{EndOthers: g.chance(8), Max: g.pick(5), Deny: g.chance(4)}
	e := g.event(audit.SessionCreated).Of(row.ID, u)
	_, err := g.same(fmt.Sprintf("sign in %+v", a), func(s Store) (any, error) {
		row, err := s.Sessions().Insert(g.ctx, row, version, a, e)
		return answer{Row: row}, err
	})
	if err == nil {
		g.family = append(g.family, family{id: row.ID, user: u, tokens: []link{{token: newest}}})
	}
}

// one is one of the sessions, more often a late one; nil when there is none.
func (g *game) one() *family {
	if len(g.family) == 0 {
		return nil
	}
	return &g.family[max(0, len(g.family)-1-g.pick(6))]
}

func (g *game) refresh() {
	f := g.one()
	if f == nil {
		return
	}
	from := f.tokens[max(0, len(f.tokens)-1-g.pick(4))]
	if g.chance(32) {
		from = link{g.refreshID(), from.token}
	}
	p := policy.Of(policy.Defaults())
	p.ReuseWindow, p.RotationLimit = window, choose(g, []int{1000, 2, 5})
	p.Rotate, p.ForeignReplay = !g.chance(8), policy.ForeignReplay(g.pick(3))
	p.IdleTimeout = choose(g, []time.Duration{0, 0, time.Hour})
	if g.chance(8) {
		p.ReuseWindow = 0
	}
	r := session.Request{Token: from.token, Parent: from.parent, Next: g.refreshID(), Policy: p, ReadOnly: g.chance(8)}
	r.Context = choose(g, []session.Context{home, home, {}, {Agent: "curl"}, {Network: netip.MustParsePrefix("2001:db8:1::/48"), Agent: home.Agent}})
	if g.chance(8) {
		r.ComposedAt = g.clock.Now().Add(-choose(g, []time.Duration{time.Second, window, time.Hour}))
	}
	in := session.Refresh{Project: g.project, Session: f.id, Version: g.atVersion(), SigningKey: choose(g, g.keys).ID, Request: r, Origin: origin}
	in = g.travel(f, in)
	got, err := g.same(refreshed(in), func(s Store) (any, error) {
		row, v, err := s.Sessions().Rotate(g.ctx, in)
		return answer{Row: row, Verdict: v}, err
	})
	if a := got.(answer); err == nil {
		g.log = append(g.log, a.Verdict.Rule.Word())
		f.claims = a.Row.ClaimsEpoch
		if a.Verdict.Issues() {
			f.tokens = append(f.tokens, link{a.Row.Newest, a.Row.Parent})
		}
	}
}

func refreshed(in session.Refresh) string {
	if in.Move == nil {
		return fmt.Sprint("refresh, automatic tenant ", in.AutoTenant)
	}
	return fmt.Sprint("refresh and move to ", in.Move.Tenant)
}

func (g *game) confirm() {
	f := g.one()
	if f == nil {
		return
	}
	token := f.tokens[max(0, len(f.tokens)-1-g.pick(3))].token
	g.same("confirm", func(s Store) (any, error) { return s.Sessions().Confirm(g.ctx, g.project, f.id, token, window) })
}

func (g *game) claims() {
	f := g.one()
	if f == nil {
		return
	}
	epoch := f.claims + choose(g, []int64{0, 0, 0, 0, -1, 1})
	g.vague = epoch != f.claims
	claims, nsec := choose(g, []json.RawMessage{nil, json.RawMessage(`{}`), json.RawMessage(`{"a":[1]}`)}), choose(g, []json.RawMessage{nil, json.RawMessage(`{"b":"c"}`)})
	_, err := g.same("set claims", func(s Store) (any, error) {
		row, err := s.Sessions().SetClaims(g.ctx, g.project, f.id, epoch, claims, nsec, g.event(audit.SessionClaims).Of(f.id, f.user))
		return answer{Row: row}, err
	})
	if err == nil {
		f.claims++
	}
}

func (g *game) end() {
	f := g.one()
	if f == nil {
		return
	}
	g.same("end", func(s Store) (any, error) {
		return s.Sessions().End(g.ctx, g.project, f.id, session.Ending{Reason: session.Logout, Origin: origin})
	})
}

func (g *game) endAll() {
	u, keep := g.user(), id.Session{}
	if g.chance(4) {
		u = id.User{}
	}
	if f := g.one(); f != nil && g.chance(2) {
		keep = f.id
	}
	g.same(fmt.Sprint("end all of ", u, " but ", keep), func(s Store) (any, error) {
		return s.Bulk().EndAll(g.ctx, g.project, u, keep, session.Ending{Reason: session.Ended, Origin: origin})
	})
}

func (g *game) filter() session.Filter {
	f := session.Filter{Project: g.project}
	if g.chance(2) {
		f.User = g.user()
	}
	if g.chance(4) {
		f.Tenant = g.tenant()
	}
	f.Status = choose(g, []session.Status{"", session.Active, session.Over, session.Expired})
	if g.chance(4) {
		f.CreatedFrom = g.now().Add(-choose(g, []time.Duration{0, window, time.Hour}))
	}
	if g.chance(4) {
		f.CreatedTo = g.now()
	}
	f.IP = choose(g, []netip.Prefix{{}, {}, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")})
	if g.chance(4) {
		f.SigningKey = choose(g, g.keys).ID
	}
	if one := g.one(); one != nil && g.chance(4) {
		f.After = one.id
	}
	return f
}

func (g *game) endMatching() {
	f, limit, e := g.filter(), choose(g, []int{999, 1, 3}), session.Ending{Reason: session.Ended, Origin: origin}
	if limit < 999 {
		e.Reason = stepwise
	}
	g.same(fmt.Sprintf("end matching %+v", f), func(s Store) (any, error) {
		f, total := f, 0
		for f.Limit = limit; ; {
			n, next, err := s.Bulk().EndMatching(g.ctx, f, e)
			total += n
			if err != nil || next.IsZero() {
				return total, err
			}
			f.After = next
		}
	})
}

func (g *game) sweep() {
	cutoff := g.now().Add(choose(g, []time.Duration{0, -time.Hour, -28 * 24 * time.Hour, time.Hour, 1000 * 24 * time.Hour}))
	g.same("sweep", func(s Store) (any, error) { return s.Bulk().Sweep(g.ctx, cutoff, 9999) })
}

func (g *game) list() {
	f := g.filter()
	f.Limit, f.Reach = choose(g, []int{1, 3, 999}), choose(g, []int{0, 1, 4, 999})
	g.same(fmt.Sprintf("list %+v", f), func(s Store) (any, error) {
		rows, subjects, next, err := s.Bulk().List(g.ctx, f)
		return answer{Rows: rows, Subjects: subjects, Next: next}, err
	})
}

func (g *game) count() {
	f := g.filter()
	g.same(fmt.Sprintf("count %+v", f), func(s Store) (any, error) { return s.Bulk().Count(g.ctx, f) })
}

func (g *game) history() {
	q := audit.Query{}
	if f := g.one(); f != nil && g.chance(2) {
		q.Session = f.id
	}
	if g.chance(2) {
		q.User = g.user()
	}
	if g.chance(2) {
		q.Types = []audit.Type{audit.SessionCreated, audit.TokenReuse, audit.SessionEnded}
	}
	if g.chance(2) {
		q.From = g.now().Add(-choose(g, []time.Duration{0, window, time.Hour}))
	}
	if g.chance(4) {
		q.To = g.now()
	}
	g.same(fmt.Sprintf("history %+v", q), func(s Store) (any, error) { return g.events(s, q) })
}
