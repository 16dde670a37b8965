package native_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// network carries a client's requests to the world's face, with the checks of every other
// call, and notes the operations that were reached.
type network struct {
	w       *world
	t       testing.TB
	reached map[string]int
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	// A listener would add nothing but time: this is what a handler sees.
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	in := httptest.NewRequest(r.Method, r.URL.String(), bytes.NewReader(body))
	in.Header = r.Header.Clone()
	in.RemoteAddr = "192.0.2.1:4711"
	var a reply
	in = in.WithContext(context.WithValue(r.Context(), routeKey{}, &a.route))
	rec := httptest.NewRecorder()
	n.w.handler.ServeHTTP(rec, in)
	a.status, a.header, a.body = rec.Code, rec.Header(), rec.Body.Bytes()
	n.w.check(n.t, call{body: string(body)}, &a)
	if a.route == "" {
		n.t.Errorf("no operation at %s %s", r.Method, r.URL.Path)
	}
	if a.status < 400 {
		n.reached[a.route]++
	}
	return rec.Result(), nil
}

func (w *world) client(t testing.TB, key string) (*latchkey.Client, *network) {
	t.Helper()
	n := &network{w, t, map[string]int{}}
	c, err := latchkey.NewClient(latchkey.ClientConfig{
		Issuer: publicURL + "/" + w.project.String(), Key: key, HTTPClient: &http.Client{Transport: n}, Retries: -1, Now: w.clock.Now,
	})
	must(t, err)
	return c, n
}

// all drains a list and fails at its error.
func all[T any](t testing.TB, list iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for entry, err := range list {
		must(t, err)
		out = append(out, entry)
	}
	return out
}

// elsewhere are operations that another part of the SDK speaks.
var elsewhere = map[string]string{"listRevocations": "Revocations"}

// Who adds an operation adds the client's method, and a call of it here.
func TestClientHasEveryOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	manager, managed := w.client(t, w.key)
	user, plain := w.client(t, "")
	exerciseTokens(t, w, manager, user)
	exerciseSessions(t, w, manager)
	exerciseUsers(t, manager)
	exerciseDirectory(t, manager)
	exerciseTenantSettings(t, w, manager)
	exerciseAccessKeys(t, w, manager, user)
	exerciseProject(t, manager)
	exerciseTemplates(t, w, manager)
	exerciseWebhooks(t, w, manager)
	exerciseLife(t, w, manager) // at the end: the project is gone afterwards
	for _, r := range w.face.Routes() {
		if r.Tag == "Discovery" || elsewhere[r.ID] != "" {
			continue
		}
		if managed.reached[r.ID]+plain.reached[r.ID] == 0 {
			t.Errorf("no method of the client reaches %s (%s %s)", r.ID, r.Method, r.Pattern)
		}
	}
}

func exerciseTokens(t *testing.T, w *world, manager, user *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	for _, c := range []*latchkey.Client{manager, user} {
		set := w.signIn(t, w.site)
		w.clock.Move(2 * window)
		next, err := c.Refresh(ctx, latchkey.RefreshRequest{Token: set.RefreshToken, Device: &latchkey.Device{IP: "198.51.100.7", UserAgent: "curl/8.5.0"}})
		must(t, err)
		if next.RefreshToken == set.RefreshToken || next.SessionToken == "" {
			t.Error("the refresh didn't rotate")
		}
		next, err = c.SwitchTenant(ctx, latchkey.RefreshRequest{Token: next.RefreshToken, Device: &latchkey.Device{IP: "198.51.100.7", UserAgent: "curl/8.5.0"}}, w.site.grants.tenant.String())
		must(t, err)
		if next.Session.Tenant != w.site.grants.tenant.String() {
			t.Errorf("the current tenant is %q", next.Session.Tenant)
		}
		if _, err := c.SwitchTenant(ctx, latchkey.RefreshRequest{Token: next.RefreshToken}, "ten_unknown"); latchkey.CodeOf(err) != latchkey.CodeNotFound {
			t.Errorf("an unknown tenant: %v", err)
		}
		claimed, err := c.SetClientClaims(ctx, next.SessionToken, json.RawMessage(`{"theme":"dark"}`))
		must(t, err)
		if string(claimed.NSec) != `{"theme":"dark"}` || !claimed.Current {
			t.Errorf("claims: %+v", claimed)
		}
		w.clock.Move(window)
		ack, err := c.Acknowledge(ctx, next.RefreshToken)
		must(t, err)
		if !ack.Confirmed {
			t.Error("the acknowledgement doesn't count")
		}
		own, err := c.Own(ctx, next.RefreshToken)
		must(t, err)
		if own.Session.ID != set.Session.ID || own.TokenKind != "refresh" {
			t.Errorf("own: %+v", own)
		}
		other := w.signIn(t, w.site)
		must(t, c.EndOwnSession(ctx, next.RefreshToken, other.Session.ID))
		w.signIn(t, w.site)
		if n := len(all(t, c.OwnSessions(ctx, next.RefreshToken))); n != 2 {
			t.Errorf("%d own sessions, want 2", n)
		}
		must(t, c.LogoutOthers(ctx, next.RefreshToken))
		if n := len(all(t, c.OwnSessions(ctx, next.RefreshToken))); n != 1 {
			t.Errorf("%d own sessions after logging out the others, want 1", n)
		}
		must(t, c.Logout(ctx, next.RefreshToken))
		must(t, c.Logout(ctx, next.RefreshToken))
		if _, err := c.Own(ctx, next.RefreshToken); !latchkey.IsTerminal(err) || latchkey.CodeOf(err) != latchkey.CodeSessionRevoked {
			t.Errorf("after the logout: %v", err)
		}
		last := w.signIn(t, w.site)
		must(t, c.LogoutAll(ctx, last.RefreshToken))
		if _, err := c.Refresh(ctx, latchkey.RefreshRequest{Token: last.RefreshToken}); !latchkey.IsTerminal(err) {
			t.Errorf("after logging out everywhere: %v", err)
		}
	}
}

