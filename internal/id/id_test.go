package id

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTextForm(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123).UTC()
	s := NewSession(now)
	text := s.String()
	if len(text) != 30 || !strings.HasPrefix(text, "ses_") {
		t.Fatalf("text form %q", text)
	}
	back, err := ParseSession(text)
	if err != nil || back != s {
		t.Fatalf("round trip: %v %v", back, err)
	}
	if !back.Time().Equal(now) {
		t.Errorf("Time() = %v, want %v", back.Time(), now)
	}
	if later := NewSession(now.Add(time.Millisecond)); later.String() <= text || later.Compare(s) <= 0 {
		t.Error("a later identifier doesn't sort after an earlier one")
	}
	if _, err := ParseUser(text); err == nil {
		t.Error("a session identifier parsed as a user's")
	}
	for name, got := range map[string]string{
		"prj_": NewProject(now).String(), "usr_": NewUser(now).String(), "key_": NewKey(now).String(),
		"mk_": NewManagementKey(now).String(), "evt_": NewEvent(now).String(),
	} {
		if !strings.HasPrefix(got, name) || len(got) > 31 {
			t.Errorf("%q: want prefix %q and at most 31 characters", got, name)
		}
	}
}

// Every identifier has one spelling: any other text of the same length is another
// identifier or none.
func TestOneSpelling(t *testing.T) {
	text := NewProject(time.Now()).String()
	for i := range len(text) {
		for c := range 256 {
			changed := text[:i] + string(rune(c)) + text[i+1:]
			p, err := ParseProject(changed)
			if err == nil && p.String() != changed {
				t.Fatalf("%q parses to %q", changed, p)
			}
		}
	}
	for _, bad := range []string{"", "prj_", text[1:], text + "0", strings.ToUpper(text), "prj_8" + text[5:], "prj_" + strings.Repeat("0", 26)} {
		if p, err := ParseProject(bad); err == nil {
			t.Errorf("%q parsed as %v", bad, p)
		}
	}
}

func TestRefresh(t *testing.T) {
	r := NewRefresh()
	back, err := ParseRefresh(r.String())
	if err != nil || back != r {
		t.Fatalf("round trip: %v %v", back, err)
	}
	if z, err := ParseRefresh(""); err != nil || !z.IsZero() || z.String() != "" {
		t.Error("the empty text isn't the zero value")
	}
	for _, bad := range []string{"x", r.String() + "A", r.String()[:15], r.String()[:15] + "=", strings.Repeat("\n", 4) + r.String()[:12]} {
		if _, err := ParseRefresh(bad); err == nil {
			t.Errorf("%q parsed", bad)
		}
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		User User    `json:"user"`
		RID  Refresh `json:"rid"`
	}
	in := doc{NewUser(time.Now()), NewRefresh()}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out doc
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Fatalf("%s: %v %v", b, out, err)
	}
	if err := json.Unmarshal([]byte(`{"user":"usr_x"}`), &out); err == nil {
		t.Error("a malformed identifier was accepted")
	}
	if err := json.Unmarshal([]byte(`{"rid":"x"}`), &out); err == nil {
		t.Error("a malformed refresh identifier was accepted")
	}
	if err := json.Unmarshal([]byte(`{"user":""}`), &out); err != nil || !out.User.IsZero() {
		t.Error("the empty text isn't the zero value")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(NewSession(time.UnixMilli(1)).String())
	f.Add("ses_7zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Add("AAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseSession(s); err == nil && v.String() != s {
			t.Errorf("%q parses to %q", s, v)
		}
		if v, err := ParseRefresh(s); err == nil && !v.IsZero() && v.String() != s {
			t.Errorf("%q parses to %q", s, v)
		}
	})
}

func TestFirstSession(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	first := FirstSession(at)
	if !first.Time().Equal(at) {
		t.Errorf("made at %v, want %v", first.Time(), at)
	}
	for range 100 {
		if made := NewSession(at); made.Compare(first) < 0 {
			t.Errorf("%v is before the first one", made)
		}
		if made := NewSession(at.Add(-time.Nanosecond)); made.Compare(first) >= 0 {
			t.Errorf("%v was made before, but isn't before the first one", made)
		}
	}
	if got := FirstSession(at.Add(time.Nanosecond)); got != FirstSession(at.Add(time.Millisecond)) {
		t.Errorf("a part of a millisecond gives %v", got.Time())
	}
	if got := FirstSession(time.Unix(-1, 0)); !got.IsZero() {
		t.Errorf("before 1970 gives %v", got)
	}
}
