package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// side is a server that the script is played against: the real one, or the fake that
// applications test with.
type side struct {
	t                   *testing.T
	issuer, key, verify string
	send                func(*http.Request) (*http.Response, error)
	advance             func(time.Duration)
	now                 func() time.Time
	streams             string            // address at which the feed can be streamed
	names               map[string]string // of tokens, in the order of their appearance
	lines               []string
}

func realSide(t *testing.T) *side {
	w := newWorld(t, slog.LevelError, func(d *server.Deps) { d.Config.ShutdownDelay = 0 })
	p := w.project()
	_, verify, err := w.app.Directory.CreateKey(t.Context(), p.ID, directory.NewKey{Name: "v", Kind: secret.Verify}, directory.ManagementKey{}, operator)
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.server.Run(ctx, l) }()
	t.Cleanup(func() { stop(); w.must(<-ended) })
	return &side{
		t: t, streams: "http://" + l.Addr().String() + "/" + p.ID.String(), issuer: publicURL + "/" + p.ID.String(), key: w.key(p), verify: verify.Reveal(), advance: w.clock.Move, now: w.clock.Now, names: map[string]string{},
		send: func(r *http.Request) (*http.Response, error) {
			out := httptest.NewRecorder()
			in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
			in.Header = r.Header
			w.server.Handler().ServeHTTP(out, in)
			return out.Result(), nil
		},
	}
}

func fakeSide(t *testing.T) *side {
	i := latchkeytest.NewIssuer(t)
	return &side{
		t: t, streams: i.URL(), issuer: i.URL(), key: i.Key(), verify: i.VerifyKey(), advance: i.Advance, now: i.Now, names: map[string]string{}, send: http.DefaultClient.Do,
	}
}

// do sends a request and notes what came back.
func (s *side) do(what, method, address, bearer, body string) []byte {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := s.send(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(got, &v); err != nil {
		s.t.Fatalf("%s: %s: %v", what, got, err)
	}
	s.lines = append(s.lines, fmt.Sprintf("%s: %d %s %s %s", what, res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"), s.outline("", v)))
	return got
}

// telling are members whose values are the same on both sides.
var telling = []string{"code", "title", "terminal", "status", "pointer", "state", "endReason", "tokenKind", "current", "revoked", "confirmed", "kind", "snapshot", "more", "typ", "alg", "kty", "crv", "use", "amr"}

// outline is what two answers have to have in common: the members, the values that tell
// something, and which tokens are the same.
func (s *side) outline(name string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		var out []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if slices.Contains([]string{"detail", "device", "network", "agent"}, k) {
				continue // the fake has words of its own, and doesn't look at clients
			}
			out = append(out, k+" "+s.outline(k, v[k]))
		}
		return "{" + strings.Join(out, ", ") + "}"
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, s.outline(name, e))
		}
		return "[" + strings.Join(out, " ") + "]"
	case string:
		if name == "refreshToken" {
			if s.names[v] == "" {
				s.names[v] = fmt.Sprintf("r%d", len(s.names)+1)
			}
			return s.names[v]
		}
	}
	if slices.Contains(telling, name) {
		return fmt.Sprint(v)
	}
	return "…"
}

func (s *side) refresh(what, token string, more ...string) latchkey.TokenSet {
	s.t.Helper()
	return s.set(s.do(what, "POST", s.issuer+"/session/refresh", "", fmt.Sprintf(`{"refreshToken":%q%s}`, token, strings.Join(more, ""))))
}

func (s *side) set(body []byte) latchkey.TokenSet {
	s.t.Helper()
	var set latchkey.TokenSet
	if err := json.Unmarshal(body, &set); err != nil {
		s.t.Fatal(err)
	}
	return set
}

func (s *side) manage() string {
	at := strings.LastIndexByte(s.issuer, '/')
	return s.issuer[:at] + "/v1/projects" + s.issuer[at:]
}

func (s *side) signIn(user string) latchkey.TokenSet {
	s.t.Helper()
	s.advance(time.Second) // lists are in the order of time
	return s.set(s.do("sign in", "POST", s.manage()+"/sessions", s.key, fmt.Sprintf(`{"user":{"loginIds":[%q]},"amr":["pwd"]}`, user)))
}

const window = 20 * time.Second

// script is everything about which the fake may not differ.
func (s *side) script() {
	s.rotation()
	s.theft()
	s.bodies()
	s.ends()
	s.others()
}

