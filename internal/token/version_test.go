package token_test

import (
	"context"
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

// Settings that change between reading them and the transaction are obeyed: no decision
// is made by outdated ones.
func TestSettingsChangeInBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	w.clock.Move(window)
	w.sessions.before = func() {
		w.sessions.before = nil
		w.settings(t, `{"refreshTokenFormat":"opaque","sessionTokenTTL":"1m"}`)
	}
	next := w.refresh(t, w.Service, set.Refresh)
	if !strings.HasPrefix(next.Refresh.Reveal(), "rt_") || !next.SessionExpiresAt.Equal(w.clock.Now().Add(time.Minute)) {
		t.Errorf("a refresh goes by the old settings: the session token ends %v", next.SessionExpiresAt)
	}
	w.sessions.before = func() {
		w.sessions.before = nil
		w.settings(t, `{"sessionTokenTTL":"2m"}`)
	}
	if set := w.signIn(t); !set.SessionExpiresAt.Equal(w.clock.Now().Add(2 * time.Minute)) {
		t.Errorf("a sign-in goes by the old settings: the session token ends %v", set.SessionExpiresAt)
	}
}

// Settings that never stand still are no reason to go on for ever.
func TestSettingsThatNeverStandStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	w.clock.Move(window)
	n := 0
	w.sessions.before = func() {
		n++
		w.settings(t, `{"audience":["a`+strings.Repeat("b", n)+`"]}`)
	}
	w.refused(t, set.Refresh, fault.Unavailable)
	if _, err := w.trySignIn(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a sign-in: %v", err)
	}
	w.sessions.before = nil
	w.refresh(t, w.Service, set.Refresh)
}

// moving is a store of projects whose version is another one each time.
type moving struct {
	directory.ProjectStore
	n int64
}

func (m *moving) Version(ctx context.Context, p id.Project) (int64, error) {
	v, err := m.ProjectStore.Version(ctx, p)
	m.n++
	return v + m.n, err
}

func TestProjectThatCantBeReadInPeace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	s, err := token.New(token.Deps{
		Projects: &moving{ProjectStore: w.store.Projects()}, Keys: w.store.Keys(), Sessions: w.sessions, Holders: w.store.Holders(), Tenants: w.store.Tenants(), Bulk: w.store.Bulk(), Documents: w.store.Documents(), Events: w.store.Events(), AccessKeys: w.store.AccessKeys(),
		Master: w.master, PublicURL: publicURL, Now: w.clock.Now,
	})
	must(t, err)
	if _, _, err := s.JWKS(w.ctx, w.project); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestUnknownProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	in := w.present(set.Refresh)
	in.Project = id.NewProject(w.clock.Now())
	_, _, refreshErr := w.Refresh(w.ctx, in, false)
	_, readErr := w.Read(w.ctx, in)
	_, _, jwksErr := w.JWKS(w.ctx, in.Project)
	_, settingsErr := w.Settings(w.ctx, in.Project)
	_, fitsErr := w.Fits(w.ctx, in.Project)
	_, mintErr := w.RefreshToken(w.ctx, session.Row{Project: in.Project})
	_, _, ackErr := w.Acknowledge(w.ctx, in)
	for i, err := range []error{refreshErr, readErr, jwksErr, settingsErr, fitsErr, mintErr, ackErr} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// Without the right master key nothing is minted, and the error says so to the log
// alone.
func TestWrongMasterKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	other := newWorld(t, `{}`)
	w.master = other.master
	_, err := w.restart(t).SignIn(w.ctx, token.SignIn{Project: w.project, User: w.user, AMR: []string{"pwd"}, Origin: audit.Origin{Actor: audit.System}})
	if err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v", err)
	}
}

func TestSettingsAndJWKSAreCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	_, before, err := w.JWKS(w.ctx, w.project)
	must(t, err)
	w.settings(t, `{"signingAlgorithm":"EdDSA"}`)
	project, err := w.Settings(w.ctx, w.project)
	must(t, err)
	if project.Settings.SigningAlgorithm != "EdDSA" {
		t.Errorf("the settings are old: %+v", project.Settings)
	}
	_, err = w.keys.Rotate(w.ctx, w.project, audit.Origin{Actor: audit.CLI})
	must(t, err)
	body, after, err := w.JWKS(w.ctx, w.project)
	must(t, err)
	if before == after || !strings.Contains(string(body), "Ed25519") {
		t.Errorf("the key set is old: %s", body)
	}
}

// Settings that an earlier version stored are completed before anybody goes by them.
func TestSettingsOfAnEarlierVersion(t *testing.T) {
	w := newWorld(t, `{}`)
	p, err := w.directory.Project(w.ctx, w.project)
	must(t, err)
	s := p.Settings
	s.Cookies.RefreshName, s.Cookies.Prefix, s.Cookies.PreviousDomains = "__Host-DSR", "", nil
	must(t, w.store.Projects().ChangeSettings(w.ctx, p.ID, p.Version, s, audit.New(p.ID, w.clock.Now(), audit.SettingsChanged, audit.Origin{})))
	got, err := w.Settings(w.ctx, w.project)
	if must(t, err); got.Settings.Cookies.Prefix != "none" || got.Settings.Cookies.PreviousDomains == nil {
		t.Errorf("%+v", got.Settings.Cookies)
	}
}
