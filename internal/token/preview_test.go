package token_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// drawn are the claims that are drawn at random for every token.
var drawn = regexp.MustCompile(`"(jti|rid)":"[^"]*"`)

func undrawn(payload json.RawMessage) string {
	return drawn.ReplaceAllString(string(payload), `"$1":""`)
}

// equip gives the world's user attributes and a name.
func (w *world) equip(t testing.TB, attributes string) {
	t.Helper()
	_, err := w.store.Users().Change(w.ctx, w.project, w.user, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Name, u.Email, u.Attributes = "Alice <&>", "alice@example.com", json.RawMessage(attributes)
		return u, nil, nil
	})
	must(t, err)
}

// What a preview shows of a live session's next token is what the next refresh mints, byte
// for byte but for what is drawn at random: whatever the template, the session, the user
// and the settings are.
func TestPreviewIsWhatIsMinted(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 480)
	docs := []string{
		`{"claims":{"plan":"{{ tenant.attributes.plan }}","hello":"Hi {{ user.name }}","n":5,"deep":{"x":["{{ user.email }}"],"é":"<&>"}}}`,
		`{"claims":{"plan":"template","z":"{{ user.attributes }}","a":"{{ user.tenants.map(t, user.tenants[t].name) }}"},"authorization":"currentTenant"}`,
		`{"claims":{"t":"{{ session.authTime }}","amr":1}}`,
		`{"claims":{"t":"{{ session.authTime }}","m":"{{ session.amr }}","s":"{{ session.stepUp }}","c":"{{ session.createdAt }}"},"authorization":"none","subject":"{{ user.attributes.legacyId }}"}`,
		`{"claims":{"bad":"{{ 1 + user.name }}","good":"{{ user.id }}"},"audience":["https://x","{{ tenant.id }}","{{ user.loginIds }}"],"emptyClaims":"null"}`,
		`{"emptyClaims":"keep","claims":{"missing":"{{ user.attributes.nope }}","none":null}}`,
		`{"claims":{"a":"` + long + `","b":"` + long + `","c":"` + long + `","d":"` + long + `","e":"` + long + `","f":"` + long + `","g":"` + long + `"}}`,
	}
	settings := []string{`{}`, `{"autoTenant":true,"idleTimeout":"1d"}`, `{"delivery":{"session":"cookie","refresh":"cookie"}}`,
		`{"refreshTokenFormat":"opaque","signingAlgorithm":"EdDSA","audience":["https://api"]}`, `{"rotation":"never","idleTimeout":"1h"}`}
	rng := rand.New(rand.NewPCG(3, 5))
	compared := 0
	for round := range 60 {
		w := newWorld(t, settings[round%len(settings)])
		acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
		w.changeTenant(t, acme, func(t *directory.Tenant) { t.Attributes = json.RawMessage(`{"plan":"gold"}`) })
		w.equip(t, `{"legacyId":"a-17","n":[1,2.50,{"b":null,"a":"\u003c"}]}`)
		in := [][]id.Tenant{{}, {acme}, {acme, globex}}[rng.IntN(3)]
		w.memberOf(t, in...)
		set := w.signIn(t, func(s *token.SignIn) {
			s.AMR = []string{"pwd", "totp"}[:1+rng.IntN(2)]
			if rng.IntN(2) == 0 {
				s.Claims, s.NSec = json.RawMessage(`{"plan":"own","own":true}`), json.RawMessage(`{"theme":"dark"}`)
			}
			if len(in) > 0 && rng.IntN(2) == 0 {
				s.Tenant = in[0]
			}
		})
		w.clock.Move(window + time.Duration(rng.IntN(1000))*time.Millisecond)
		if rng.IntN(3) == 0 {
			w.memberOf(t, globex) // of another tenant than the session's
		}
		if rng.IntN(3) == 0 {
			w.grant(t, directory.Grants{Roles: []id.Role{w.newRole(t, id.Tenant{}, "admin", "read", "write")}, Memberships: []directory.Membership{{Tenant: acme}}})
		}
		doc := docs[rng.IntN(len(docs))]
		shown, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Document: json.RawMessage(doc), Session: set.Row.ID})
		if strings.Contains(doc, `"amr"`) {
			if fault.KindOf(err) != fault.TemplateInvalid {
				t.Errorf("a reserved name is shown: %v", err)
			}
			continue
		}
		must(t, err)
		before, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
		must(t, err)
		w.save(t, document.User, doc)
		saved, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
		must(t, err)
		minted := claims(t, w.refresh(t, w.Service, set.Refresh).Session)
		if undrawn(shown.Claims) != undrawn(minted) || undrawn(saved.Claims) != undrawn(minted) {
			t.Fatalf("%s, %s:\nshown  %s\nsaved  %s\nminted %s", settings[round%len(settings)], doc, shown.Claims, saved.Claims, minted)
		}
		for name, value := range members(t, shown.Custom) {
			if !bytes.Contains(minted, []byte(fmt.Sprintf("%q:%s", name, value))) {
				t.Errorf("%s of %s isn't in %s", name, shown.Custom, minted)
			}
		}
		if len(saved.Diff) != 0 {
			t.Errorf("what is in use differs from what is in use: %v", saved.Diff)
		}
		if (undrawn(before.Claims) == undrawn(minted)) != (len(shown.Diff) == 0) {
			t.Errorf("%v is the difference of\n%s\n%s", shown.Diff, before.Claims, minted)
		}
		compared++
	}
	if compared < 40 {
		t.Errorf("only %d were compared", compared)
	}
}

