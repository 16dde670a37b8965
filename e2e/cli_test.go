package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// TestCommandsBesideServer looks at sessions and changes them from a second process,
// while a server runs on the same store: the server obeys at once.
func TestCommandsBesideServer(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set, other := p.signIn(i.in, "alice@example.com"), p.signIn(i.in, "bob@example.com")
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
	i.listSessions(t, set, other)
	i.showSession(t, set)

	if out := i.command("session", "revoke", set.Session.ID).must(t).out; !strings.Contains(out, "ended") {
		t.Errorf("session revoke prints %q", out)
	}
	p.ask(refresh(i.in, set.RefreshToken)).refused(t, http.StatusUnauthorized, latchkey.CodeSessionRevoked, true)
	p.ask(call{method: "GET", path: i.in.user("/session"), bearer: set.SessionToken}).refused(t, http.StatusUnauthorized, latchkey.CodeSessionRevoked, true)
	p.ask(refresh(i.in, other.RefreshToken)).must(t, nil)
	var again struct{ Revoked bool }
	if i.command("session", "revoke", set.Session.ID, "--json").read(t, &again); again.Revoked {
		t.Error("a session that is over is revoked again")
	}
	var list struct{ Events []latchkey.Event }
	p.get(i.in.ManagementKey, i.in.api("/events?type=session.ended&session="+set.Session.ID)).must(t, &list)
	if len(list.Events) != 1 || list.Events[0].Actor != "cli" {
		t.Errorf("the events are %+v, want one by the command line", list.Events)
	}
	i.run("session", "show", "ses_nobody", "--store", i.store).says(t, 2, "ses_nobody", "no session id")
	i.run("session", "revoke", "--store", i.store).says(t, 2, "session id")
	i.run("session", "list", "--state", "alive", "--store", i.store).says(t, 2, "--state", "alive")
	i.run("session", "list", "--user", "carol@example.com", "--store", i.store).says(t, 1)
}

// command runs a command on the store that a server has open. It needs no master key.
func (i installation) command(args ...string) outcome {
	i.t.Helper()
	return i.run(append(args, "--store", i.store)...)
}

func (i installation) listSessions(t *testing.T, set, other latchkey.TokenSet) {
	t.Helper()
	var found []struct{ ID, User, State string }
	ids := func(args ...string) (out []string) {
		t.Helper()
		found = nil
		i.command(append([]string{"session", "list", "--json"}, args...)...).read(t, &found)
		for _, s := range found {
			out = append(out, s.ID)
		}
		return out
	}
	for want, got := range map[string][]string{
		other.Session.ID + "," + set.Session.ID: ids(), // newest first
		set.Session.ID:                          ids("--user", "alice@example.com"),
		other.Session.ID:                        ids("--limit", "1", "--state", "active"),
		"":                                      ids("--state", "ended"),
	} {
		if strings.Join(got, ",") != want {
			t.Errorf("session list finds %v, want %s", got, want)
		}
	}
	if out := i.command("session", "list").must(t).out; !strings.Contains(out, set.Session.ID) || !strings.HasPrefix(out, "SESSION") {
		t.Errorf("session list prints %s", out)
	}
}

func (i installation) showSession(t *testing.T, set latchkey.TokenSet) {
	t.Helper()
	var shown struct{ ID, User, State string }
	i.command("session", "show", set.Session.ID, "--json").read(t, &shown)
	if shown.ID != set.Session.ID || shown.User != set.Session.User || shown.State != "active" {
		t.Errorf("session show says %+v", shown)
	}
	var traced struct {
		Entries []struct{ Rule, Why, Token string }
	}
	i.command("session", "trace", set.Session.ID, "--json").read(t, &traced)
	var rules []string
	for _, e := range traced.Entries {
		if rules = append(rules, e.Rule); e.Why == "" {
			t.Errorf("the trace doesn't say why: %+v", e)
		}
	}
	if !slices.Equal(rules, []string{"create", "replay"}) || traced.Entries[1].Token != claims(t, set.RefreshToken)["rid"] {
		t.Errorf("session trace says %+v", traced.Entries)
	}
	for _, view := range []string{"show", "trace"} {
		if out := i.command("session", view, set.Session.ID).must(t).out; !strings.Contains(out, set.Session.ID) || !strings.Contains(out, "active") {
			t.Errorf("session %s prints %s", view, out)
		}
	}
}