func exerciseSessions(t *testing.T, w *world, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	set, err := c.CreateSession(ctx, latchkey.SignInRequest{
		User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{"bob@example.com"}, Name: new("Bob")}), AMR: []string{"pwd", "totp"},
		Claims: json.RawMessage(`{"plan":"pro"}`), Device: latchkey.DeviceRequest{IP: "198.51.100.7", Name: "Bob's phone"}, Lifetime: latchkey.Duration(24 * time.Hour),
	})
	must(t, err)
	if _, err = c.CreateSession(ctx, latchkey.SignInRequest{User: latchkey.UserNamed("bob@example.com"), AMR: []string{"pwd"}, RevokeOthers: false}); err != nil {
		t.Fatal(err)
	}
	filter := latchkey.SessionFilter{User: set.Session.User, State: "active", CreatedFrom: w.clock.Now().Add(-time.Hour), CreatedTo: w.clock.Now().Add(time.Hour)}
	if n := len(all(t, c.Sessions(ctx, filter))); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	page, err := c.SessionsPage(ctx, filter, latchkey.PageRequest{Size: 1})
	must(t, err)
	rest, err := c.SessionsPage(ctx, filter, latchkey.PageRequest{Size: 1, Token: page.NextPageToken})
	must(t, err)
	if len(page.Sessions) != 1 || len(rest.Sessions) != 1 || rest.Sessions[0].ID == page.Sessions[0].ID || rest.NextPageToken != "" {
		t.Errorf("pages of one: %+v, %+v", page, rest)
	}
	changed, err := c.UpdateSessionClaims(ctx, set.Session.ID, latchkey.ClaimsPatch{Claims: json.RawMessage(`{"plan":null,"beta":true}`)})
	must(t, err)
	up, err := c.StepUpSession(ctx, set.Session.ID, latchkey.StepUpRequest{AMR: []string{"sms"}, Lifetime: latchkey.Duration(time.Minute)})
	must(t, err)
	if up.StepUp == nil || len(up.StepUp.AMR) != 4 {
		t.Errorf("stepped up: %+v", up)
	}
	if _, err := c.RevokeTenantSessions(ctx, w.site.grants.tenant.String()); err != nil {
		t.Error(err)
	}
	found, err := c.Session(ctx, set.Session.ID)
	must(t, err)
	if string(changed.Claims) != `{"beta":true}` || string(found.Claims) != `{"beta":true}` {
		t.Errorf("claims: %s, %s", changed.Claims, found.Claims)
	}
	trace, err := c.Trace(ctx, set.Session.ID)
	must(t, err)
	if len(trace.Entries) == 0 || trace.Entries[0].Rule != "create" {
		t.Errorf("trace: %+v", trace)
	}
	for _, end := range []struct {
		want int
		call func() (latchkey.EndedSessions, error)
	}{
		{2, func() (latchkey.EndedSessions, error) {
			return c.RevokeSessions(ctx, latchkey.EndSessionsRequest{User: set.Session.User, DryRun: true})
		}},
		{1, func() (latchkey.EndedSessions, error) { return c.RevokeSession(ctx, set.Session.ID) }},
		{1, func() (latchkey.EndedSessions, error) { return c.RevokeUserSessions(ctx, set.Session.User) }},
		{0, func() (latchkey.EndedSessions, error) {
			return c.RevokeSessions(ctx, latchkey.EndSessionsRequest{IP: "198.51.100.0/24"})
		}},
	} {
		ended, err := end.call()
		must(t, err)
		if ended.Revoked != end.want {
			t.Errorf("%d sessions ended, want %d", ended.Revoked, end.want)
		}
	}
}