func members(t testing.TB, object json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if object != nil {
		must(t, json.Unmarshal(object, &m))
	}
	return m
}

// The size that a preview tells is that of the token, and what is too long is told and left
// out, as it would be.
func TestPreviewSize(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"body", "cookie"} {
		w := newWorld(t, `{"delivery":{"session":"`+delivery+`","refresh":"`+delivery+`"}}`)
		set := w.signIn(t)
		w.clock.Move(window)
		cookies, err := w.Settings(w.ctx, w.project)
		must(t, err)
		cookie, _ := policy.CookieNames(cookies.Settings.Cookies)
		limit, name := claim.MaxToken, 0
		if delivery == "cookie" {
			limit, name = claim.MaxCookie, len(cookie)
		}
		for _, n := range []int{1, 5, 7, 20, 25, 40} {
			doc := map[string]any{}
			for i := range n {
				doc[fmt.Sprintf("c%02d", i)] = strings.Repeat("x", 400)
			}
			raw, err := json.Marshal(map[string]any{"claims": doc})
			must(t, err)
			shown, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Document: raw, Session: set.Row.ID})
			must(t, err)
			refused := w.CheckDocument(w.ctx, w.project, document.User, raw, nil)
			w.save(t, document.User, string(raw))
			w.clock.Move(5 * time.Minute)
			set = w.refresh(t, w.Service, set.Refresh)
			fits := shown.Size <= limit
			if shown.Limit != limit || fits && shown.Size != len(set.Session.Reveal())+name {
				t.Errorf("%s, %d claims: %d of %d, the token has %d", delivery, n, shown.Size, shown.Limit, len(set.Session.Reveal()))
			}
			if _, is := members(t, claims(t, set.Session))["c00"]; is != fits || (shown.Custom != nil) != fits || (len(shown.Problems) == 0) != fits {
				t.Errorf("%s, %d claims: fits %v, in the token %v, shown %s, %v", delivery, n, fits, is, shown.Custom, shown.Problems)
			}
			if (refused == nil) != fits || !fits && fault.KindOf(refused) != fault.ClaimsTooLarge {
				t.Errorf("%s, %d claims: fits %v, but %v", delivery, n, fits, refused)
			}
		}
	}
}

// A document has to fit into the largest sessions that live, not only into the sample.
func TestTheLargestSessionDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivery":{"session":"cookie","refresh":"cookie"},"claimsInRefreshToken":false}`)
	large := func(in *token.SignIn) {
		in.Claims = json.RawMessage(`{"a":"` + strings.Repeat("x", 480) + `","b":"` + strings.Repeat("x", 480) + `","c":"` + strings.Repeat("x", 480) + `"}`)
	}
	doc := json.RawMessage(`{"claims":{"d":"` + strings.Repeat("x", 480) + `","e":"` + strings.Repeat("x", 480) + `","f":"` + strings.Repeat("x", 300) + `"}}`)
	must(t, w.CheckDocument(w.ctx, w.project, document.User, doc, nil))
	set := w.signIn(t, large)
	for range 30 {
		w.signIn(t)
	}
	err := w.CheckDocument(w.ctx, w.project, document.User, doc, nil)
	if fault.KindOf(err) != fault.ClaimsTooLarge || !strings.Contains(err.Error(), set.Row.ID.String()) {
		t.Errorf("which session it is isn't said: %v", err)
	}
	_, err = w.store.Sessions().End(w.ctx, w.project, set.Row.ID, session.Ending{Reason: session.Ended, Origin: audit.Origin{Actor: audit.CLI}})
	must(t, err)
	must(t, w.CheckDocument(w.ctx, w.project, document.User, doc, nil))
	// The sample of the request counts, too.
	sample := &latchkey.TemplateSample{Session: &latchkey.SampleSession{Claims: set.Row.Claims}}
	if err := w.CheckDocument(w.ctx, w.project, document.User, doc, sample); fault.KindOf(err) != fault.ClaimsTooLarge {
		t.Errorf("the sample: %v", err)
	}
}

