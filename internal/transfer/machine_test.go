package transfer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/transfer"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

func (w *world) count(t audit.Type) int {
	w.t.Helper()
	list, err := w.store.Events().List(w.t.Context(), audit.Query{Project: w.p, Types: []audit.Type{t}, Limit: 999})
	w.must(err)
	return len(list)
}

// A key goes on working after a move, since its digest moved with it; the file opens
// nothing.
func TestAccessKeyWorksAfterTheMove(t *testing.T) {
	from, to := newWorld(t), newWorld(t)
	from.full()
	clear := secret.NewKey(secret.Access)
	k, err := from.store.AccessKeys().Change(t.Context(), from.p, numbered[id.AccessKey](40), func(k directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
		k.Digest = clear.Digest()
		return k, nil, nil
	})
	from.must(err)
	file := from.export()
	if strings.Contains(file, clear.Reveal()) {
		t.Fatal("the secret is in the file")
	}
	to.imported(file)
	opened, err := to.d.OpenAccessKey(t.Context(), to.p, clear, k.Networks[0].Addr(), func() error { return nil })
	to.must(err)
	if opened.Key.ID != k.ID || opened.User == nil || len(opened.Key.Roles) != 1 || string(opened.Key.Claims) != `{"team":"data"}` {
		t.Errorf("opened %+v", opened)
	}
	if _, err := to.d.OpenAccessKey(t.Context(), to.p, secret.New(hexOf(clear.Digest())), k.Networks[0].Addr(), func() error { return nil }); err == nil {
		t.Error("the digest opens the key")
	}
}

// A key that has got another secret since ends what was got with the one before.
func TestAccessKeyIsWhatTheFileSays(t *testing.T) {
	w := newWorld(t)
	w.full()
	line := func(members string) string {
		return fmt.Sprintf(`{"kind":"accessKey","id":%q%s}`, numbered[id.AccessKey](41), members)
	}
	for _, c := range []struct {
		members string
		event   audit.Type
		entries int
	}{
		{`,"status":"enabled"`, audit.AccessKeyEnabled, 0},
		{`,"expiresAt":"never","roles":["admin"]`, audit.AccessKeyChanged, 1},
		{fmt.Sprintf(`,"digest":%q`, hexOf(digest(44))), audit.AccessKeyRotated, 1},
		{`,"status":"disabled","claims":{"a":1}`, audit.AccessKeyDisabled, 1},
	} {
		events, entries := w.count(c.event), w.entries()
		if done := w.imported(line(c.members)); done.Outcome[transfer.AccessKey].Changed != 1 || w.count(c.event) != events+1 || w.entries() != entries+c.entries {
			t.Errorf("%s became %v, %d events, %d entries", c.members, done.Outcome, w.count(c.event)-events, w.entries()-entries)
		}
		if again := w.imported(line(c.members)); again.Changes() != 0 {
			t.Errorf("%s again: %v", c.members, again.Outcome)
		}
	}
	k, err := w.store.AccessKeys().Find(t.Context(), w.p, numbered[id.AccessKey](41))
	w.must(err)
	if !k.ExpiresAt.IsZero() || !k.Digest.Equal(digest(44)) || len(k.Roles) != 1 || k.Name != "expired" {
		t.Errorf("%+v", k)
	}
}

// The key of somebody can be had a hundred times, those of the file and those that are
// there together.
func TestAccessKeysOfOneUserAreBounded(t *testing.T) {
	w := newWorld(t)
	w.full()
	var b strings.Builder
	for i := range directory.MaxUserKeys {
		fmt.Fprintf(&b, `{"kind":"accessKey","id":%q,"digest":%q,"name":"x","user":%q}`+"\n",
			numbered[id.AccessKey](byte(100+i)), hexOf(digest(byte(100+i))), numbered[id.User](30))
	}
	if got := problems(w.check(b.String())); got != "100 /user size\n" {
		t.Errorf("got %s", got)
	}
}

func (w *world) documents(k document.Kind) string {
	w.t.Helper()
	state, err := w.store.Documents().Find(w.t.Context(), w.p, k)
	w.must(err)
	text := ""
	for _, n := range []int{state.Stable, state.Candidate, state.Previous} {
		v, err := w.store.Documents().Version(w.t.Context(), w.p, k, n)
		if n > 0 {
			w.must(err)
		}
		text += v.Comment + "|"
	}
	return text + fmt.Sprint(state.Percent)
}

