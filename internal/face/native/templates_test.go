package native_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// saveTemplate makes a template of users the stable version.
func (w *world) saveTemplate(t testing.TB, doc string) {
	t.Helper()
	w.ok(t, w.manage("PUT", "/templates/user", `{"document":`+doc+`}`), nil)
}

func exerciseTemplates(t *testing.T, w *world, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	const k = latchkey.TemplateUser
	if _, err := c.Template(ctx, k); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("nothing was saved: %v", err)
	}
	saved, err := c.SaveTemplate(ctx, k, latchkey.TemplateRequest{Document: json.RawMessage(`{"claims":{"hello":"Hi {{ user.name }}"}}`), Comment: "first"})
	must(t, err)
	if saved.Stable == nil || saved.Stable.Version != 1 || saved.Stable.Comment != "first" || saved.Candidate != nil {
		t.Errorf("saved %+v", saved)
	}
	_, err = c.SaveTemplate(ctx, k, latchkey.TemplateRequest{Document: json.RawMessage(`{"claims":{"hello":"Hello {{ user.name }}"}}`), Percent: new(5)})
	must(t, err)
	saved, err = c.Template(ctx, k)
	must(t, err)
	if saved.Stable.Version != 1 || saved.Candidate == nil || saved.Candidate.Version != 2 || saved.Percent != 5 {
		t.Errorf("saved %+v", saved)
	}
	_, err = c.SaveTemplate(ctx, k, latchkey.TemplateRequest{Document: json.RawMessage(`{"claims":{"sub":1,"x":"{{ nobody }}"}}`)})
	var refusal *latchkey.Error
	if !errors.As(err, &refusal) || refusal.Code != latchkey.CodeTemplateInvalid || len(refusal.Errors) != 2 {
		t.Errorf("an invalid template: %v", err)
	}
	set := w.signIn(t, w.site)
	shown, err := c.PreviewTemplate(ctx, k, latchkey.TemplatePreviewRequest{Document: json.RawMessage(`{"claims":{"plan":"pro"}}`), Session: set.Session.ID})
	must(t, err)
	if string(shown.Custom) != `{"plan":"pro"}` || len(shown.Diff) == 0 || shown.Bytes.Total == 0 || shown.Bytes.Claims["plan"] == 0 {
		t.Errorf("previewed %+v", shown)
	}
	out, err := c.RollOutTemplate(ctx, k, 100)
	must(t, err)
	back, err := c.RollBackTemplate(ctx, k)
	must(t, err)
	if out.Stable.Version != 2 || out.Previous != 1 || back.Stable.Version != 1 {
		t.Errorf("rolled out %+v, back %+v", out, back)
	}
	if _, err := c.RollOutTemplate(ctx, k, 100); latchkey.CodeOf(err) != latchkey.CodeConflict {
		t.Errorf("without a candidate: %v", err)
	}
	if list := all(t, c.TemplateVersions(ctx, k)); len(list) != 2 || list[0].Version != 2 {
		t.Errorf("versions %+v", list)
	}
	one, err := c.TemplateVersion(ctx, k, 1)
	must(t, err)
	if string(one.Document) != `{"claims":{"hello":"Hi {{ user.name }}"}}` || !strings.HasPrefix(one.Actor, "key:mk_") {
		t.Errorf("version 1 is %+v", one)
	}
	must(t, c.DeleteTemplate(ctx, k))
	if _, err := c.Template(ctx, k); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("after the deletion: %v", err)
	}
}

// claims returns those of a session token.
func claims(t testing.TB, token string) map[string]json.RawMessage {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	var out map[string]json.RawMessage
	must(t, json.Unmarshal(payload, &out))
	return out
}

// A template that is saved, rolled out and rolled back shows in the next token, and in no
// other place.
func TestTemplatesShowInTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	hello := func() string {
		w.clock.Move(4 * time.Minute)
		w.ok(t, w.end("POST", "/session/refresh", set.RefreshToken), &set)
		if _, is := claims(t, set.RefreshToken)["hello"]; is {
			t.Error("the refresh token has a template's claim")
		}
		return string(claims(t, set.SessionToken)["hello"])
	}
	if got := hello(); got != "" {
		t.Fatalf("before there was a template: %s", got)
	}
	w.saveTemplate(t, `{"claims":{"hello":"one {{ user.id }}"}}`)
	if got, want := hello(), fmt.Sprintf(`"one %s"`, w.user); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	share := latchkey.Share(set.Session.ID)
	w.ok(t, w.manage("PUT", "/templates/user", fmt.Sprintf(`{"document":{"claims":{"hello":"two"}},"percent":%d}`, share)), nil)
	if got := hello(); !strings.HasPrefix(got, `"one`) {
		t.Errorf("the session got the candidate: %s", got)
	}
	w.ok(t, w.manage("POST", "/templates/user/rollout", fmt.Sprintf(`{"percent":%d}`, share+1)), nil)
	if got := hello(); got != `"two"` {
		t.Errorf("the session didn't get the candidate: %s", got)
	}
	w.ok(t, w.manage("POST", "/templates/user/rollback", ""), nil)
	if got := hello(); !strings.HasPrefix(got, `"one`) {
		t.Errorf("after the roll-back: %s", got)
	}
	w.ok(t, w.manage("DELETE", "/templates/user", ""), nil)
	if got := hello(); got != "" {
		t.Errorf("after the deletion: %s", got)
	}
}

func TestTemplatesRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	huge := `{"document":{"claims":{` // 60 claims of 300 characters
	for i := range 60 {
		huge += fmt.Sprintf(`"c%d":"%s",`, i, strings.Repeat("x", 300))
	}
	huge = strings.TrimSuffix(huge, ",") + `}}}`
	for name, c := range map[string]struct {
		method, path, body string
		code               latchkey.Code
		at                 string
	}{
		"no such kind":       {"GET", "/templates/users", "", latchkey.CodeNotFound, ""},
		"save no such kind":  {"PUT", "/templates/users", `{"document":{}}`, latchkey.CodeNotFound, ""},
		"no document":        {"PUT", "/templates/user", `{}`, latchkey.CodeInvalidRequest, "/document"},
		"percent":            {"PUT", "/templates/user", `{"document":{},"percent":101}`, latchkey.CodeInvalidRequest, "/percent"},
		"comment":            {"PUT", "/templates/user", `{"document":{},"comment":"` + strings.Repeat("x", 501) + `"}`, latchkey.CodeInvalidRequest, "/comment"},
		"invalid":            {"PUT", "/templates/user", `{"document":{"claim":{}}}`, latchkey.CodeTemplateInvalid, "/document/claim"},
		"invalid actions":    {"PUT", "/templates/signIn", `{"document":{"actions":[{"name":"a"}]}}`, latchkey.CodeTemplateInvalid, "/document/actions/0"},
		"too large":          {"PUT", "/templates/user", huge, latchkey.CodeClaimsTooLarge, "/claims/c0"},
		"actions too large":  {"PUT", "/templates/signIn", strings.Replace(strings.Replace(huge, `{"claims"`, `{"actions":[{"name":"a","claims"`, 1), `}}}`, `}}]}}`, 1), latchkey.CodeClaimsTooLarge, "/claims/c0"},
		"sample's tenant":    {"PUT", "/templates/user", `{"document":{},"sample":{"tenant":"ten_x"}}`, latchkey.CodeInvalidRequest, "/sample/tenant"},
		"sample's claims":    {"PUT", "/templates/user", `{"document":{},"sample":{"session":{"claims":{"sub":1}}}}`, latchkey.CodeInvalidRequest, "/sample/session/claims/sub"},
		"rollout of nothing": {"POST", "/templates/user/rollout", `{"percent":5}`, latchkey.CodeConflict, ""},
		"rollout percent":    {"POST", "/templates/user/rollout", `{}`, latchkey.CodeInvalidRequest, "/percent"},
		"rollback":           {"POST", "/templates/user/rollback", ``, latchkey.CodeConflict, ""},
		"delete":             {"DELETE", "/templates/user", ``, latchkey.CodeNotFound, ""},
		"version":            {"GET", "/templates/user/versions/1", ``, latchkey.CodeNotFound, ""},
		"version a word":     {"GET", "/templates/user/versions/last", ``, latchkey.CodeNotFound, ""},
		"preview invalid":    {"POST", "/templates/user/preview", `{"document":{"claims":{"a":"{{ x }}"}}}`, latchkey.CodeTemplateInvalid, "/document/claims/a"},
		"preview of both":    {"POST", "/templates/user/preview", `{"session":"` + set.Session.ID + `","sample":{}}`, latchkey.CodeContradiction, "/session"},
		"preview of a key":   {"POST", "/templates/accessKey/preview", `{"session":"` + set.Session.ID + `"}`, latchkey.CodeContradiction, "/session"},
		"no such session":    {"POST", "/templates/user/preview", `{"session":"ses_x"}`, latchkey.CodeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.refused(t, w.manage(c.method, c.path, c.body), c.code)
			for _, f := range a.problem.Errors {
				if f.Pointer == c.at {
					return
				}
			}
			if c.at != "" {
				t.Errorf("nothing at %s: %s", c.at, a.body)
			}
		})
	}
	// Nothing was saved by any of these.
	w.refused(t, w.manage("GET", "/templates/user", ""), latchkey.CodeNotFound)
	w.ok(t, w.manage("POST", "/sessions/"+set.Session.ID+"/revoke", ""), nil)
	w.refused(t, w.manage("POST", "/templates/user/preview", `{"session":"`+set.Session.ID+`"}`), latchkey.CodeConflict)
}

