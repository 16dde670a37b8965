package native_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// list is any list, of what has an id or else a name.
type anyList struct {
	Items []struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Version int    `json:"version"` // of what has a number instead
		Event   struct {
			ID string `json:"id"`
		} `json:"event"`
	}
	NextPageToken string `json:"nextPageToken"`
}

func (l *anyList) UnmarshalJSON(b []byte) error {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	*l = anyList{}
	for name, raw := range members {
		into := any(&l.Items)
		if name == "nextPageToken" {
			into = &l.NextPageToken
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return err
		}
	}
	return nil
}

// paged fetches a whole list in pages of a size, and returns the ids.
func (w *world) paged(t testing.TB, c call, size int) []string {
	t.Helper()
	var out []string
	for token := ""; ; {
		next := c
		next.path = withQuery(c.path, fmt.Sprintf("pageSize=%d", size))
		if token != "" {
			next.path += "&pageToken=" + token
		}
		var list anyList
		w.ok(t, next, &list)
		if len(list.Items) > size {
			t.Fatalf("%s: %d entries", next.path, len(list.Items))
		}
		for _, item := range list.Items {
			if item.Version > 0 {
				item.ID = fmt.Sprintf("%09d", item.Version)
			}
			out = append(out, cmp.Or(item.ID, item.Name, item.Event.ID))
		}
		if token = list.NextPageToken; token == "" {
			return out
		}
	}
}

// lists are the operations that page; a new one is found by its query.
func (w *world) lists(t testing.TB, token string) map[string]call {
	t.Helper()
	out := map[string]call{}
	for _, r := range w.face.Routes() {
		if b, err := json.Marshal(r.Query); err != nil || !strings.Contains(string(b), `"Token"`) {
			continue
		}
		c := call{method: r.Method, path: strings.NewReplacer("{project}", w.project.String(), "{kind}", "user", "{webhook}", w.hooks.id.String()).Replace(r.Pattern), bearer: w.key}
		if r.Scope == "" {
			c.bearer = token
		}
		out[r.ID] = c
	}
	if len(out) < 5 {
		t.Fatalf("only %d lists were found", len(out))
	}
	return out
}

func TestListsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var token string
	for i := range 7 {
		w.clock.Move(time.Second)
		token = w.signIn(t, w.site).SessionToken
		w.newHooks(t, w.project)
		w.miss(t, webhook.Hook{ID: w.hooks.id, Project: w.project})
		w.newUser(t, w.project, fmt.Sprintf("user%d@example.com", i))
		w.makeKey(t, w.key, fmt.Sprintf(`{"name":"key %d"}`, i))
		for _, kind := range []string{"tenants", "roles", "permissions", "access-keys"} {
			w.ok(t, w.manage("POST", "/"+kind, fmt.Sprintf(`{"name":"one %d"}`, i)), nil)
		}
		w.saveTemplate(t, fmt.Sprintf(`{"claims":{"n":%d}}`, i))
	}
	for id, c := range w.lists(t, token) {
		all := w.paged(t, c, 200)
		if len(all) < 7 {
			t.Fatalf("%s: %d entries", id, len(all))
		}
		sorted := slices.Clone(all)
		slices.Sort(sorted)
		if id == "listSessions" || id == "listOwnSessions" || id == "listEvents" || id == "listTemplateVersions" {
			slices.Reverse(sorted)
		}
		if !slices.Equal(all, sorted) {
			t.Errorf("%s: the order is %v", id, all)
		}
		for _, size := range []int{1, 3, 7, len(all), len(all) + 1} {
			if got := w.paged(t, c, size); !slices.Equal(got, all) {
				t.Errorf("%s, pages of %d: %v, want %v", id, size, got, all)
			}
		}
	}
}

// Attack 39: a page token grants nothing and is nothing but a place in a list.
func TestListsRefuseForgedPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn(t, w.site).SessionToken
	other := id.NewSession(w.clock.Now().Add(time.Hour))
	real := wire.EncodePage(other[:])
	for name, c := range w.lists(t, token) {
		for what, forged := range map[string]string{
			"nonsense": "nonsense", "cut": real[:len(real)-1], "altered": "B" + real[1:], "padded": real + "=",
			"short": wire.EncodePage([]byte("short")), "long": wire.EncodePage(make([]byte, 17)),
			"sql": wire.EncodePage([]byte("' OR 1=1 --     ")[:15]), "huge": strings.Repeat("A", 2000),
		} {
			c := c
			c.path = withQuery(c.path, "pageToken="+url.QueryEscape(forged))
			a := w.refused(t, c, latchkey.CodeInvalidRequest)
			if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "?pageToken" {
				t.Errorf("%s, %s: %s", name, what, a.body)
			}
		}
		// A well-formed place that no list returned, or another one did, is a place all
		// the same: nothing that isn't the caller's to see follows it.
		place := real
		if name == "listPermissions" {
			place = wire.EncodePage([]byte("name:zzz")) // the only list that isn't by id
		}
		c.path = withQuery(c.path, "pageToken="+place)
		var list anyList
		w.ok(t, c, &list)
		for _, size := range []string{"0", "201", "-1", "1.5", "many", ""} {
			bad := w.lists(t, token)[name]
			bad.path = withQuery(bad.path, "pageSize="+size)
			w.refused(t, bad, latchkey.CodeInvalidRequest)
		}
	}
}

func TestListSessionsFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.newUser(t, w.project, "bob@example.com")
	start := w.clock.Now()
	at := func(hours int) string { return start.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
	var ids []string
	for i, body := range []string{
		fmt.Sprintf(`{"user":%q,"amr":["pwd"],"lifetime":"1h","device":{"ip":"198.51.100.7"}}`, w.user),
		fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":{"ip":"198.51.101.7"}}`, w.user),
		fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":{"ip":"2001:db8::7"}}`, bob),
		fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, bob),
	} {
		set := w.signInAs(t, w.site, body)
		ids = append(ids, set.Session.ID)
		w.clock.Move(time.Hour)
		if i == 3 {
			w.ok(t, w.end("POST", "/session/logout", set.RefreshToken), nil)
		}
	}
	for query, want := range map[string][]int{
		"":                     {3, 2, 1, 0},
		"user=" + bob.String(): {3, 2},
		"state=active":         {2, 1},
		"state=expired":        {0},
		"state=ended":          {3},
		"ip=198.51.100.0/23":   {1, 0},
		"ip=198.51.100.7":      {0},
		"ip=2001:db8::/32":     {2},
		"createdFrom=" + at(1): {3, 2, 1},
		"createdTo=" + at(1):   {0},
		"createdFrom=" + at(1) + "&createdTo=" + at(3): {2, 1},
		"user=" + bob.String() + "&state=ended":        {3},
		"user=" + id.NewUser(start).String():           {},
		"tenant=" + id.NewTenant(start).String():       {},
	} {
		var wanted []string
		for _, i := range want {
			wanted = append(wanted, ids[i])
		}
		if got := w.paged(t, w.manage("GET", "/sessions?"+query, ""), 2); !slices.Equal(got, wanted) {
			t.Errorf("%s: %v, want %v", query, got, wanted)
		}
	}
	a := w.refused(t, w.manage("GET", "/sessions?user=bob&tenant=acme&ip=192.0.2.7/24", ""), latchkey.CodeInvalidRequest)
	golden(t, "problems/session-filter", a.body)
	w.refused(t, w.manage("GET", "/sessions?state=asleep&createdFrom=today", ""), latchkey.CodeInvalidRequest)
	w.refused(t, w.manage("GET", "/sessions?state=active&state=ended", ""), latchkey.CodeInvalidRequest)
}

func TestListEventsFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.newUser(t, w.project, "bob@example.com")
	w.clock.Move(time.Hour)
	start := w.clock.Now()
	one := w.signIn(t, w.site)
	w.clock.Move(time.Hour)
	two := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, bob))
	w.clock.Move(time.Hour)
	w.ok(t, w.end("POST", "/session/logout", two.RefreshToken), nil)
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339) }
	for query, want := range map[string]string{
		"type=session.created":                             "session.created session.created",
		"type=session.ended,session.created":               "session.ended session.created session.created",
		"session=" + one.Session.ID:                        "session.created",
		"user=" + bob.String():                             "session.ended session.created user.created",
		"from=" + at(0):                                    "session.ended session.created session.created",
		"from=" + at(time.Hour) + "&to=" + at(2*time.Hour): "session.created",
		"type=session.created&user=" + bob.String():        "session.created",
		"session=" + id.NewSession(start).String():         "",
		"type=user.deleted":                                "",
		"type=session.*&user=" + bob.String():              "session.ended session.created",
		"type=session.*,user.*&user=" + bob.String():       "session.ended session.created user.created",
		"actor=system&type=session.*":                      "session.ended",
		"actor=system&type=session.created":                "",
		"ip=192.0.2.1&type=session.ended":                  "session.ended",
		"ip=::ffff:192.0.2.1&type=session.ended":           "session.ended",
		"ip=192.0.2.2":                                     "",
		"requestId=" + requestID + "&type=session.*":       "session.ended session.created session.created",
		"requestId=other":                                  "",
		"tenant=" + id.NewTenant(start).String():           "",
	} {
		var log struct {
			Events []latchkey.Event `json:"events"`
		}
		w.ok(t, w.manage("GET", "/events?"+query, ""), &log)
		var got []string
		for _, e := range log.Events {
			got = append(got, e.Type)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	a := w.refused(t, w.manage("GET", "/events?type=login,session.created&session=x&user=y&tenant=z&actor=Bob&ip=home", ""), latchkey.CodeInvalidRequest)
	golden(t, "problems/event-filter", a.body)
}