func exerciseUsers(t *testing.T, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	u, err := c.CreateUser(ctx, latchkey.UserRequest{LoginIDs: &[]string{"carol@example.com"}})
	must(t, err)
	if _, err := c.CreateUser(ctx, latchkey.UserRequest{LoginIDs: &[]string{"carol@example.com"}}); latchkey.CodeOf(err) != latchkey.CodeConflict {
		t.Errorf("the same user again: %v", err)
	}
	u, err = c.ChangeUser(ctx, u.ID, latchkey.UserRequest{Name: new("Carol")})
	must(t, err)
	found, err := c.User(ctx, u.ID)
	must(t, err)
	if found.Name != "Carol" {
		t.Errorf("got %+v", found)
	}
	if users := all(t, c.Users(ctx, latchkey.UserFilter{LoginID: "carol@example.com"})); len(users) != 1 || users[0].ID != u.ID {
		t.Errorf("found %+v", users)
	}
	must(t, c.DeleteUser(ctx, u.ID))
	if _, err := c.User(ctx, u.ID); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("after the deletion: %v", err)
	}
}

func exerciseLife(t *testing.T, w *world, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	before, err := c.Project(ctx)
	must(t, err)
	name, disabled := "acme europe", "disabled"
	after, err := c.ChangeProject(ctx, latchkey.ProjectRequest{Name: &name, Status: &disabled})
	must(t, err)
	if before.ID != w.project.String() || before.Status != "enabled" || after.Name != name || after.Status != disabled {
		t.Errorf("%+v became %+v", before, after)
	}
	if err := c.DeleteProject(ctx, "prj_another"); latchkey.CodeOf(err) != latchkey.CodeInvalidRequest {
		t.Errorf("deleted by mistake: %v", err)
	}
	must(t, c.DeleteProject(ctx, before.ID))
	if err := c.DeleteProject(ctx, before.ID); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("deleted twice: %v", err)
	}
}

func exerciseProject(t *testing.T, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	before, err := c.Settings(ctx)
	must(t, err)
	after, err := c.ChangeSettings(ctx, latchkey.SettingsPatch{"sessionTokenTTL": latchkey.Duration(5 * time.Minute), "idleTimeout": "7d", "onLimit": nil})
	must(t, err)
	if after.Version <= before.Version || after.Settings.SessionTokenTTL.Std() != 5*time.Minute || after.Settings.IdleTimeout.String() != "7d" {
		t.Errorf("got %+v", after)
	}
	var refusal *latchkey.Error
	_, err = c.ChangeSettings(ctx, latchkey.SettingsPatch{"sessionTokenTTL": "1s"})
	if !errors.As(err, &refusal) || refusal.Code != latchkey.CodeOutOfRange || len(refusal.Errors) != 1 || refusal.Errors[0].Pointer != "/sessionTokenTTL" {
		t.Errorf("out of range: %v", err)
	}
	k, err := c.RotateSigningKey(ctx, latchkey.RotateKeyRequest{Immediate: true})
	must(t, err)
	keys, err := c.SigningKeys(ctx)
	must(t, err)
	if !slices.ContainsFunc(keys, func(other latchkey.SigningKey) bool { return other.ID == k.ID && other.State == "active" }) {
		t.Errorf("keys: %+v", keys)
	}
	revoked, err := c.RevokeSigningKey(ctx, k.ID)
	must(t, err)
	if revoked.Key.State != "revoked" {
		t.Errorf("revoked: %+v", revoked)
	}
	made, err := c.CreateManagementKey(ctx, latchkey.ManagementKeyRequest{Name: "reads", Kind: "verify"})
	must(t, err)
	turned, err := c.RotateManagementKey(ctx, made.Key.ID)
	must(t, err)
	if turned.Secret == "" || turned.Secret == made.Secret {
		t.Error("the secret wasn't replaced")
	}
	if n := len(all(t, c.ManagementKeys(ctx))); n != 2 {
		t.Errorf("%d management keys, want 2", n)
	}
	must(t, c.DeleteManagementKey(ctx, made.Key.ID))
	types := []string{"settings.changed", "user.created"}
	events := all(t, c.Events(ctx, latchkey.EventFilter{Types: types}))
	for _, e := range events {
		if !slices.Contains(types, e.Type) {
			t.Errorf("an event of type %s", e.Type)
		}
	}
	if len(events) < 3 {
		t.Errorf("%d events", len(events))
	}
}