// TestSettingsBesideServer changes settings from a second process. The server's very
// next request is judged by them.
func TestSettingsBesideServer(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)

	var answer latchkey.SettingsAnswer
	i.command("project", "settings", "--patch", `{"reuseWindow":"off","refreshTokenFormat":"opaque","sessionTokenTTL":"5m"}`, "--json").read(t, &answer)
	if answer.Settings.ReuseWindow != 0 || answer.Settings.RefreshTokenFormat != "opaque" || len(answer.Warnings) == 0 {
		t.Errorf("project settings answers %+v", answer)
	}
	var next latchkey.TokenSet
	p.ask(refresh(i.in, set.RefreshToken)).must(t, &next)
	if !strings.HasPrefix(next.RefreshToken, "rt_") {
		t.Error("the refresh token has the format of before")
	}
	if life := next.SessionExpiresAt.Sub(next.ServerTime); life > 5*time.Minute || life < 4*time.Minute {
		t.Errorf("the session token lives %v", life)
	}
	// Without a window the sign-in's token was replaced, so it rotated.
	if got := p.trace(i.in, set.Session.ID); !slices.Equal(got, []string{"create", "replay", "rotate"}) {
		t.Errorf("the trace says %v", got)
	}

	patch := i.write("patch.json", `{"refreshRateLimit":1}`)
	i.command("project", "settings", "--patch", "@"+patch).must(t)
	limited := p.ask(refresh(i.in, next.RefreshToken))
	if limited.refused(t, http.StatusTooManyRequests, latchkey.CodeRateLimited, false); limited.header.Get("Retry-After") == "0" {
		t.Error("it may be tried again at once")
	}
	i.runWith(nil, `{"refreshRateLimit":null}`, "project", "settings", "--patch", "-", "--store", i.store).must(t)
	p.ask(refresh(i.in, next.RefreshToken)).must(t, nil)

	i.command("project", "settings", "--patch", `{"reuseWindow":"1h","idleTimeout":"1m"}`).says(t, 1, "/reuseWindow", "0 to 120s", "/idleTimeout")
	i.command("project", "settings", "--patch", `{`).says(t, 1, "JSON")
	i.command("project", "settings", "--project", "prj_x").says(t, 2, "prj_x")
	var problem struct{ Code, Detail string }
	o := i.command("project", "settings", "--patch", `{"reuseWindow":"1h"}`, "--json")
	if err := json.Unmarshal([]byte(o.err), &problem); err != nil || o.code != 1 || problem.Code != "out_of_range" || problem.Detail == "" {
		t.Errorf("with --json the refusal is %q, status %d", o.err, o.code)
	}
}

// TestKeysBesideServer replaces and revokes signing keys from a second process.
func TestKeysBesideServer(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	before := p.signIn(i.in, "alice@example.com")
	old := i.keys()[0]
	if old.State != "active" {
		t.Fatalf("the first key is %s", old.State)
	}
	i.run(i.args("key", "rotate")...).must(t)
	if keys := i.keys(); len(keys) != 2 || keys[1].State != "next" || keys[0].State != "active" {
		t.Errorf("after a rotation the keys are %+v", keys)
	}
	if kids := p.kids(i.in); len(kids) != 2 {
		t.Errorf("the key that comes next isn't published: %v", kids)
	}
	i.run(i.args("key", "rotate", "--immediate")...).must(t)
	after := p.signIn(i.in, "alice@example.com")
	p.ask(refresh(i.in, before.RefreshToken)).must(t, nil)
	verify := func(token string) outcome {
		return i.runWith(nil, token, "token", "verify", "-", "--issuer", p.url+"/"+i.in.ID)
	}
	verify(before.SessionToken).must(t)
	verify(after.SessionToken).must(t)

	i.run(i.args("key", "revoke", old.ID)...).must(t)
	p.ask(refresh(i.in, before.RefreshToken)).refused(t, http.StatusUnauthorized, latchkey.CodeSessionRevoked, true)
	p.ask(refresh(i.in, after.RefreshToken)).must(t, nil)
	if kids := p.kids(i.in); slices.Contains(kids, old.ID) || len(kids) == 0 {
		t.Errorf("the revoked key %s is published: %v", old.ID, kids)
	}
	verify(before.SessionToken).says(t, 1, old.ID)
	verify(after.SessionToken).must(t)
	var session latchkey.Session
	p.get(i.in.ManagementKey, i.in.api("/sessions/"+before.Session.ID)).must(t, &session)
	if session.State != "ended" || session.EndReason != "key_revoked" {
		t.Errorf("its session is %s (%s)", session.State, session.EndReason)
	}
	i.run(i.args("key", "revoke", "key_x")...).says(t, 2, "key_x")
	i.command("key", "rotate").says(t, 2, "--master-key-file")
}

type keyLine struct{ ID, Algorithm, State string }

func (i installation) keys() []keyLine {
	i.t.Helper()
	var keys []keyLine
	i.command("key", "list", "--json").read(i.t, &keys)
	return keys
}

// kids returns the ids of the keys that are published.
func (p *process) kids(in tenancy) []string {
	p.world.t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	p.ask(call{method: "GET", path: in.user("/.well-known/jwks.json")}).must(p.world.t, &set)
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return kids
}

// TestTokenCommands reads and checks tokens at the terminal.
func TestTokenCommands(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	issuer := p.url + "/" + i.in.ID
	var decoded struct{ Header, Claims map[string]any }
	i.runWith(nil, set.SessionToken, "token", "decode", "-", "--json").read(t, &decoded)
	if decoded.Header["typ"] != "at+jwt" || decoded.Claims["sid"] != set.Session.ID || decoded.Claims["iss"] != issuer {
		t.Errorf("token decode says %+v", decoded)
	}
	if out := i.run("token", "decode", set.RefreshToken).must(t).out; !strings.Contains(out, "rt+jwt") || !strings.Contains(out, "rid") {
		t.Errorf("token decode prints %s", out)
	}
	verify := func(token, issuer string) outcome {
		return i.runWith(nil, token, "token", "verify", "-", "--issuer", issuer)
	}
	if out := verify(set.SessionToken, issuer).must(t).out; !strings.Contains(out, "valid") {
		t.Errorf("token verify prints %s", out)
	}
	at := strings.LastIndexByte(set.SessionToken, '.') + 5
	verify(set.SessionToken[:at]+flip(set.SessionToken[at])+set.SessionToken[at+1:], issuer).says(t, 1, "signature")
	verify(set.SessionToken[:at], issuer).says(t, 1)
	verify(set.RefreshToken, issuer).says(t, 1, "not a session token")
	verify(set.SessionToken, issuer+"x").says(t, 1, "wrong issuer")
	verify("junk", issuer).says(t, 1, "JWT")
	i.run("token", "verify", set.SessionToken).says(t, 2, "--issuer")
	p.stop()
	verify(set.SessionToken, issuer).says(t, 1, "connect")
}
