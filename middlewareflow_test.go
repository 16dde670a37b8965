package latchkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// slowly makes the server answer after d, or be given up by its caller before.
func (k *rig) slowly(d time.Duration, set TokenSet) {
	k.answer = func(ctx context.Context, _ RefreshRequest) (TokenSet, error) {
		select {
		case <-time.After(d):
			return set, nil
		case <-ctx.Done():
			return TokenSet{}, ctx.Err()
		}
	}
}

// together serves n copies of a request at the same time.
func (k *rig) together(n int, h http.Handler, request func() *http.Request) []*httptest.ResponseRecorder {
	out := make([]*httptest.ResponseRecorder, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { out[i] = k.serve(h, request()) })
	}
	all.Wait()
	return out
}

// Pain 1: requests of several tabs with one expired token are one refresh. All get the
// same cookies, and so does a tab that comes a moment later with the old one.
func TestPain01ParallelRequests(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		k := newRig(t)
		k.bad("s1", ReasonExpired)
		k.good("s2", Claims{Subject: "ann"})
		k.slowly(time.Second, TokenSet{SessionToken: "s2", RefreshToken: "r2"})
		request := func() *http.Request { return visitor("GET", "/", "s1", "r1") }
		for _, w := range k.together(12, k.m.Required(seen), request) {
			k.passed(w, "ann with s2", "save s2 r2")
		}
		<-time.After(refreshBound - 2*time.Second)
		k.passed(k.serve(k.m.Required(seen), request()), "ann with s2", "save s2 r2")
		if k.questions() != 1 {
			t.Errorf("the server was asked %d times", k.questions())
		}
		// After that the server decides again.
		<-time.After(2 * time.Second)
		k.passed(k.serve(k.m.Required(seen), request()), "ann with s2", "save s2 r2")
		if k.questions() != 2 {
			t.Errorf("an answer was remembered for too long")
		}
	})
}

// Pain 2: no refusal but a terminal one touches the cookies.
func TestPain02LosersKeepTheirCookies(t *testing.T) {
	for _, err := range []error{
		transient(CodeUnavailable, 503, 3*time.Second), transient(CodeRateLimited, 429, time.Minute), transient(CodeConflict, 409, 0),
		transient(CodeRequestExpired, 409, 0), transient(CodeForbidden, 403, 0), transient(CodeInvalidRequest, 400, 0),
		transient(CodeInternal, 500, 0), transient("", 502, 0), errors.New("connection reset"), context.DeadlineExceeded,
	} {
		k := newRig(t)
		k.refuses(err)
		w := k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1", "Accept: text/html"))
		k.refused(w, 503, CodeUnavailable, false, "")
		want := "2"
		var refusal *Error
		if errors.As(err, &refusal) && refusal.RetryAfter > 0 {
			want = fmt.Sprint(int(refusal.RetryAfter.Seconds()))
		}
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After %s, want %s", err, got, want)
		}
		k.passed(k.serve(k.m.Optional(seen), visitor("GET", "/", "s1", "r1")), "nobody: 503 unavailable terminal=false transient=true", "")
	}
	// The server can't read the token, maybe because it was cut short on its way.
	k := newRig(t)
	k.refuses(transient(CodeUnauthenticated, 401, 0))
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 401, CodeUnauthenticated, false, "")
	// The end.
	for _, code := range []Code{CodeSessionRevoked, CodeSessionExpired, CodeTokenReuse, CodeReauthenticate} {
		k := newRig(t)
		k.refuses(terminal(code))
		k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 401, code, true, "clear")
		body := fmt.Sprintf("nobody: 401 %s terminal=true transient=false", code)
		k.passed(k.serve(k.m.Optional(seen), visitor("GET", "/", "s1", "r1")), body, "clear")
		if k.questions() != 1 {
			t.Errorf("%s: asked %d times about an ended session", code, k.questions())
		}
	}
}

// Pain 3: an answer that got lost is had by the next request.
func TestPain03LostAnswer(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.refuses(errors.New("connection reset"))
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), 503, CodeUnavailable, false, "")
	k.answers("s2", "r2")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s2", "save s2 r2")
}

// The request goes away while the server works: its successor gets the answer, without
// a second rotation.
func TestClientGoesAway(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		k := newRig(t)
		k.good("s2", Claims{Subject: "ann"})
		k.slowly(3*time.Second, TokenSet{SessionToken: "s2", RefreshToken: "r2"})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		r := visitor("GET", "/", "r1").WithContext(ctx)
		k.refused(k.serve(k.m.Required(seen), r), 503, CodeUnavailable, false, "")
		k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s2", "save s2 r2")
		if k.questions() != 1 {
			t.Errorf("asked %d times", k.questions())
		}
	})
}

// Pain 5: who can't set cookies gets a session token for the request. Many renders cost
// one question, and nothing is ever written.
func TestPain05ReadOnly(t *testing.T) {
	k := newRig(t, func(m *Middleware) { m.readOnly = true })
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "")
	for range 5 {
		k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "sx", "sy", "r1")), "ann with s2", "")
	}
	if k.questions() != 1 || !k.asked[0].ReadOnly {
		t.Errorf("asked %d times: %v", k.questions(), k.asked)
	}
	k.refuses(terminal(CodeSessionRevoked))
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r7")), 401, CodeSessionRevoked, true, "")
	k.good("s1", Claims{Subject: "ann"})
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "sx", "r7")), "ann with s1", "")
	if err := k.m.SignIn(httptest.NewRecorder(), visitor("POST", "/"), TokenSet{SessionToken: "s", RefreshToken: "r"}); err == nil {
		t.Error("a read-only middleware signs in")
	}
	w := httptest.NewRecorder()
	if err := k.m.SignOut(w, visitor("POST", "/", "r7")); err != nil || changes(w) != "" || len(k.ended) != 1 {
		t.Errorf("sign-out: %v, %q, %v", err, changes(w), k.ended)
	}
}

