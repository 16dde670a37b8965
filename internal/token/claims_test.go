package token_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/token"
)

var update = flag.Bool("update", false, "write what is minted to testdata")

// everything gives a session all that its tokens can show.
func everything(in *token.SignIn) {
	in.AMR = []string{"pwd", "totp"}
	in.Audience = []string{"https://api.example.com"}
	in.Claims = json.RawMessage(`{"plan":"pro","a\"b":[1,{"c":null}],"ü":"<&>"}`)
	in.NSec = json.RawMessage(`{"theme":"dark","sub":"not me"}`)
}

// The claims of each kind of token, byte for byte but for what is drawn at random.
func TestClaims(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings string
		change   func(*token.SignIn)
	}{
		"plain":      {`{}`, func(*token.SignIn) {}},
		"everything": {`{"audience":["everybody"],"cookies":{"sessionName":"S","refreshName":"R"}}`, everything},
		"small":      {`{"claimsInRefreshToken":false}`, everything},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.settings)
			first := w.signIn(t, c.change)
			w.clock.Move(window)
			set := w.refresh(t, w.Service, first.Refresh)
			golden(t, name+"-session-token", segment(t, set.Session, 0), claims(t, set.Session))
			golden(t, name+"-refresh-token", segment(t, set.Refresh, 0), claims(t, set.Refresh))
		})
	}
}

var random = regexp.MustCompile(`\b(prj|usr|ses|key|ten)_[0-9a-z]{26}\b|"(?:rid|prt|jti)": "[\w-]{16}"`)

func golden(t *testing.T, name string, header, claims json.RawMessage) {
	t.Helper()
	if bytes.ContainsAny(header, " \n") || bytes.ContainsAny(claims, "\n") {
		t.Error("there is space that nobody needs")
	}
	var pretty bytes.Buffer
	must(t, json.Indent(&pretty, []byte(`{"header":`+string(header)+`,"claims":`+string(claims)+`}`), "", "  "))
	names := map[string]string{}
	got := random.ReplaceAllStringFunc(pretty.String(), func(found string) string {
		member, value, isMember := strings.Cut(found, `": "`)
		if !isMember {
			member, value = found[:3], found
		}
		if names[value] == "" {
			names[value] = fmt.Sprintf("<%d>", len(names)+1)
		}
		if isMember {
			return member + `": "` + names[value] + `"`
		}
		return member + names[value]
	}) + "\n"
	path := filepath.Join("testdata", name+".json")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: got %s", path, got)
	}
}

// No claim appears twice, and none but those that the table of tokens names.
func TestClaimNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t, everything)
	for kind, c := range map[string]struct {
		token json.RawMessage
		want  string
	}{
		"session": {claims(t, set.Session), "iss sub aud iat nbf exp auth_time jti sid rid drn amr rexp tenants roles permissions epc nsec"},
		"refresh": {claims(t, set.Refresh), "iss sub aud iat exp auth_time sid rid prt drn amr nsec"},
	} {
		want := append(strings.Fields(c.want), "plan", `a"b`, "ü")
		decoder := json.NewDecoder(bytes.NewReader(c.token))
		var names []string
		_, err := decoder.Token()
		must(t, err)
		for decoder.More() {
			name, err := decoder.Token()
			must(t, err)
			var value json.RawMessage
			must(t, decoder.Decode(&value))
			names = append(names, name.(string))
		}
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%s token: %v, want %v", kind, names, want)
		}
	}
}

// The claims that clients rely on have the types that they rely on.
func TestClaimTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	var c map[string]any
	claimsInto(t, set.Session, &c)
	for name, want := range map[string]string{
		"aud": "[]interface {}", "amr": "[]interface {}", "roles": "[]interface {}", "permissions": "[]interface {}",
		"tenants": "map[string]interface {}", "drn": "string", "rexp": "string", "exp": "float64", "epc": "float64",
	} {
		if got := fmt.Sprintf("%T", c[name]); got != want {
			t.Errorf("%s is a %s, want %s", name, got, want)
		}
	}
	if c["nsec"] != nil || slices.Contains(slices.Collect(maps.Keys(c)), "nsec") {
		t.Error("nsec is there without need")
	}
	if at, err := time.Parse(time.RFC3339, c["rexp"].(string)); err != nil || !at.Equal(set.RefreshExpiresAt) {
		t.Errorf("rexp is %v, the refresh token ends %v", c["rexp"], set.RefreshExpiresAt)
	}
	if c["iss"] != publicURL+"/"+w.project.String() || w.Issuer(w.project) != c["iss"] {
		t.Errorf("iss is %v", c["iss"])
	}
}

// auth_time is that of the sign-in, and amr what it was then, however often the session
// is refreshed.
func TestAuthTimeSurvives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t, everything)
	signedIn := w.clock.Now().Unix()
	seen := map[string]bool{}
	for range 4 {
		w.clock.Move(time.Hour)
		set = w.refresh(t, w.Service, set.Refresh)
		var c struct {
			AuthTime int64    `json:"auth_time"`
			IssuedAt int64    `json:"iat"`
			AMR      []string `json:"amr"`
			JTI      string   `json:"jti"`
			Token    string   `json:"rid"`
		}
		claimsInto(t, set.Session, &c)
		if c.AuthTime != signedIn || c.IssuedAt != w.clock.Now().Unix() || fmt.Sprint(c.AMR) != "[pwd totp mfa]" || seen[c.JTI] || seen[c.Token] {
			t.Errorf("got %+v", c)
		}
		seen[c.JTI], seen[c.Token] = true, true
	}
}

// The default warns: a sign-in whose claims look sensitive works, and its event is
// written with those of the session, also when the tokens are refreshed later.
func TestSignInFlagsClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	flagged := func(in *token.SignIn) {
		in.Claims, in.NSec, in.EndOthers = json.RawMessage(`{"mail":"alice@example.com"}`), json.RawMessage(`{"pin":1234}`), true
	}
	set := w.signIn(t, flagged)
	if len(set.Flagged) != 2 || set.Flagged[0].Pointer != "/claims/mail" || set.Flagged[1].Pointer != "/nsec/pin" {
		t.Errorf("flagged: %+v", set.Flagged)
	}
	w.settings(t, `{"claimLint":"reject"}`)
	w.clock.Move(window)
	w.refresh(t, w.Service, set.Refresh)
	for name, try := range map[string]func() error{
		"sign-in": func() error { _, err := w.trySignIn(flagged); return err },
		"check": func() error {
			in := token.SignIn{Project: w.project, User: w.user, AMR: []string{"pwd"}}
			flagged(&in)
			return w.CheckSignIn(w.ctx, in)
		},
	} {
		refusedAt(t, name, try(), fault.Invalid, "/claims/mail /nsec/pin")
	}
	events, err := w.store.Events().List(w.ctx, audit.Query{Project: w.project, Types: []audit.Type{audit.ClaimsFlagged}, Limit: 9})
	must(t, err)
	if len(events) != 1 || events[0].Session != set.Row.ID || events[0].User != w.user || len(events[0].Data) != 1 {
		t.Errorf("the events: %+v", events)
	}
}