func (s *side) rotation() {
	first := s.signIn("alice")
	s.refresh("in the window", first.RefreshToken)
	s.advance(2 * window)
	second := s.refresh("after it", first.RefreshToken)
	s.refresh("repeated", first.RefreshToken)
	s.refresh("the new one in the window", second.RefreshToken)
	s.advance(window - time.Second)
	s.refresh("late in the window", first.RefreshToken)
	s.advance(2 * time.Second)
	s.refresh("in the quiet time", second.RefreshToken)
	s.refresh("the one before in the quiet time", first.RefreshToken)
	s.advance(window)
	sibling := s.refresh("recovered", first.RefreshToken)
	s.advance(window)
	third := s.refresh("the older sibling", second.RefreshToken)
	s.do("too early to confirm", "POST", s.issuer+"/session/ack", third.RefreshToken, "")
	s.advance(window)
	s.do("confirmed", "POST", s.issuer+"/session/ack", third.RefreshToken, "")
	s.do("confirmed again", "POST", s.issuer+"/session/ack", third.RefreshToken, "")
	s.refresh("the sibling that lost", sibling.RefreshToken)
	s.refresh("afterwards", third.RefreshToken)

	stale := s.signIn("alice")
	s.refresh("stale", stale.RefreshToken, fmt.Sprintf(`,"composedAt":%q`, s.now().Add(-11*time.Second).UTC().Format(time.RFC3339Nano)))
	s.refresh("fresh", stale.RefreshToken, fmt.Sprintf(`,"composedAt":%q`, s.now().Add(-9*time.Second).UTC().Format(time.RFC3339Nano)))
	s.advance(29 * 24 * time.Hour)
	s.refresh("run out", stale.RefreshToken)
	s.do("own, run out", "GET", s.issuer+"/session", stale.RefreshToken, "")
}

func (s *side) theft() {
	set := s.signIn("mallory")
	s.advance(window)
	next := s.refresh("rotated", set.RefreshToken)
	s.advance(window)
	s.do("own with the session token", "GET", s.issuer+"/session", next.SessionToken, "")
	s.refresh("stolen", set.RefreshToken)
	s.refresh("the owner's", next.RefreshToken)
	s.do("own of a stolen session", "GET", s.issuer+"/session", next.SessionToken, "")
	s.do("logout of a stolen session", "POST", s.issuer+"/session/logout", next.RefreshToken, "")
}

func (s *side) bodies() {
	set, other := s.signIn("bob"), s.signIn("bob")
	at := s.issuer + "/session/refresh"
	body := func(more string) string { return fmt.Sprintf(`{"refreshToken":%q%s}`, set.RefreshToken, more) }
	s.do("in the header", "POST", at, set.RefreshToken, "")
	s.do("two tokens", "POST", at, other.RefreshToken, body(""))
	s.do("none", "POST", at, "", "{}")
	s.do("junk", "POST", at, "junk", "")
	s.do("cut", "POST", at, set.RefreshToken[:len(set.RefreshToken)-3], "")
	s.do("a session token", "POST", at, set.SessionToken, "")
	s.do("key and body", "POST", at, s.key, body(""))
	s.do("verify key", "POST", at, s.verify, body(""))
	s.do("read-only", "POST", at, s.verify, body(`,"rotate":"never"`))
	s.do("read-only without a key", "POST", at, "", body(`,"rotate":"never"`))
	s.do("rotate=always", "POST", at, s.key, body(`,"rotate":"always"`))
	s.do("device", "POST", at, s.key, body(`,"device":{"ip":"192.0.2.1","userAgent":"x"}`))
	s.do("device without a key", "POST", at, "", body(`,"device":{"ip":"192.0.2.1"}`))
	s.do("a parameter", "POST", at+"?x=y", "", body(""))
	s.do("key alone", "GET", s.issuer+"/session", s.key, "")
	s.do("unknown key", "GET", s.manage()+"/sessions/"+set.Session.ID, "lk_mgmt_stranger", "")
	s.do("verify key at management", "GET", s.manage()+"/sessions/"+set.Session.ID, s.verify, "")
}

func (s *side) ends() {
	at := s.issuer
	set := s.signIn("carol")
	s.do("own", "GET", at+"/session", set.SessionToken, "")
	s.do("own with the refresh token", "GET", at+"/session", set.RefreshToken, "")
	s.do("logout", "POST", at+"/session/logout", set.RefreshToken, "")
	s.do("logout again", "POST", at+"/session/logout", set.RefreshToken, "")
	s.do("own after the logout", "GET", at+"/session", set.SessionToken, "")
	s.refresh("refresh after the logout", set.RefreshToken)
	s.do("session after the logout", "GET", s.manage()+"/sessions/"+set.Session.ID, s.key, "")

	set = s.signIn("carol")
	s.advance(11 * time.Minute)
	s.do("own with an expired token", "GET", at+"/session", set.SessionToken, "")
	s.do("logout with an expired token", "POST", at+"/session/logout", set.SessionToken, "")
	s.do("revoke", "POST", s.manage()+"/sessions/"+set.Session.ID+"/revoke", s.key, "")
	s.do("revoke again", "POST", s.manage()+"/sessions/"+set.Session.ID+"/revoke", s.key, "")
	s.refresh("refresh after the revocation", set.RefreshToken)
	s.do("revoke a stranger", "POST", s.manage()+"/sessions/ses_none/revoke", s.key, "")
}