// Pains 10 and 11: what the feed says of a session token is settled by a refresh: an
// outdated one is replaced without a sign-in, a revoked one ends.
func TestPain10And11Feed(t *testing.T) {
	k := newRig(t)
	k.bad("s1", ReasonOutdated)
	k.good("s2", Claims{Subject: "ann", Roles: []string{"admin"}})
	k.answers("s2", "r2")
	k.passed(k.serve(k.m.Require(Requirement{Roles: []string{"admin"}})(seen), visitor("GET", "/", "s1", "r1")), "ann with s2", "save s2 r2")

	k = newRig(t)
	k.bad("s1", ReasonRevoked)
	k.refuses(terminal(CodeSessionRevoked))
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 401, CodeSessionRevoked, true, "clear")
	// The server that could settle it is away: refused, but not thrown away.
	k = newRig(t)
	k.bad("s1", ReasonRevoked)
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 503, CodeUnavailable, false, "")
}

// An answer that the feed has overtaken isn't used again.
func TestRememberedAnswerRefused(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s2", "save s2 r2")
	k.bad("s2", ReasonOutdated)
	k.good("s3", Claims{Subject: "ann"})
	k.answers("s3", "r2")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s3", "save s3 r2")
	if k.questions() != 2 {
		t.Errorf("asked %d times", k.questions())
	}
}

// Tokens that don't fit into cookies are good for the request all the same.
func TestUnsavableTokens(t *testing.T) {
	k := newRig(t)
	k.good("s-huge", Claims{Subject: "ann"})
	k.answers("s-huge", "r2")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s-huge", "")
	if !strings.Contains(k.log.String(), "level=ERROR") || !strings.Contains(k.log.String(), "5000 bytes") {
		t.Errorf("log: %s", k.log.String())
	}
}

// A server that hangs costs a request 9 seconds, however many wait; what it answers
// later is dropped.
func TestSlowServer(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		k := newRig(t)
		k.good("s2", Claims{Subject: "ann"})
		k.slowly(time.Hour, TokenSet{})
		began := time.Now()
		for _, w := range k.together(5, k.m.Required(seen), func() *http.Request { return visitor("GET", "/", "r1", "r2", "r3") }) {
			k.refused(w, 503, CodeUnavailable, false, "")
		}
		if took := time.Since(began); took != refreshBound {
			t.Errorf("took %s", took)
		}
		synctest.Wait()
		// One that pays no heed to its deadline.
		k.answer = func(context.Context, RefreshRequest) (TokenSet, error) {
			<-time.After(refreshBound + time.Second)
			return TokenSet{SessionToken: "s2", RefreshToken: "r2"}, nil
		}
		k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), 503, CodeUnavailable, false, "")
		<-time.After(2 * time.Second)
		k.refuses(errors.New("away"))
		k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), 503, CodeUnavailable, false, "")
	})
}

func TestDevice(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	ask := func(token, remote string, headers ...string) *Device {
		r := visitor("GET", "/", append(headers, token)...)
		r.RemoteAddr = remote
		k.serve(k.m.Required(seen), r)
		return k.asked[len(k.asked)-1].Device
	}
	if d := ask("r1", "192.0.2.1:99"); d != nil {
		t.Errorf("without a key: %+v", d)
	}
	k.m.devices = true
	// Attack 34: what the client says of its address isn't believed.
	forged := []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-Ip: 203.0.113.9", "User-Agent: Firefox"}
	if d := ask("r2", "192.0.2.1:99", forged...); d == nil || d.IP != "192.0.2.1" || d.UserAgent != "Firefox" {
		t.Errorf("device %+v", d)
	}
	if d := ask("r3", "[::ffff:192.0.2.1]:99"); d == nil || d.IP != "192.0.2.1" {
		t.Errorf("device %+v", d)
	}
	if d := ask("r4", "@", "User-Agent: "+strings.Repeat("x", 9000)); d == nil || d.IP != "" || len(d.UserAgent) != maxAgent {
		t.Errorf("device %+v", d)
	}
	k.m.clientIP = func(r *http.Request) netip.Addr { return netip.MustParseAddr("fe80::1%eth0") }
	if d := ask("r5", "192.0.2.1:99"); d == nil || d.IP != "fe80::1" {
		t.Errorf("device %+v", d)
	}
}

// What the application did wrong is said without asking for it: its users only see "try
// again".
func TestWrongIssuerIsLogged(t *testing.T) {
	var log bytes.Buffer
	before, writer, flags := slog.Default(), stdlog.Writer(), stdlog.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer func() { // SetDefault has led package log to the new logger, too
		slog.SetDefault(before)
		stdlog.SetOutput(writer)
		stdlog.SetFlags(flags)
	}()
	k := newRig(t, func(m *Middleware) { m.log = nil })
	k.reasons["s1"], k.reasons["s2"] = ReasonIssuer, ReasonIssuer
	k.answers("s2", "r2")
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 503, CodeUnavailable, false, "")
	for _, part := range []string{"level=ERROR", "latchkey doctor", "reason=issuer"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q isn't logged: %s", part, &log)
		}
	}
}
