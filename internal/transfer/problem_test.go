package transfer_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/transfer"
)

const first = `{"latchkey":"project","version":1}`

func TestEveryProblemHasItsPlace(t *testing.T) {
	key := func(k, d byte, members string) string {
		return fmt.Sprintf(`{"kind":"accessKey","id":%q,"digest":%q%s}`, numbered[id.AccessKey](k), hexOf(digest(d)), members)
	}
	hook := func(n byte, members string) string {
		return fmt.Sprintf(`{"kind":"webhook","id":%q%s}`, numbered[id.Webhook](n), members)
	}
	role, tenant, user := numbered[id.Role](20).String(), numbered[id.Tenant](10).String(), numbered[id.User](30).String()
	fresh := numbered[id.Role](29).String()
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"nothing":                     {nil, "1  empty\n"},
		"blank":                       {[]string{"", " ", "\t"}, "1  empty\n"},
		"no JSON":                     {[]string{"users", `{"kind":"user"`, `{"kind":"user","loginIds":["x"]} {}`}, "1  format\n2  format\n3  format\n"},
		"not UTF-8":                   {[]string{"{\"kind\":\"\xff\"}"}, "1  format\n"},
		"a byte order mark":           {[]string{"\ufeff" + ada}, "1  format\n"},
		"no object":                   {[]string{`[]`, `"user"`, `7`}, "1 /kind unknown\n2 /kind unknown\n3 /kind unknown\n"},
		"unknown kind":                {[]string{`{"kind":"session"}`, `{"loginIds":["x"]}`}, "1 /kind unknown\n2 /kind unknown\n"},
		"unknown members":             {[]string{`{"kind":"user","loginIds":["x"],"loginids":["y"],"epoch":1}`}, "1 /loginids unknown\n1 /epoch unknown\n"},
		"unknown and wrong":           {[]string{fmt.Sprintf(`{"kind":"user","loginIds":[""],"phone":"1","roles":["nope"],"nick":1,"tenants":[{"tenant":%q,"rolls":[]}]}`, tenant), fmt.Sprintf(`{"kind":"tenant","id":%q,"nick":1,"name":"","attributes":{"":1}}`, tenant)}, "1 /nick unknown\n1 /tenants/0/rolls unknown\n1 /roles/0 unknown\n1 /loginIds/0 format\n1 /phone format\n2 /nick unknown\n2 /name format\n2 /attributes/ format\n"},
		"a member twice":              {[]string{`{"kind":"user","loginIds":["x"],"name":"a","name":"b"}`}, "1 /name duplicate\n"},
		"wrong types":                 {[]string{`{"kind":"user","loginIds":"x","name":7,"roles":[1]}`}, "1 /loginIds type\n1 /name type\n1 /roles/0 type\n"},
		"wrong types and values":      {[]string{`{"kind":"user","loginIds":["x"],"name":7,"phone":"1","nick":1,"roles":["nope"]}`, fmt.Sprintf(`{"kind":"tenant","id":%q,"name":7,"settings":{"idleTimeout":"1s"}}`, tenant)}, "1 /name type\n1 /nick unknown\n1 /roles/0 unknown\n1 /phone format\n2 /name type\n2 /settings/idleTimeout range\n"},
		"wrong ids and values":        {[]string{`{"kind":"user","id":7,"phone":"1"}`, `{"kind":"user","loginIds":7,"phone":"1"}`, `{"kind":"role","id":"x","permissions":["nope"]}`, `{"kind":"tenant","name":""}`, `{"kind":"accessKey","id":7,"networks":["x"]}`, hook(1, "")[:len(`{"kind":"webhook",`)] + `"url":"x"}`}, "1 /id type\n1 /phone format\n2 /loginIds type\n2 /phone format\n3 /id format\n3 /permissions/0 unknown\n4 /id required\n4 /name format\n5 /id type\n5 /networks/0 format\n6 /id required\n6 /url format\n"},
		"a wrong type names its line": {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q,"name":"x","status":7}`, numbered[id.Tenant](19)), fmt.Sprintf(`{"kind":"user","loginIds":["w","x"],"email":7,"tenants":[{"tenant":%q}]}`, numbered[id.Tenant](19)), `{"kind":"user","loginIds":["x"]}`}, "1 /status type\n2 /email type\n3 /loginIds/0 duplicate\n"},
		"nothing to go by":            {[]string{`{"kind":"template","of":7,"stable":{"document":{"claims":{"sub":"x"}}}}`, `{"kind":"permission","name":7,"description":"x"}`}, "1 /of type\n2 /name type\n"},
		"a later version":             {[]string{`{"latchkey":"project","version":2}`, `{"kind":"end","counts":{}}`}, "1 /version range\n"},
		"the first line later":        {[]string{ada, first}, "2  order\n"},
		"cut off":                     {[]string{first, ada}, "2  truncated\n"},
		"a line is missing":           {[]string{first, ada, `{"kind":"end","counts":{"user":2,"shop":1}}`}, "3 /counts/user truncated\n3 /counts unknown\n"},
		"behind the end":              {[]string{first, `{"kind":"end","counts":{"user":0}}`, ada}, "3  order\n"},
		"two projects":                {[]string{`{"kind":"project"}`, `{"kind":"project"}`}, "2  duplicate\n"},
		"settings":                    {[]string{`{"kind":"project","name":"","settings":{"sessionTokenTTL":"1s","nope":1}}`}, "1 /name format\n1 /settings/nope unknown\n1 /settings/sessionTokenTTL range\n"},
		"settings out of range":       {[]string{`{"kind":"project","settings":{"sessionTokenTTL":"1s","clockSkew":"1h"}}`}, "1 /settings/sessionTokenTTL range\n1 /settings/clockSkew range\n"},
		"permissions":                 {[]string{`{"kind":"permission"}`, `{"kind":"permission","name":" x "}`, `{"kind":"permission","name":"a"}`, `{"kind":"permission","name":"a"}`}, "1 /name required\n2 /name format\n4 /name duplicate\n"},
		"a role without id and name":  {[]string{`{"kind":"role","name":"x"}`, fmt.Sprintf(`{"kind":"role","id":%q}`, fresh)}, "1 /id required\n2 /name format\n"},
		"a role's name is taken":      {[]string{fmt.Sprintf(`{"kind":"role","id":%q,"name":"admin"}`, fresh)}, "1 /name duplicate\n"},
		"a role's permissions":        {[]string{fmt.Sprintf(`{"kind":"role","id":%q,"permissions":["orders:read","nope"]}`, role)}, "1 /permissions/1 unknown\n"},
		"a role moves":                {[]string{fmt.Sprintf(`{"kind":"role","id":%q,"tenant":%q}`, role, tenant)}, "1 /tenant conflict\n"},
		"a role of no tenant":         {[]string{fmt.Sprintf(`{"kind":"role","id":%q,"name":"x","tenant":%q}`, fresh, numbered[id.Tenant](19))}, "1 /tenant unknown\n"},
		"a role twice":                {[]string{fmt.Sprintf(`{"kind":"role","id":%q}`, role), fmt.Sprintf(`{"kind":"role","id":%q}`, role)}, "2 /id duplicate\n"},
		"a tenant":                    {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q}`, numbered[id.Tenant](19)), fmt.Sprintf(`{"kind":"tenant","id":%q,"status":"gone","attributes":[1]}`, tenant)}, "1 /name format\n2 /status range\n2 /attributes type\n"},
		"a tenant's settings":         {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q,"attributes":[],"settings":{"idleTimeout":"1s","delivery":{}}}`, tenant)}, "1 /attributes type\n1 /settings/delivery unknown\n1 /settings/idleTimeout range\n"},
		"a tenant's settings' ranges": {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q,"settings":{"idleTimeout":"1s"}}`, tenant)}, "1 /settings/idleTimeout range\n"},
		"a tenant twice":              {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q}`, tenant), fmt.Sprintf(`{"kind":"tenant","id":%q}`, tenant)}, "2 /id duplicate\n"},
		"a user of nothing":           {[]string{`{"kind":"user"}`, `{"kind":"user","loginIds":[]}`, `{"kind":"user","id":""}`}, "1 /loginIds required\n2 /loginIds required\n3 /loginIds required\n"},
		"a new user without login":    {[]string{fmt.Sprintf(`{"kind":"user","id":%q}`, numbered[id.User](39))}, "1 /loginIds format\n"},
		"a user's members":            {[]string{fmt.Sprintf(`{"kind":"user","id":%q,"loginIds":["usr_x",""],"email":"x","phone":"1","attributes":{"":1}}`, user)}, "1 /loginIds/0 format\n1 /loginIds/1 format\n1 /email format\n1 /phone format\n1 /attributes/ format\n"},
		"another kind's id":           {[]string{fmt.Sprintf(`{"kind":"user","id":%q,"loginIds":["x"]}`, role)}, "1 /id format\n"},
		"a user twice":                {[]string{fmt.Sprintf(`{"kind":"user","id":%q}`, user), fmt.Sprintf(`{"kind":"user","id":%q}`, user)}, "2 /id duplicate\n"},
		"a user by id and by login":   {[]string{fmt.Sprintf(`{"kind":"user","id":%q}`, user), `{"kind":"user","loginIds":["ada"]}`}, "2 /id duplicate\n"},
		"a login id twice":            {[]string{`{"kind":"user","loginIds":["x","y"]}`, `{"kind":"user","loginIds":["y"]}`, `{"kind":"user","loginIds":["z","z"]}`}, "2 /loginIds/0 duplicate\n3 /loginIds/1 format\n"},
		"somebody else's login id":    {[]string{`{"kind":"user","loginIds":["x","ada"]}`}, "1 /loginIds/1 conflict\n"},
		"roles that aren't there":     {[]string{fmt.Sprintf(`{"kind":"user","loginIds":["x"],"roles":["nope","admin",%q,%q]}`, fresh, role)}, "1 /roles/0 unknown\n1 /roles/2 unknown\n1 /roles/3 duplicate\n"},
		"a tenant's role outside it":  {[]string{fmt.Sprintf(`{"kind":"user","loginIds":["x"],"roles":[%q]}`, numbered[id.Role](22))}, "1 /roles/0 unknown\n"},
		"all at once":                 {[]string{`{"kind":"user","loginIds":["","ada"],"roles":["nope"],"phone":"1"}`, "x"}, "1 /roles/0 unknown\n1 /loginIds/0 format\n1 /phone format\n1 /loginIds/1 conflict\n2  format\n"},
		"memberships":                 {[]string{fmt.Sprintf(`{"kind":"user","loginIds":["x"],"tenants":[{"tenant":"Acme"},{"tenant":%q,"roles":["nope"]},{"tenant":%q},{"roles":[]}]}`, tenant, tenant)}, "1 /tenants/3/tenant required\n"},
		"memberships again":           {[]string{fmt.Sprintf(`{"kind":"user","loginIds":["x"],"tenants":[{"tenant":"Acme"},{"tenant":%q,"roles":["nope"]},{"tenant":%q}]}`, tenant, tenant)}, "1 /tenants/0/tenant unknown\n1 /tenants/1/roles/0 unknown\n1 /tenants/2/tenant duplicate\n"},
		"what comes later":            {[]string{`{"kind":"user","loginIds":["x"],"roles":["later"]}`, fmt.Sprintf(`{"kind":"role","id":%q,"name":"later"}`, fresh)}, "1 /roles/0 unknown\n"},
		"a key without anything":      {[]string{`{"kind":"accessKey"}`, fmt.Sprintf(`{"kind":"accessKey","id":%q}`, numbered[id.AccessKey](49))}, "1 /id required\n2 /name format\n2 /digest required\n"},
		"a key's digest":              {[]string{fmt.Sprintf(`{"kind":"accessKey","id":%q,"digest":"lk_ak_x"}`, numbered[id.AccessKey](40)), key(49, 40, `,"name":"x"`), key(48, 48, `,"name":"x"`), key(47, 48, `,"name":"x"`)}, "1 /digest format\n2 /digest conflict\n4 /digest duplicate\n"},
		"a key twice":                 {[]string{key(40, 40, ""), key(40, 40, "")}, "2 /id duplicate\n"},
		"a key's owner":               {[]string{key(40, 40, fmt.Sprintf(`,"user":%q`, numbered[id.User](31))), key(49, 49, fmt.Sprintf(`,"name":"x","user":%q`, numbered[id.User](39)))}, "1 /user conflict\n2 /user unknown\n"},
		"a key's members":             {[]string{key(40, 40, `,"name":"","status":"gone","networks":["10.0.0.1/8"],"expiresAt":"soon","claims":{"sub":"x"},"attributes":{"":1},"roles":["nope"]`)}, "1 /status range\n1 /roles/0 unknown\n1 /networks/0 format\n1 /expiresAt format\n1 /name format\n1 /attributes/ format\n1 /claims/sub reserved\n"},
		"a key's members again":       {[]string{key(40, 40, `,"name":"","networks":["10.0.0.1/8"],"expiresAt":"soon","claims":{"sub":"x"},"attributes":{"":1},"roles":["nope"]`)}, "1 /roles/0 unknown\n1 /networks/0 format\n1 /expiresAt format\n1 /name format\n1 /attributes/ format\n1 /claims/sub reserved\n"},
		"numbers that nobody reads":   {[]string{fmt.Sprintf(`{"kind":"tenant","id":%q,"attributes":{"a":[1e400],"b":-1e309}}`, tenant), `{"kind":"user","loginIds":["x"],"attributes":{"a":{"b":1e400}}}`, key(40, 40, `,"claims":{"x":[1,1e400]},"attributes":{"y":1e400}`), `{"kind":"template","of":"user","stable":{"document":{"claims":{"x":[1e400]}}}}`}, "1 /attributes/a/0 range\n1 /attributes/b range\n2 /attributes/a/b range\n3 /attributes/y range\n3 /claims/x/1 range\n4 /stable/document/claims/x/0 range\n"},
		"templates":                   {[]string{`{"kind":"template"}`, `{"kind":"template","of":"shop"}`, `{"kind":"template","of":"accessKey"}`, `{"kind":"template","of":"user","stable":{}}`}, "1 /of required\n2 /of range\n3 /stable required\n4 /stable/document required\n"},
		"a template's documents":      {[]string{`{"kind":"template","of":"user","stable":{"document":{"claims":{"x":"{{ nope }}","sub":1}}},"candidate":{"percent":5,"document":{"y":1}},"previous":{"document":[]}}`}, "1 /stable/document/claims/x format\n1 /stable/document/claims/sub reserved\n1 /previous/document type\n1 /candidate/document/y unknown\n"},
		"a template's share":          {[]string{`{"kind":"template","of":"user","candidate":{"percent":100,"document":{}}}`, `{"kind":"template","of":"accessKey","candidate":{"document":{}}}`, `{"kind":"template","of":"signIn","previous":{"document":{}}}`}, "1 /candidate/percent range\n2 /candidate/percent required\n3 /stable required\n"},
		"a key's template of a user":  {[]string{`{"kind":"template","of":"accessKey","stable":{"document":{"claims":{"x":"{{ user.name }}"}}}}`}, "1 /stable/document/claims/x format\n"},
		"a template twice":            {[]string{`{"kind":"template","of":"user"}`, `{"kind":"template","of":"user"}`}, "2 /of duplicate\n"},
		"sign-in actions":             {[]string{`{"kind":"template","of":"signIn","stable":{"document":{"actions":[{"name":"a","when":"1","require":"mfa"}]}}}`}, "1 /stable/document/actions/0/when type\n"},
		"webhooks":                    {[]string{`{"kind":"webhook"}`, hook(59, ""), hook(50, `,"url":"ftp://x","types":["nope"],"description":"a\nb"`), hook(50, "")}, "1 /id required\n2 /url format\n3 /url format\n3 /description format\n3 /types/0 range\n4 /id duplicate\n"},
		"a secret of a webhook":       {[]string{hook(50, `,"secret":"whsec_x"`)}, "1 /secret unknown\n"},
		"a line that is too long":     {[]string{`{"kind":"user","name":"` + strings.Repeat("x", 1<<20) + `"}`, `{"kind":"x"}`}, "1  size\n2 /kind unknown\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.full()
			before := w.export()
			r := w.check(strings.Join(c.lines, "\n"))
			if got := problems(r); got != c.want || r.Found != strings.Count(c.want, "\n") {
				t.Errorf("%d problems\n%swant\n%s%+v", r.Found, got, c.want, r.Problems)
			}
			if w.export() != before {
				t.Error("the check changed something")
			}
		})
	}
}

// What is wrong is told in sentences, whichever package has found it, and the kinds that
// are named as known are all there are.
func TestProblemsAreSentences(t *testing.T) {
	w := newWorld(t)
	r := w.check(`{"kind":"shop"}` + "\n" + `{"kind":"user","loginIds":"x","nick":1,"status":"gone"}` + "\n{}x")
	for _, p := range r.Problems {
		if first := p.Detail[:1]; first != strings.ToUpper(first) || !strings.HasSuffix(p.Detail, ".") {
			t.Errorf("line %d: %q is no sentence", p.Line, p.Detail)
		}
	}
	for _, k := range append(transfer.Kinds(), "end") {
		if len(r.Problems) != 5 || !strings.Contains(r.Problems[0].Detail, " "+string(k)) {
			t.Errorf("%s isn't named: %+v", k, r.Problems)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.check(strings.Repeat("nonsense\n", transfer.MaxShown+7))
	if r.Found != transfer.MaxShown+7 || len(r.Problems) != transfer.MaxShown {
		t.Errorf("%d found, %d shown", r.Found, len(r.Problems))
	}
}

// A project that isn't there yet has nothing that could be referred to, and asks the store
// for nothing.
func TestCheckForANewProject(t *testing.T) {
	w := newWorld(t)
	w.full()
	file := w.export()
	target := w.target()
	target.Project, target.New = id.NewProject(start), true
	// Its access keys are those of a project that is there: no two can have one secret.
	own := strings.ReplaceAll(strings.ReplaceAll(file, hexOf(digest(40)), hexOf(digest(42))), hexOf(digest(41)), hexOf(digest(43)))
	for text, want := range map[string]string{file: "12 /digest conflict\n13 /digest conflict\n", own: "", ada: "1 /roles/0 unknown\n"} {
		r, err := w.Check(t.Context(), target, strings.NewReader(text), func(int) {})
		w.must(err)
		if got := problems(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func hexOf(d secret.Digest) string { return hex.EncodeToString(d[:]) }

// Whatever a file holds: no panic, each problem with a line, and what is found good can be
// applied.
func FuzzImport(f *testing.F) {
	w := newWorld(f)
	w.full()
	f.Add(w.export())
	f.Add(ada + "\n" + strings.Replace(ada, "ada@example.com", "ada", 1))
	f.Add(first + "\n" + `{"kind":"end","counts":{}}`)
	f.Add(`{"kind":"user","loginIds":["x"],"attributes":{"a":[{"b":null}]},"tenants":[{"tenant":"ten_00000000000000000000000000"}]}`)
	f.Add(`{"kind":"accessKey","id":"ak_0100000000000000000000001f","digest":"` + hexOf(digest(45)) + `","name":"x","expiresAt":"never","networks":["::/0"]}`)
	f.Add(`{"kind":"template","of":"user","stable":{"document":{"claims":{"a":"{{ user.name }}"}}},"candidate":{"percent":0,"document":{"claims":{"a":"{{ user.name }}"}}},"previous":{"document":{}}}`)
	f.Add(`{"kind":"template","of":"signIn","candidate":{"percent":7,"document":{"actions":[]}}}`)
	f.Add(`{"kind":"webhook","id":"wh_0100000000000000000000001j","url":"http://10.0.0.1/","types":["user.*"],"enabled":true}`)
	f.Add("{\"kind\":\"role\",\"id\":\"role_\"}\r\n\r\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		w := newWorld(t)
		w.full()
		lines := strings.Count(text, "\n") + 1
		r := w.check(text)
		for _, p := range r.Problems {
			if p.Line < 1 || p.Line > lines+1 || p.Code == "" || p.Detail == "" {
				t.Fatalf("problem %+v of %d lines", p, lines)
			}
		}
		if r.Found > 0 {
			return
		}
		w.imported(text)
		if again := w.imported(text); again.Changes() != 0 {
			t.Fatalf("repeating changed %v", again.Outcome)
		}
	})
}
