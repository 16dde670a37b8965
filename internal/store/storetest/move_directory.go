package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

func (g *game) addUser() {
	if len(g.users) == 4 {
		return
	}
	now := g.now()
	u := directory.User{
		ID: id.User(g.id()), Project: g.project, LoginIDs: []string{g.login()}, Name: "Ada", Status: directory.Enabled, CreatedAt: now, UpdatedAt: now,
	}
	if g.chance(3) {
		u.LoginIDs = append(u.LoginIDs, u.ID.String())
	}
	_, err := g.same("add a user", func(s Store) (any, error) { return nil, s.Users().Insert(g.ctx, u, g.event(audit.UserCreated)) })
	if err == nil {
		g.users = append(g.users, u.ID)
	}
}

func (g *game) login() string { return choose(g, []string{"a", "b", "c", "d", "e", "A"}) }

// user is one of the users, or somebody unknown.
func (g *game) user() id.User {
	if g.chance(16) {
		return id.User(g.id())
	}
	return choose(g, g.users)
}

func (g *game) changeUser() {
	u, what, login, status := g.user(), g.pick(4), g.login(), directory.Enabled
	if g.chance(2) {
		status = directory.Disabled
	}
	now := g.now()
	e := g.event(audit.UserUpdated)
	g.same(fmt.Sprint("change user ", what, status), func(s Store) (any, error) {
		return s.Users().Change(g.ctx, g.project, u, func(u directory.User) (directory.User, []audit.Event, error) {
			switch what {
			case 0:
				u.Status, u.UpdatedAt = status, now
			case 1:
				u.LoginIDs = []string{login, u.ID.String()}
			case 2:
				u.Epoch++
			case 3:
				return u, nil, fault.New(fault.Invalid, "no")
			}
			return u, []audit.Event{e}, nil
		})
	})
	g.same("find by login", func(s Store) (any, error) { return s.Users().FindByLogin(g.ctx, g.project, login) })
}

func (g *game) deleteUser() {
	if !g.chance(3) {
		return
	}
	u := g.user()
	g.same("delete a user", func(s Store) (any, error) {
		return nil, s.Users().Delete(g.ctx, g.project, u, g.event(audit.UserDeleted))
	})
}

// atVersion is the project's version, or another one. The operation has to be next.
func (g *game) atVersion() int64 {
	d := choose(g, []int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 1})
	g.vague = d != 0
	return g.version + d
}

func (g *game) settings() {
	s, version := policy.Defaults(), g.atVersion()
	s.MaxSessions = g.pick(9)
	s.SessionTokenTTL = latchkey.Duration(choose(g, []time.Duration{10 * time.Minute, time.Minute, 24 * time.Hour}))
	_, err := g.same("change settings", func(store Store) (any, error) {
		return nil, store.Projects().ChangeSettings(g.ctx, g.project, version, s, g.event(audit.SettingsChanged))
	})
	if err == nil {
		g.version++
	}
}

// life renames the project, disables or enables it.
func (g *game) life() {
	name, status := choose(g, []string{"acme", "acme europe"}), choose(g, []directory.Status{directory.Enabled, directory.Enabled, directory.Disabled})
	got, _ := g.same("change the project to "+name+" "+string(status), func(s Store) (any, error) {
		return s.Lives().Change(g.ctx, g.project, func(p directory.Project) (directory.Project, []audit.Event, error) {
			if name == p.Name && status == p.Status {
				return p, nil, nil
			}
			p.Name, p.Status = name, status
			return p, []audit.Event{g.event(audit.ProjectRenamed)}, nil
		})
	})
	g.version = got.(directory.Project).Version
}

func (g *game) signingKeys() {
	version, now := g.atVersion(), g.now()
	k := key.Key{ID: id.Key(g.id()), Project: g.project, Algorithm: key.ES256, State: key.Next, CreatedAt: now, ActivatesAt: now, Sealed: []byte("sealed")}
	c := key.Change{Insert: []key.Key{k}, Events: []audit.Event{g.event(audit.KeyCreated)}}
	if len(g.keys) > 0 {
		old := choose(g, g.keys)
		old.State, old.RetiredAt, old.GoneAt = key.Retired, now, now.Add(time.Hour)
		switch g.pick(5) {
		case 4:
			old.State = key.Revoked
			fallthrough
		case 1:
			c.Update = []key.Key{old}
		case 2:
			c.Insert, c.Remove = nil, []id.Key{old.ID}
		case 3:
			c.Insert = append(c.Insert, old) // there may be one like it
		}
	}
	_, err := g.same("change keys", func(s Store) (any, error) { return nil, s.Keys().Apply(g.ctx, g.project, version, c) })
	if err == nil {
		g.version++
		g.keys = append(g.keys, k)
	}
}

func (g *game) managementKeys() {
	k := directory.ManagementKey{
		ID: id.ManagementKey(g.id()), Project: g.project, Name: "backend", Kind: secret.Management, Digest: secret.Digest(append(make([]byte, 16), g.bytes()...)),
		CreatedAt: g.now(),
	}
	if len(g.managed) > 0 && g.chance(2) {
		k.Digest = choose(g, g.managed).Digest
	}
	if len(g.managed) == 0 || g.chance(2) {
		_, err := g.same("add a management key", func(s Store) (any, error) {
			return nil, s.ManagementKeys().Insert(g.ctx, k, g.event(audit.ManagementKeyCreated))
		})
		if err == nil {
			g.managed = append(g.managed, k)
		}
		return
	}
	old := g.pick(len(g.managed))
	_, err := g.same("rotate a management key", func(s Store) (any, error) {
		return s.ManagementKeys().Rotate(g.ctx, g.project, g.managed[old].ID, k.Digest, g.event(audit.ManagementKeyRotated))
	})
	g.same("find by digest", func(s Store) (any, error) { return s.ManagementKeys().FindByDigest(g.ctx, k.Digest) })
	if err == nil {
		g.managed[old].Digest = k.Digest
	}
}

func (g *game) bytes() []byte {
	v := g.id()
	return v[:]
}