// What a project keeps out of tokens, a template can't put into them.
func TestTemplatesAreLinted(t *testing.T) {
	t.Parallel()
	doc := json.RawMessage(`{"claims":{"mail":"{{ user.email }}"}}`)
	w := newWorld(t, `{}`)
	must(t, w.CheckDocument(w.ctx, w.project, document.User, doc, nil))
	shown, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Document: doc})
	must(t, err)
	if len(shown.Problems) != 1 || shown.Problems[0].Code != "sensitive" || shown.Problems[0].Pointer != "/claims/mail" {
		t.Errorf("%+v", shown.Problems)
	}
	w.settings(t, `{"claimLint":"reject"}`)
	if err := w.CheckDocument(w.ctx, w.project, document.User, doc, nil); !claim.Rejected(err) {
		t.Errorf("%v", err)
	}
}

// A template that fails never keeps a client from its tokens: the claim is left out, and
// one event a minute tells of each place.
func TestFailingTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"refreshRateLimit":1000}`)
	set := w.signIn(t)
	w.save(t, document.User, `{"claims":{"bad":"{{ 1 + user.id }}","worse":{"x":["{{ user.id - 1 }}"]},"good":"{{ user.id }}"}}`)
	for range 10 {
		w.clock.Move(window)
		set = w.refresh(t, w.Service, set.Refresh)
		m := members(t, claims(t, set.Session))
		if string(m["good"]) != `"`+w.user.String()+`"` || m["bad"] != nil || m["worse"] != nil {
			t.Fatalf("%s", claims(t, set.Session))
		}
	}
	// 200 seconds: once at the beginning, and after each full minute.
	told := w.told(t, audit.TemplateFailed)
	places := map[any]int{}
	for _, e := range told {
		places[e.Data["path"]]++
		if e.Data["kind"] != "user" || e.Data["version"] != 1.0 || e.Session != set.Row.ID || e.User != w.user || e.Data["reason"] == "" || e.Actor != audit.System {
			t.Errorf("%+v", e)
		}
	}
	if len(places) != 2 || places["/claims/bad"] != 4 || places["/claims/worse/x/0"] != 4 {
		t.Errorf("told %v", places)
	}
	// A document that this server can't read is none, for nobody's refresh waits for it.
	w.save(t, document.User, `{"claims":{"x":"{{ tomorrow() }}"}}`)
	w.clock.Move(window)
	set = w.refresh(t, w.Service, set.Refresh)
	if members(t, claims(t, set.Session))["x"] != nil {
		t.Error("a claim out of nothing")
	}
}

// No template and no action gives a token a claim that the server vouches for: reserved
// names are refused in every spelling that a reader may take for them.
func TestAttack29CustomClaimsShadowNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	for _, name := range []string{"sub", "SUB", "Roles", "tenant\u017f", "dct", "epc", "act", "nsec", "scope", "su"} {
		for kind, doc := range map[document.Kind]string{
			document.User: `{"claims":{"` + name + `":"x"}}`, document.AccessKey: `{"claims":{"` + name + `":"x"}}`,
			document.SignIn: `{"actions":[{"name":"a","claims":{"` + name + `":"x"}}]}`,
		} {
			if err := w.CheckDocument(w.ctx, w.project, kind, json.RawMessage(doc), nil); fault.KindOf(err) != fault.TemplateInvalid {
				t.Errorf("%s takes %s: %v", kind, name, err)
			}
		}
	}
}

func TestPreviewOfAccessKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	tenant := w.newTenant(t, "Acme").String()
	shown, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.AccessKey, Document: json.RawMessage(`{"claims":{"k":"{{ key.name }} in {{ tenant.name }}"},"authorization":"currentTenant","audience":["https://x"]}`),
		Sample: &latchkey.TemplateSample{Tenant: tenant, Key: &latchkey.SampleHolder{Name: "robot", Tenants: []latchkey.SampleTenant{
			{Tenant: tenant, Name: "Acme", Roles: []string{"b", "a", "a"}}, {Tenant: w.newTenant(t, "Other").String()}}}}})
	must(t, err)
	m := members(t, shown.Claims)
	if string(shown.Custom) != `{"k":"robot in Acme"}` || string(m["tenants"]) != `{"`+tenant+`":{"roles":["a","b"],"permissions":[]}}` || !bytes.Contains(m["aud"], []byte("https://x")) || string(m["dct"]) != `"`+tenant+`"` {
		t.Errorf("%s %s", shown.Claims, shown.Custom)
	}
	huge := map[string]string{}
	for i := range 60 {
		huge[fmt.Sprint("c", i)] = strings.Repeat("x", 400)
	}
	raw, err := json.Marshal(map[string]any{"claims": huge})
	must(t, err)
	if err := w.CheckDocument(w.ctx, w.project, document.AccessKey, raw, nil); fault.KindOf(err) != fault.ClaimsTooLarge {
		t.Errorf("%v", err)
	}
	must(t, w.CheckDocument(w.ctx, w.project, document.AccessKey, json.RawMessage(`{"claims":{"k":"{{ key.name }}"}}`), nil))
	shown, err = w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.AccessKey, Document: raw})
	must(t, err)
	if shown.Custom != nil || shown.Size <= shown.Limit || len(shown.Problems) < 60 {
		t.Errorf("%d of %d, %s", shown.Size, shown.Limit, shown.Custom)
	}
}

func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	sample := func(s latchkey.TemplateSample) token.Preview { return token.Preview{Sample: &s} }
	for name, c := range map[string]struct {
		in       token.Preview
		kind     fault.Kind
		pointers string
	}{
		"kind":            {token.Preview{Kind: "users"}, fault.NotFound, ""},
		"document":        {token.Preview{Document: json.RawMessage(`{"x":1}`)}, fault.TemplateInvalid, "/document/x"},
		"both":            {token.Preview{Session: set.Row.ID, Sample: &latchkey.TemplateSample{}}, fault.Contradiction, "/session"},
		"unknown session": {token.Preview{Session: id.NewSession(w.clock.Now())}, fault.NotFound, ""},
		"unknown project": {token.Preview{Project: id.NewProject(w.clock.Now())}, fault.NotFound, ""},
		"attributes":      {sample(latchkey.TemplateSample{User: &latchkey.SampleHolder{Attributes: json.RawMessage(`[1]`)}}), fault.Invalid, "/sample/user/attributes"},
		"numbers":         {sample(latchkey.TemplateSample{User: &latchkey.SampleHolder{Attributes: json.RawMessage(`{"a":[1e400],"b":-1e309,"c":1e308}`)}}), fault.Invalid, "/sample/user/attributes/a/0 /sample/user/attributes/b"},
		"tenants":         {sample(latchkey.TemplateSample{User: &latchkey.SampleHolder{Tenants: []latchkey.SampleTenant{{Tenant: "x"}}}}), fault.Invalid, "/sample/user/tenants/0/tenant"},
		"tenant":          {sample(latchkey.TemplateSample{User: &latchkey.SampleHolder{}, Tenant: id.NewTenant(w.clock.Now()).String()}), fault.Invalid, "/sample/tenant"},
		"claims":          {sample(latchkey.TemplateSample{Session: &latchkey.SampleSession{Claims: json.RawMessage(`{"sub":1}`), NSec: json.RawMessage(`3`)}}), fault.Invalid, "/sample/session/claims/sub /sample/session/nsec"},
	} {
		if c.in.Project.IsZero() {
			c.in.Project = w.project
		}
		if c.in.Kind == "" {
			c.in.Kind = document.User
		}
		_, err := w.Preview(w.ctx, c.in)
		refusedAt(t, name, err, c.kind, c.pointers)
	}
	_, err := w.store.Sessions().End(w.ctx, w.project, set.Row.ID, session.Ending{Reason: session.Ended, Origin: audit.Origin{Actor: audit.CLI}})
	must(t, err)
	_, err = w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
	refusedAt(t, "ended", err, fault.Conflict, "")
}
