package latchkey

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"testing"
	"time"
)

func TestNewClientReportsAllProblems(t *testing.T) {
	for name, test := range map[string]struct {
		config ClientConfig
		want   []string
	}{
		"everything":  {ClientConfig{Issuer: "auth.example.com", Key: "secret", Retries: 11}, []string{"Issuer", "Key", "Retries"}},
		"no project":  {ClientConfig{Issuer: "https://auth.example.com"}, []string{"Issuer"}},
		"slash":       {ClientConfig{Issuer: testIssuer + "/"}, []string{"Issuer"}},
		"query":       {ClientConfig{Issuer: testIssuer + "?x=y"}, []string{"Issuer"}},
		"fragment":    {ClientConfig{Issuer: testIssuer + "#"}, []string{"Issuer"}},
		"user":        {ClientConfig{Issuer: "https://me:hunter2@auth.example.com/prj_1"}, []string{"Issuer"}},
		"scheme":      {ClientConfig{Issuer: "ftp://auth.example.com/prj_1"}, []string{"Issuer"}},
		"unreadable":  {ClientConfig{Issuer: "https://me:hunter2@auth.example.com:port/prj_1"}, []string{"Issuer"}},
		"dots":        {ClientConfig{Issuer: "https://auth.example.com/prj_1/.."}, []string{"Issuer"}},
		"header trap": {ClientConfig{Issuer: testIssuer, Key: "lk_mgmt_a\r\nX-Evil: 1"}, []string{"Key"}},
		"access key":  {ClientConfig{Issuer: testIssuer, Key: "lk_ak_abcdefgh"}, []string{"Key"}},
	} {
		_, err := NewClient(test.config)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want+" ") {
				t.Errorf("%s: %v doesn't speak of %s", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, issuer := range []string{testIssuer, "http://127.0.0.1:8080/prj_1", "https://example.com/auth/v2/prj_1"} {
		if _, err := NewClient(ClientConfig{Issuer: issuer}); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// each request as it is on the wire.
func TestRequestsOnTheWire(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	ctx := context.Background()
	for name, test := range map[string]struct {
		call func(c *Client) error
		want string
	}{
		"logout":        {func(c *Client) error { return c.Logout(ctx, testToken) }, `POST I/session/logout K {"refreshToken":"T"}`},
		"logout others": {func(c *Client) error { return c.LogoutOthers(ctx, testToken) }, `POST I/session/logout-others K {"refreshToken":"T"}`},
		"logout all":    {func(c *Client) error { return c.LogoutAll(ctx, testToken) }, `POST I/session/logout-all K {"refreshToken":"T"}`},
		"acknowledge":   {func(c *Client) error { _, err := c.Acknowledge(ctx, testToken); return err }, `POST I/session/ack K {"refreshToken":"T"}`},
		"own":           {func(c *Client) error { _, err := c.Own(ctx, testToken); return err }, `GET I/session T `},
		"own sessions":  {func(c *Client) error { return drain(c.OwnSessions(ctx, testToken)) }, `GET I/sessions?pageSize=200 T `},
		"end own":       {func(c *Client) error { return c.EndOwnSession(ctx, testToken, "ses_1") }, `DELETE I/sessions/ses_1 T `},
		"sign in": {func(c *Client) error {
			_, err := c.CreateSession(ctx, SignInRequest{User: UserNamed("a@example.com"), AMR: []string{"pwd"}})
			return err
		}, `POST M/sessions K {"user":"a@example.com","amr":["pwd"]}`},
		"sign in with everything": {func(c *Client) error {
			_, err := c.CreateSession(ctx, SignInRequest{
				User: UserDescribed(SignInUser{LoginIDs: &[]string{"a"}, Name: new("A"), Email: new(""), Phone: nil}), AMR: []string{"pwd"}, Claims: json.RawMessage(`{"a":1}`),
				NSec: json.RawMessage(`{"b":2}`), Audience: []string{"api"}, Device: DeviceRequest{IP: "192.0.2.1"}, Lifetime: Duration(time.Hour), RevokeOthers: true,
			})
			return err
		}, `POST M/sessions K {"user":{"loginIds":["a"],"name":"A","email":""},"amr":["pwd"],"claims":{"a":1},"nsec":{"b":2},"audience":["api"],"device":{"ip":"192.0.2.1"},"lifetime":"1h","revokeOthers":true}`},
		"sessions": {func(c *Client) error {
			return drain(c.Sessions(ctx, SessionFilter{User: "usr_1", State: "active", CreatedFrom: at, CreatedTo: at.Add(time.Millisecond), IP: "192.0.2.0/24"}))
		}, `GET M/sessions?createdFrom=2026-01-02T02%3A04%3A05Z&createdTo=2026-01-02T02%3A04%3A05.001Z&ip=192.0.2.0%2F24&pageSize=200&state=active&user=usr_1 K `},
		"page of sessions": {func(c *Client) error {
			_, err := c.SessionsPage(ctx, SessionFilter{}, PageRequest{Size: 3, Token: "AQ-_"})
			return err
		}, `GET M/sessions?pageSize=3&pageToken=AQ-_ K `},
		"session": {func(c *Client) error { _, err := c.Session(ctx, "ses_1"); return err }, `GET M/sessions/ses_1 K `},
		"claims": {func(c *Client) error {
			_, err := c.UpdateSessionClaims(ctx, "ses_1", ClaimsPatch{Claims: json.RawMessage(`{"a":null}`)})
			return err
		}, `PATCH M/sessions/ses_1 K {"claims":{"a":null}}`},
		"trace":       {func(c *Client) error { _, err := c.Trace(ctx, "ses_1"); return err }, `GET M/sessions/ses_1/trace K `},
		"revoke":      {func(c *Client) error { _, err := c.RevokeSession(ctx, "ses_1"); return err }, `POST M/sessions/ses_1/revoke K `},
		"revoke user": {func(c *Client) error { _, err := c.RevokeUserSessions(ctx, "usr_1"); return err }, `POST M/users/usr_1/sessions/revoke K `},
		"revoke many": {func(c *Client) error {
			_, err := c.RevokeSessions(ctx, EndSessionsRequest{CreatedTo: at, DryRun: true})
			return err
		}, `POST M/sessions/revoke K {"createdTo":"2026-01-02T03:04:05+01:00","dryRun":true}`},
		"users":       {func(c *Client) error { return drain(c.Users(ctx, UserFilter{LoginID: "a+b@example.com"})) }, `GET M/users?loginId=a%2Bb%40example.com&pageSize=200 K `},
		"user":        {func(c *Client) error { _, err := c.User(ctx, "usr_1"); return err }, `GET M/users/usr_1 K `},
		"create user": {func(c *Client) error { _, err := c.CreateUser(ctx, UserRequest{LoginIDs: &[]string{"a"}}); return err }, `POST M/users K {"loginIds":["a"]}`},
		"change user": {func(c *Client) error {
			_, err := c.ChangeUser(ctx, "usr_1", UserRequest{Status: new("disabled")})
			return err
		}, `PATCH M/users/usr_1 K {"status":"disabled"}`},
		"delete user":     {func(c *Client) error { return c.DeleteUser(ctx, "usr_1") }, `DELETE M/users/usr_1 K `},
		"settings":        {func(c *Client) error { _, err := c.Settings(ctx); return err }, `GET M/settings K `},
		"change settings": {func(c *Client) error { _, err := c.ChangeSettings(ctx, SettingsPatch{"onLimit": nil}); return err }, `PATCH M/settings K {"onLimit":null}`},
		"change nothing":  {func(c *Client) error { _, err := c.ChangeSettings(ctx, nil); return err }, `PATCH M/settings K {}`},
		"tenant settings": {func(c *Client) error { _, err := c.TenantSettings(ctx, "ten_1"); return err }, `GET M/tenants/ten_1/settings K `},
		"change tenant settings": {func(c *Client) error {
			_, err := c.ChangeTenantSettings(ctx, "ten_1", SettingsPatch{"idleTimeout": "1h"})
			return err
		}, `PATCH M/tenants/ten_1/settings K {"idleTimeout":"1h"}`},
		"change no tenant settings": {func(c *Client) error { _, err := c.ChangeTenantSettings(ctx, "ten_1", nil); return err }, `PATCH M/tenants/ten_1/settings K {}`},
		"dry-run": {func(c *Client) error {
			_, err := c.DryRunSettings(ctx, SettingsPatch{"idleTimeout": "1h"})
			return err
		}, `POST M/settings/dry-run K {"idleTimeout":"1h"}`},
		"dry-run of a tenant": {func(c *Client) error { _, err := c.DryRunTenantSettings(ctx, "ten_1", nil); return err }, `POST M/tenants/ten_1/settings/dry-run K {}`},
		"keys":                {func(c *Client) error { _, err := c.SigningKeys(ctx); return err }, `GET M/keys K `},
		"rotate key": {func(c *Client) error {
			_, err := c.RotateSigningKey(ctx, RotateKeyRequest{Immediate: true})
			return err
		}, `POST M/keys/rotate K {"immediate":true}`},
		"revoke key": {func(c *Client) error { _, err := c.RevokeSigningKey(ctx, "key_1"); return err }, `POST M/keys/key_1/revoke K `},
		"events": {func(c *Client) error {
			return drain(c.Events(ctx, EventFilter{Types: []string{"a.b", "c.d"}, Session: "ses_1", From: at}))
		}, `GET M/events?from=2026-01-02T02%3A04%3A05Z&pageSize=200&session=ses_1&type=a.b%2Cc.d K `},
		"management keys": {func(c *Client) error { return drain(c.ManagementKeys(ctx)) }, `GET M/management-keys?pageSize=200 K `},
		"create key": {func(c *Client) error {
			_, err := c.CreateManagementKey(ctx, ManagementKeyRequest{Name: "n", Kind: "verify"})
			return err
		}, `POST M/management-keys K {"name":"n","kind":"verify"}`},
		"rotate management key": {func(c *Client) error { _, err := c.RotateManagementKey(ctx, "mk_1"); return err }, `POST M/management-keys/mk_1/rotate K `},
		"delete key":            {func(c *Client) error { return c.DeleteManagementKey(ctx, "mk_1") }, `DELETE M/management-keys/mk_1 K `},
	} {
		server := play(answersJSON(map[string]any{"session": map[string]string{"id": "ses_1"}}))
		if strings.Contains(name, "session") || name == "trace" {
			server = play(answers(200, "application/json; charset=utf-8", `{}`))
		}
		if err := test.call(testClient(t, testKey, server)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := server.calls[0]
		line := got.Method + " " + got.URL + " " + strings.TrimPrefix(got.Authorization, "Bearer ") + " " + got.Body
		line = strings.NewReplacer(testToken, "T", testKey, "K", "https://auth.example.com/v1/projects/prj_0testtesttest", "M", testIssuer, "I").Replace(line)
		if line != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, line, test.want)
		}
	}
}

func TestManagementNeedsAKey(t *testing.T) {
	server := play(answersJSON(struct{}{}))
	c := testClient(t, "", server)
	if _, err := c.Settings(t.Context()); err == nil || !strings.Contains(err.Error(), "management key") {
		t.Errorf("got %v", err)
	}
	if err := drain(c.Users(t.Context(), UserFilter{})); err == nil {
		t.Error("a list without a key")
	}
	if len(server.calls) > 0 {
		t.Error("something was sent")
	}
}

func TestCredentialsStayOutOfURLs(t *testing.T) {
	server := play(answersJSON(struct{}{}))
	c := testClient(t, testKey, server)
	ctx := t.Context()
	for _, bad := range []string{testToken, "rt_" + strings.Repeat("a", 40), testKey, "", "..", "ses_1/../..", "ses 1", "ses_1?x", "sés"} {
		for name, err := range map[string]error{
			"trace":   second(c.Trace(ctx, bad)),
			"end own": c.EndOwnSession(ctx, testToken, bad),
			"delete":  c.DeleteUser(ctx, bad),
		} {
			if err == nil || bad != "" && strings.Contains(err.Error(), bad) {
				t.Errorf("%s with %q: %v", name, bad, err)
			}
		}
	}
	for _, bad := range []string{testToken, testKey, "rt_abc"} {
		if err := drain(c.Users(ctx, UserFilter{LoginID: bad})); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("filter %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "a b", "a\nb", "ü"} {
		if _, err := c.Own(ctx, bad); err == nil {
			t.Errorf("the token %q was taken", bad)
		}
		if err := c.Logout(ctx, bad); err == nil {
			t.Errorf("the token %q was taken", bad)
		}
	}
	if len(server.calls) > 0 {
		t.Errorf("sent %v", server.calls[0])
	}
}

func second[T any](_ T, err error) error { return err }

func drain[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