func (s *side) others() {
	at := s.issuer
	this, that, more := s.signIn("dave"), s.signIn("dave"), s.signIn("dave")
	stranger := s.signIn("erin")
	s.do("own sessions", "GET", at+"/sessions", this.RefreshToken, "")
	s.do("end own", "DELETE", at+"/sessions/"+that.Session.ID, this.RefreshToken, "")
	s.do("end own again", "DELETE", at+"/sessions/"+that.Session.ID, this.RefreshToken, "")
	s.do("end a stranger's", "DELETE", at+"/sessions/"+stranger.Session.ID, this.RefreshToken, "")
	s.do("others", "POST", at+"/session/logout-others", this.RefreshToken, "")
	s.refresh("another's refresh", more.RefreshToken)
	s.refresh("this one's refresh", this.RefreshToken)
	s.do("all", "POST", at+"/session/logout-all", this.RefreshToken, "")
	s.do("all again", "POST", at+"/session/logout-all", this.RefreshToken, "")
	s.do("others of an ended one", "POST", at+"/session/logout-others", this.RefreshToken, "")
	s.refresh("the stranger's refresh", stranger.RefreshToken)
	s.do("revoke the user's", "POST", s.manage()+"/users/"+stranger.Session.User+"/sessions/revoke", s.key, "")
	s.refresh("the stranger's refresh then", stranger.RefreshToken)
}

// What an application's tests see of the fake is what it will see of the server.
func TestFakeIssuerAnswersAsTheServer(t *testing.T) {
	compare(t, (*side).script, "token_reuse")
}

// compare plays a script against both, which has to get as far as a word.
func compare(t *testing.T, script func(*side), reached string) {
	t.Helper()
	genuine, fake := realSide(t), fakeSide(t)
	script(genuine)
	script(fake)
	if len(genuine.lines) != len(fake.lines) {
		t.Fatalf("%d answers, and %d", len(genuine.lines), len(fake.lines))
	}
	for n := range genuine.lines {
		if genuine.lines[n] != fake.lines[n] {
			t.Errorf("the server: %s\nthe fake:   %s", genuine.lines[n], fake.lines[n])
		}
	}
	if !strings.Contains(genuine.lines[0], " 200 ") || !strings.Contains(strings.Join(genuine.lines, "\n"), reached) {
		t.Error("the script doesn't get far")
	}
}

// feed reads the revocation feed behind a cursor and returns the next one.
func (s *side) feed(what, cursor string) string {
	s.t.Helper()
	var list latchkey.RevocationList
	if err := json.Unmarshal(s.do(what, "GET", s.issuer+"/revocations?after="+cursor, s.verify, ""), &list); err != nil {
		s.t.Fatal(err)
	}
	return list.Cursor
}

// ways are all in which sessions end.
func (s *side) ways() {
	at := s.issuer
	start := s.feed("empty", "")
	set := s.signIn("alice")
	s.do("logout", "POST", at+"/session/logout", set.RefreshToken, "")
	cursor := s.feed("logout", start)
	set = s.signIn("alice")
	s.do("revoke", "POST", s.manage()+"/sessions/"+set.Session.ID+"/revoke", s.key, "")
	cursor = s.feed("revoked", cursor)
	this := s.signIn("alice")
	s.signIn("alice")
	s.do("others", "POST", at+"/session/logout-others", this.RefreshToken, "")
	cursor = s.feed("others", cursor)
	s.do("all", "POST", at+"/session/logout-all", this.RefreshToken, "")
	cursor = s.feed("all", cursor)
	set = s.signIn("bob")
	s.do("the user's", "POST", s.manage()+"/users/"+set.Session.User+"/sessions/revoke", s.key, "")
	cursor = s.feed("the user's", cursor)
	set = s.signIn("bob")
	s.advance(window)
	next := s.refresh("rotated", set.RefreshToken)
	s.advance(window)
	s.do("seen", "GET", at+"/session", next.SessionToken, "")
	s.refresh("stolen", set.RefreshToken)
	cursor = s.feed("theft", cursor)
	s.feed("nothing new", cursor)
	s.feed("unknown cursor", "17.unknown")
	s.do("without a key", "GET", at+"/revocations", "", "")
	s.do("with a token", "GET", at+"/revocations", next.SessionToken, "")
	s.stream()
}

// stream notes the events of a stream up to the first after it is complete.
func (s *side) stream() {
	s.t.Helper()
	set := s.signIn("carol")
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.streams+"/revocations", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.verify)
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	s.lines = append(s.lines, res.Status+" "+res.Header.Get("Content-Type"))
	live := false
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		name, value, _ := strings.Cut(in.Text(), ": ")
		if name == "data" {
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				s.t.Fatal(err)
			}
			value = s.outline("", v)
		} else if name != "event" {
			value = "…"
		}
		s.lines = append(s.lines, name+": "+value)
		if name == "event" && value == "live" && !live {
			live = true
			s.do("logout", "POST", s.issuer+"/session/logout", set.RefreshToken, "")
		} else if live && name == "data" && strings.Contains(value, "kind") {
			return
		}
	}
	s.t.Error("the stream ended early")
}

func TestFakeFeedIsAsTheServers(t *testing.T) {
	compare(t, (*side).ways, "event: live")
}