// Where a template is already, the file changes what is in use in one step, and verifiers
// are told of just the sessions that get another version.
func TestTemplateIsWhatTheFileSays(t *testing.T) {
	doc := func(v int) string { return fmt.Sprintf(`{"document":{"claims":{"v":%d}},"comment":"the %d"`, v, v) }
	for name, c := range map[string]struct {
		line, want string
		entries    int
		saved      int
	}{
		"the same":                    {`"stable":` + doc(1) + `}`, "the 1|the 2|the 0|20", 0, 0},
		"the same, any comment":       {`"stable":{"document":{ "claims": {"v":1}}}`, "the 1|the 2|the 0|20", 0, 0},
		"another stable":              {`"stable":` + doc(7) + `}`, "the 7||the 1|0", 1, 1},
		"the former is stable":        {`"stable":` + doc(0) + `}`, "the 0||the 1|0", 1, 0},
		"the candidate is":            {`"stable":` + doc(2) + `}`, "the 2||the 1|0", 1, 0},
		"another candidate":           {`"candidate":` + doc(7) + `,"percent":30}`, "the 1|the 7|the 0|30", 1, 1},
		"the former is the same, too": {`"stable":` + doc(1) + `},"previous":` + doc(1) + `}`, "the 1|the 2|the 1|20", 0, 1},
		"a candidate of the same":     {`"stable":` + doc(1) + `},"candidate":` + doc(1) + `,"percent":7}`, "the 1|the 1|the 0|7", 1, 1},
		"more of the candidate":       {`"candidate":` + doc(2) + `,"percent":30}`, "the 1|the 2|the 0|30", 1, 0},
		"an old one to come":          {`"candidate":` + doc(0) + `,"percent":30}`, "the 1|the 0|the 0|30", 1, 1},
		"another former":              {`"stable":` + doc(1) + `},"previous":` + doc(9) + `}`, "the 1|the 2|the 9|20", 0, 1},
		"all three": {`"stable":` + doc(7) + `},"candidate":` + doc(8) + `,"percent":5},"previous":` + doc(9) + `}`,
			"the 7|the 8|the 9|5", 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.full()
			entries, saved := w.entries(), w.count(audit.TemplateSaved)
			line := `{"kind":"template","of":"user",` + c.line + `}`
			w.imported(line)
			if got := w.documents(document.User); got != c.want || w.entries()-entries != c.entries || w.count(audit.TemplateSaved)-saved != c.saved {
				t.Errorf("became %s, with %d entries and %d saved", got, w.entries()-entries, w.count(audit.TemplateSaved)-saved)
			}
			if again := w.imported(line); again.Changes() != 0 {
				t.Errorf("again: %v", again.Outcome)
			}
		})
	}
}

