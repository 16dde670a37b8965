package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// newcomer is somebody who has the binary, curl and a JWT library.
type newcomer struct {
	*world
	p   *process
	in  tenancy
	api string // of the project
}

// TestNewcomer is the whole life of a session, as a new user would try it: with curl
// alone, and with tokens checked in another language.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	n := arrive(t)
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		n.signWith(algorithm)
		n.checkTokens(algorithm)
	}
	n.isRobbed()
}

func arrive(t *testing.T) newcomer {
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0", "--data", w.path("data"))
	r := p.ready
	if r.URL != p.url || r.Issuer != r.URL+"/"+r.Project || r.User == "" || r.ManagementKey == "" || r.VerifyKey == "" {
		t.Fatalf("the ready file says %+v", r)
	}
	n := newcomer{w, p, tenancy{r.Project, r.ManagementKey, r.VerifyKey}, r.URL + "/v1/projects/" + r.Project}
	// A window in which a person can try a repetition is too long for a test.
	n.curl(200, nil, r.ManagementKey, "-X", "PATCH", n.api+"/settings",
		"-H", "Content-Type: application/json", "-d", `{"reuseWindow":"`+window.String()+`"}`)
	return n
}

// window is the reuse window of these tests.
const window = 2 * time.Second

// curl runs curl with a credential, and fails the test unless the answer has the status
// that is wanted. It reads the answer's JSON unless into is nil.
func (n newcomer) curl(status int, into any, bearer string, args ...string) string {
	n.t.Helper()
	n.keep([]byte(bearer))
	args = append([]string{"-sS", "-w", "\n%{http_code}", "-H", "Authorization: Bearer " + bearer}, args...)
	out, err := exec.CommandContext(n.t.Context(), "curl", args...).Output()
	if err != nil {
		n.t.Fatalf("curl: %v", err)
	}
	at := strings.LastIndexByte(string(out), '\n')
	body, code := string(out)[:at], string(out)[at+1:]
	n.keep([]byte(body))
	if code != strconv.Itoa(status) {
		n.t.Fatalf("curl %s answers %s, want %d: %s", args[len(args)-1], code, status, body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(body), into); err != nil {
			n.t.Fatalf("curl %s: %v in %s", args[len(args)-1], err, body)
		}
	}
	return body
}

func (n newcomer) signIn() latchkey.TokenSet {
	n.t.Helper()
	var set latchkey.TokenSet
	n.curl(200, &set, n.p.ready.ManagementKey, n.api+"/sessions",
		"-H", "Content-Type: application/json", "-d", `{"user":"`+n.p.ready.User+`","amr":["pwd"]}`)
	return set
}

func (n newcomer) refresh(token string) latchkey.TokenSet {
	n.t.Helper()
	var set latchkey.TokenSet
	n.curl(200, &set, token, "-X", "POST", n.p.ready.Issuer+"/session/refresh")
	return set
}

// signWith makes the project sign with another algorithm, by the API and the command
// line.
func (n newcomer) signWith(algorithm string) {
	n.t.Helper()
	n.curl(200, nil, n.p.ready.ManagementKey, "-X", "PATCH", n.api+"/settings",
		"-H", "Content-Type: application/json", "-d", `{"signingAlgorithm":"`+algorithm+`"}`)
	n.run("key", "rotate", "--immediate", "--data", n.path("data")).must(n.t)
}

// checkTokens checks a session token in JavaScript, and that nothing else passes.
func (n newcomer) checkTokens(algorithm string) {
	n.t.Helper()
	set := n.signIn()
	var got struct{ Header, Claims map[string]any }
	out, err := n.jose(set.SessionToken)
	if err != nil || json.Unmarshal([]byte(out), &got) != nil {
		n.t.Fatalf("jose refuses a session token signed with %s: %s %v", algorithm, out, err)
	}
	if got.Header["alg"] != algorithm {
		n.t.Errorf("the token is signed with %v, want %s", got.Header["alg"], algorithm)
	}
	if got.Claims["sid"] != set.Session.ID || got.Claims["sub"] != set.Session.User {
		n.t.Errorf("the claims are %v, want session %s and user %s", got.Claims, set.Session.ID, set.Session.User)
	}
	at := strings.LastIndexByte(set.SessionToken, '.') + 5
	altered := set.SessionToken[:at] + flip(set.SessionToken[at]) + set.SessionToken[at+1:]
	for token, reason := range map[string]string{
		altered: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", set.RefreshToken: "ERR_JWT_CLAIM_VALIDATION_FAILED",
	} {
		if out, err := n.jose(token); err == nil || !strings.Contains(err.Error(), reason) {
			n.t.Errorf("jose says %s %v, want %s", out, err, reason)
		}
	}
}