// The size that is refused is that of the cookie, when tokens are delivered so.
func TestTemplatesFitIntoCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doc := `{"document":{"claims":{`
	for i := range 8 {
		doc += fmt.Sprintf(`"c%d":"%s",`, i, strings.Repeat("x", 450))
	}
	doc = strings.TrimSuffix(doc, ",") + `}}}`
	w.settings(t, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	a := w.refused(t, w.manage("PUT", "/templates/user", doc), latchkey.CodeClaimsTooLarge)
	if !strings.Contains(a.problem.Detail, "4096 are allowed") {
		t.Errorf("%s", a.body)
	}
	var shown latchkey.TemplatePreview
	w.ok(t, w.manage("POST", "/templates/user/preview", doc), &shown)
	if shown.Bytes.Limit != 4096 || shown.Bytes.Total <= 4096 || shown.Custom != nil || len(shown.Problems) < 8 {
		t.Errorf("%+v", shown)
	}
	w.settings(t, `{"delivery":{"session":"body","refresh":"body"}}`)
	w.ok(t, w.manage("PUT", "/templates/user", doc), nil)
}

func TestSignInActionsAtTheFace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(t, w.manage("PUT", "/templates/signIn", `{"document":{"actions":[
		{"name":"weak","when":"!('mfa' in session.amr)","require":"mfa"},
		{"name":"eve","when":"user.name == 'Eve'","deny":{"code":"not_eve","message":"Eve stays outside."}},
		{"name":"badge","claims":{"badge":"{{ user.id }}"},"lifetime":"1h"}]}}`), nil)
	a := w.refused(t, w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd"]}`), latchkey.CodeInsufficient)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Code != "mfa" {
		t.Errorf("%s", a.body)
	}
	a = w.refused(t, w.manage("POST", "/sessions", `{"user":{"loginIds":["eve@example.com"],"name":"Eve"},"amr":["pwd","totp"]}`), latchkey.CodeSignInDenied)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Code != "not_eve" || a.problem.Errors[0].Detail != "Eve stays outside." || a.problem.Terminal {
		t.Errorf("%s", a.body)
	}
	var set latchkey.TokenSet
	w.ok(t, w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd","totp"]}`), &set)
	if got := string(claims(t, set.SessionToken)["badge"]); got != `"`+w.user.String()+`"` {
		t.Errorf("badge %s", got)
	}
	var shown latchkey.TemplatePreview
	w.ok(t, w.manage("POST", "/templates/signIn/preview", `{"sample":{"user":{"name":"Eve"},"session":{"amr":["pwd","totp","mfa"]}}}`), &shown)
	if shown.Denied == nil || shown.Denied.Code != "not_eve" || shown.Action != "eve" {
		t.Errorf("%+v", shown)
	}
	w.ok(t, w.manage("POST", "/templates/signIn/preview", ``), &shown)
	if shown.Requires != "mfa" {
		t.Errorf("%+v", shown)
	}
}

// Attack: a key that may change documents, and nothing else, reads everybody's data by
// previewing them.
func TestAttackPreviewIsNoWayToUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	c := w.manage("POST", "/templates/user/preview", fmt.Sprintf(`{"document":{"claims":{"a":"{{ user.loginIds[0] }}"}},"session":%q}`, set.Session.ID))
	settings, sessions, users := directory.ScopeSettings, directory.ScopeSessions, directory.ScopeUsers
	for _, scopes := range [][]directory.Scope{{settings}, {settings, sessions}, {settings, users}} {
		c.bearer = w.newKey(t, w.project, directory.NewKey{Name: "few", Kind: secret.Management, Scopes: scopes})
		w.refused(t, c, latchkey.CodeForbidden)
		sample := c
		sample.body = `{"document":{"claims":{"a":"{{ user.name }}"}}}`
		w.ok(t, sample, nil)
	}
	c.bearer = w.newKey(t, w.project, directory.NewKey{Name: "enough", Kind: secret.Management, Scopes: []directory.Scope{settings, sessions, users}})
	w.ok(t, c, nil)
}
