package wire

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type listQuery struct {
	Page
	User   id.User           `query:"user"`
	State  string            `query:"state" enum:"active,ended"`
	States []string          `query:"states" maxItems:"2"`
	After  *time.Time        `query:"after"`
	Wait   latchkey.Duration `query:"wait" default:"25s"`
	All    bool              `query:"all"`
	Since  uint32            `query:"since"`
	Body   string            `json:"body"`
}

func get(query string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = query
	return r
}

func TestQueryReads(t *testing.T) {
	var got listQuery
	if err := Query(get(""), &got); err != nil {
		t.Fatal(err)
	}
	wait := latchkey.Duration(25 * time.Second)
	if want := (listQuery{Page: Page{Size: 50}, Wait: wait}); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults: %+v", got)
	}
	got = listQuery{}
	if err := Query(get("pageSize=200&pageToken=x&state=ended&states=a,b&after=2026-01-02T03%3A04%3A05Z&wait=off&all=true&since=7&user=usr_00000000010000000000000000"), &got); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := listQuery{
		Page: Page{200, "x"}, State: "ended", States: []string{"a", "b"}, After: &at, All: true, Since: 7, User: got.User,
	}
	if !reflect.DeepEqual(got, want) || got.User.String() != "usr_00000000010000000000000000" {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := Query(get("states="), &got); err != nil || got.States == nil || len(got.States) != 0 {
		t.Errorf("an empty list is %#v, %v", got.States, err)
	}
}

func TestQueryRefuses(t *testing.T) {
	tests := []struct{ query, want string }{
		{"pagesize=1", "?pagesize unknown there is no such parameter"},
		{"body=x", "?body unknown there is no such parameter"},
		{"state=active&state=ended", "?state duplicate the parameter appears more than once"},
		{"state=Active", `?state range must be one of "active", "ended"`},
		{"state=", `?state range must be one of "active", "ended"`},
		{"states=a,b,c", "?states size must have at most 2 items, has 3"},
		{"pageSize=0", "?pageSize range must be from 1 to 200"},
		{"pageSize=201", "?pageSize range must be from 1 to 200"},
		{"pageSize=99999999999999999999", "?pageSize range must be from 1 to 200"},
		{"pageSize=%2B5", "?pageSize type a whole number is wanted"},
		{"pageSize=0x10", "?pageSize type a whole number is wanted"},
		{"pageSize=05", "?pageSize type a whole number is wanted"},
		{"pageSize=%205", "?pageSize type a whole number is wanted"},
		{"pageSize=", "?pageSize type a whole number is wanted"},
		{"since=4294967296", "?since range the number is too large"},
		{"all=1", "?all type true or false is wanted"},
		{"all", "?all type true or false is wanted"},
		{"after=yesterday", "?after format " + wantTime},
		{"wait=1", `?wait format "1" is not a duration such as "90s", "10m", "1h30m" or "28d"`},
		{"user=ses_00000000010000000000000000", "?user format not a valid identifier of this kind"},
		{"state=%zz", "? format percent-encoding is broken, or ';' separates parameters"},
		{"state=active;all=true", "? format percent-encoding is broken, or ';' separates parameters"},
	}
	for _, tt := range tests {
		got := listQuery{State: "kept"}
		p := problems(t, Query(get(tt.query), &got))
		if len(p) != 1 || p[0] != tt.want {
			t.Errorf("%s: got %q, want %q", tt.query, p, tt.want)
		}
		if !reflect.DeepEqual(got, listQuery{State: "kept"}) {
			t.Errorf("%s: the target was changed: %+v", tt.query, got)
		}
	}
	var required struct {
		After string `query:"after" required:"true"`
	}
	want := []string{"?all unknown there is no such parameter", "?x unknown there is no such parameter", "?after required the parameter is required"}
	if got := problems(t, Query(get("x=1&all=2"), &required)); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestQueryIsBounded(t *testing.T) {
	if err := Query(get("state="+strings.Repeat("x", maxQuery)), new(listQuery)); fault.KindOf(err) != fault.TooLarge {
		t.Error(err)
	}
	many := url.Values{}
	for i := range 200 {
		many.Set("x"+strings.Repeat("y", i%90), "1")
	}
	if got := problems(t, Query(get(many.Encode()), new(listQuery))); len(got) != maxProblems {
		t.Errorf("%d problems", len(got))
	}
}

func TestQueryNeedsAStruct(t *testing.T) {
	for _, into := range []any{listQuery{}, new(string), (*listQuery)(nil), nil} {
		if err := Query(get(""), into); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%T: %v", into, err)
		}
		if err := Decode(post("{}"), MaxBody, into); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%T: %v", into, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "pageSize=5&state=active", "after=2026-01-02T03:04:05Z", "states=a,b&wait=10m&all=false", "%zz", "a=1;b=2", "since=1e3", "&&==&",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		var got listQuery
		err := Query(get(query), &got)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge || !reflect.DeepEqual(got, listQuery{}) {
				t.Fatalf("%v: %v, %+v", k, err, got)
			}
			return
		}
		if got.Size < 1 || got.Size > 200 || len(got.States) > 2 || got.State != "" && got.State != "active" && got.State != "ended" {
			t.Errorf("%+v breaks the tags", got)
		}
	})
}