// flip returns another digit of base64url.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// jose checks a token with the JavaScript library of that name. The error of one that is
// refused holds the library's reason.
func (n newcomer) jose(token string) (string, error) {
	n.t.Helper()
	if _, err := os.Stat("node_modules/jose/package.json"); err != nil {
		n.t.Fatal("the npm package jose isn't installed: run make deps, or npm install in the folder e2e")
	}
	cmd := exec.CommandContext(n.t.Context(), "node", "verify.mjs", n.p.ready.Issuer, n.p.ready.Project)
	cmd.Stdin = strings.NewReader(token)
	var reason strings.Builder
	cmd.Stderr = &reason // Node.js also has warnings there
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, reason.String())
	}
	return string(out), err
}

// isRobbed refreshes, repeats a refresh, and then uses a token that was replaced long
// ago, as only a thief would.
func (n newcomer) isRobbed() {
	n.t.Helper()
	first := n.signIn()
	n.windowOver(first, window)
	second := n.refresh(first.RefreshToken)
	if second.RefreshToken == first.RefreshToken {
		n.t.Fatal("a refresh after the window returns the same refresh token")
	}
	again := n.refresh(first.RefreshToken)
	if again.RefreshToken != second.RefreshToken {
		n.t.Fatal("a refresh that is repeated inside the window returns another refresh token")
	}
	n.windowOver(again, window)
	third := n.refresh(second.RefreshToken)
	if third.RefreshToken == second.RefreshToken || third.RefreshToken == "" {
		n.t.Fatal("the second refresh returns no new refresh token")
	}
	for _, token := range []string{first.RefreshToken, third.RefreshToken} {
		var p latchkey.Problem
		n.curl(401, &p, token, "-X", "POST", n.p.ready.Issuer+"/session/refresh")
		if p.Code != latchkey.CodeTokenReuse || !p.Terminal {
			n.t.Fatalf("a stolen token is answered %s (terminal %v)", p.Code, p.Terminal)
		}
	}
	var p latchkey.Problem
	n.curl(401, &p, third.SessionToken, n.p.ready.Issuer+"/session")
	if p.Code != latchkey.CodeTokenReuse || !p.Terminal {
		n.t.Fatalf("the session token of a stolen session is answered %s (terminal %v)", p.Code, p.Terminal)
	}
	n.findsOut(first)
}

// findsOut looks for what happened, in all the places where it can be seen.
func (n newcomer) findsOut(stolen latchkey.TokenSet) {
	n.t.Helper()
	key, sid := n.p.ready.ManagementKey, stolen.Session.ID
	var session latchkey.Session
	n.curl(200, &session, key, n.api+"/sessions/"+sid)
	if session.State != "ended" || session.EndReason != "token_reuse" || session.EndedAt == nil {
		n.t.Errorf("the session is %s (%s), want ended (token_reuse)", session.State, session.EndReason)
	}
	want := []string{"create", "rotate", "replay", "rotate", "theft", "revoked"}
	if got := n.p.trace(n.in, sid); !slices.Equal(got, want) {
		n.t.Errorf("the trace says %v, want %v", got, want)
	}
	printed := n.run("session", "trace", sid, "--data", n.path("data")).must(n.t).out
	for _, word := range append(want, "token_reuse") {
		if !strings.Contains(printed, word) {
			n.t.Errorf("latchkey session trace doesn't say %s:\n%s", word, printed)
		}
	}
	var list struct{ Events []latchkey.Event }
	n.curl(200, &list, key, n.api+"/events?type=session.token_reuse")
	if len(list.Events) != 1 || list.Events[0].Session != sid || list.Events[0].Data["presented"] != claims(n.t, stolen.RefreshToken)["rid"] {
		n.t.Errorf("the events are %+v, want one about the first token of %s", list.Events, sid)
	}
}