// A template that came by a file is as any other one: while it hides the roles that its
// claims are made from, a role that changes outdates all tokens of the project.
func TestTemplateByFileConceals(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		wide bool
	}{
		"hides roles and shows what follows": {`{"claims":{"boss":"{{ 'admin' in user.roles }}"},"authorization":"none"}`, true},
		"hides roles and shows nothing":      {`{"claims":{"n":"{{ user.name }}"},"authorization":"none"}`, false},
		"shows roles":                        {`{"claims":{"boss":"{{ 'admin' in user.roles }}"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.full()
			w.imported(`{"kind":"template","of":"user","stable":{"document":` + c.doc + `}}`)
			before := w.entries()
			_, err := w.d.ChangeRole(t.Context(), w.p, numbered[id.Role](20), directory.RoleChange{Name: new("chief")}, origin)
			w.must(err)
			list, err := w.store.Revocations().Of(t.Context(), w.p, 0, 9999)
			w.must(err)
			wide := len(list) > before && slices.ContainsFunc(list[before:], func(e revocation.Entry) bool {
				return e.Kind == revocation.Epoch && e.ID == w.p.String()
			})
			if len(list) == before || wide != c.wide {
				t.Errorf("told: %+v", list[before:])
			}
		})
	}
}

// A webhook that is new is disabled, whatever the file says: nobody has agreed yet that
// what happens here goes to that address, and its receiver doesn't know the secret.
func TestWebhookStartsDisabledWithASecretOfItsOwn(t *testing.T) {
	from, to := newWorld(t), newWorld(t)
	from.enabled = true
	from.full()
	file := from.export()
	if !strings.Contains(file, `"enabled":true`) {
		t.Fatal("the file doesn't say that the webhook is enabled")
	}
	done := to.imported(file)
	h, err := to.hooks.Find(t.Context(), to.p, numbered[id.Webhook](50))
	to.must(err)
	if h.Enabled || h.URL != "https://hooks.example.com/a?b=<c>" || !h.CreatedAt.Equal(start) || string(h.Sealed) == "sealed" {
		t.Errorf("%+v", h)
	}
	if len(done.Secrets) != 1 || done.Secrets[0].Webhook != h.ID || !strings.HasPrefix(done.Secrets[0].Secret.Reveal(), "whsec_") {
		t.Errorf("secrets %v", done.Secrets)
	}
	if shown, err := json.Marshal(done); err != nil || strings.Contains(string(shown), "whsec_") || strings.Contains(fmt.Sprintf("%+v", done), "whsec_") {
		t.Error("a report shows the secret by itself")
	}
	if again := to.imported(file); again.Changes() != 0 || len(again.Secrets) != 0 {
		t.Errorf("again: %v, %d secrets", again.Outcome, len(again.Secrets))
	}
}

func TestWebhookThatIsThereKeepsItsSecret(t *testing.T) {
	for name, c := range map[string]struct {
		members string
		changes bool
		enabled bool
	}{
		"nothing said":     {``, false, true},
		"disabled by file": {`,"enabled":false`, false, true},
		"other types":      {`,"types":["tenant.*"],"description":""`, true, true},
		"another address":  {`,"url":"http://10.0.0.1/x"`, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enabled = true
			w.full()
			line := fmt.Sprintf(`{"kind":"webhook","id":%q%s}`, numbered[id.Webhook](50), c.members)
			done := w.imported(line)
			h, err := w.hooks.Find(t.Context(), w.p, numbered[id.Webhook](50))
			w.must(err)
			if (done.Changes() > 0) != c.changes || h.Enabled != c.enabled || string(h.Sealed) != "sealed" || len(done.Secrets) != 0 {
				t.Errorf("%v, %+v", done.Outcome, h)
			}
			if again := w.imported(line); again.Changes() != 0 {
				t.Errorf("again: %v", again.Outcome)
			}
		})
	}
}

func TestWebhooksAreBounded(t *testing.T) {
	w := newWorld(t)
	w.full()
	var b strings.Builder
	for i := range webhook.MaxPerProject {
		fmt.Fprintf(&b, `{"kind":"webhook","id":%q,"url":"https://x.example/%d"}`+"\n", numbered[id.Webhook](byte(100+i)), i)
	}
	if got := problems(w.check(b.String())); got != "50  size\n" {
		t.Errorf("got %s", got)
	}
}

// early is a store whose users are those there were when they were written.
type early struct{ store.Store }

type earlyUsers struct{ directory.UserStore }

func (s early) Users() directory.UserStore { return earlyUsers{s.Store.Users()} }

func (s earlyUsers) List(ctx context.Context, p id.Project, after id.User, limit int) ([]directory.User, error) {
	list, err := s.UserStore.List(ctx, p, after, limit)
	return slices.DeleteFunc(list, func(u directory.User) bool { return u.LoginIDs[0] == "late" }), err
}

// The key of somebody who came after the users were written would have an owner who isn't
// in the file.
func TestExportLeavesOutKeysOfNewcomers(t *testing.T) {
	w := worldOn(t, func(s store.Store) store.Store { return early{s} })
	w.full()
	late := id.NewUser(start.Add(time.Hour))
	w.must(w.store.Users().Insert(t.Context(), directory.User{ID: late, Project: w.p, LoginIDs: []string{"late"}, Status: directory.Enabled, CreatedAt: start},
		audit.New(w.p, start, audit.UserCreated, origin)))
	w.must(w.store.AccessKeys().Insert(t.Context(), directory.AccessKey{ID: numbered[id.AccessKey](60), Project: w.p, Name: "late", Status: directory.Enabled, User: late, Digest: digest(60)},
		audit.New(w.p, start, audit.AccessKeyCreated, origin)))
	if r := newWorld(t).check(w.export()); r.Found > 0 || r.Outcome[transfer.AccessKey].Added != 2 {
		t.Errorf("%v %s", r.Outcome, problems(r))
	}
}
