package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

const (
	testIssuer = "https://auth.example.com/prj_0testtesttest"
	testKey    = "lk_mgmt_keykeykeykeykeykey"
	testToken  = "eyJhbGciOiJFUzI1NiJ9.eyJzaWQiOiJzZXNfMSJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
)

// wireCall is a request as the server saw it.
type wireCall struct {
	Method, URL, Authorization string
	Body                       string
	at                         time.Time
}

// played is a transport that plays a server: calls are noted and answered in order, the
// last answer again and again.
type played struct {
	mu      sync.Mutex
	calls   []wireCall
	answers []func(*http.Request) (*http.Response, error)
}

func (p *played) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	p.mu.Lock()
	n := min(len(p.calls), len(p.answers)-1)
	p.calls = append(p.calls, wireCall{r.Method, r.URL.String(), r.Header.Get("Authorization"), string(body), time.Now()})
	p.mu.Unlock()
	return p.answers[n](r)
}

func play(answers ...func(*http.Request) (*http.Response, error)) *played {
	return &played{answers: answers}
}

func response(status int, contentType, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func answers(status int, contentType, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return response(status, contentType, body, header...), nil
	}
}

func answersJSON(v any) func(*http.Request) (*http.Response, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return fails(err)
	}
	return answers(200, "application/json", string(b))
}

func refuses(status int, code Code, terminal bool, header ...string) func(*http.Request) (*http.Response, error) {
	b, err := json.Marshal(Problem{Status: status, Code: code, Terminal: terminal, RequestID: "req-1", Detail: "No."})
	if err != nil {
		return fails(err)
	}
	return answers(status, "application/problem+json", string(b), header...)
}

func fails(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hangs answers when the request is given up.
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func dialError() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

func testClient(t *testing.T, key string, transport http.RoundTripper, change ...func(*ClientConfig)) *Client {
	t.Helper()
	config := ClientConfig{Issuer: testIssuer, Key: key, HTTPClient: &http.Client{Transport: transport}}
	for _, f := range change {
		f(&config)
	}
	c, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func jsonMember(t *testing.T, body, name string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(m[name]), `"`)
}

func TestRefreshSendsTokenWhereItBelongs(t *testing.T) {
	device := &Device{Name: "kept here", IP: "192.0.2.7", UserAgent: "Firefox"}
	for _, test := range []struct {
		name, key     string
		request       RefreshRequest
		authorization string
		body          string
	}{
		{"user", "", RefreshRequest{Token: testToken, Device: device}, testToken, `{"composedAt":"T"}`},
		{"application", testKey, RefreshRequest{Token: testToken}, testKey, `{"refreshToken":"` + testToken + `","composedAt":"T"}`},
		{"application for a device", testKey, RefreshRequest{Token: testToken, Device: device}, testKey,
			`{"refreshToken":"` + testToken + `","composedAt":"T","device":{"ip":"192.0.2.7","userAgent":"Firefox"}}`},
		{"read-only", "lk_verify_abc", RefreshRequest{Token: testToken, ReadOnly: true, Device: device}, "lk_verify_abc",
			`{"refreshToken":"` + testToken + `","rotate":"never","composedAt":"T","device":{"ip":"192.0.2.7","userAgent":"Firefox"}}`},
		{"a verify key can't rotate", "lk_verify_abc", RefreshRequest{Token: testToken}, testToken, `{"composedAt":"T"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := play(answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "r"}))
			set, err := testClient(t, test.key, server).Refresh(t.Context(), test.request)
			if err != nil || set.RefreshToken != "r" {
				t.Fatalf("got %v, %v", set.RefreshToken, err)
			}
			got := server.calls[0]
			body := strings.Replace(got.Body, jsonMember(t, got.Body, "composedAt"), "T", 1)
			if got.URL != testIssuer+"/session/refresh" || got.Method != "POST" || got.Authorization != "Bearer "+test.authorization || body != test.body {
				t.Errorf("sent %+v", got)
			}
		})
	}
}

func TestRefreshRefusesWhatCannotWork(t *testing.T) {
	server := play(answersJSON(TokenSet{}))
	c := testClient(t, "", server)
	for _, r := range []RefreshRequest{{}, {Token: "a b"}, {Token: "a\r\nX: y"}, {Token: testToken, ReadOnly: true}} {
		if _, err := c.Refresh(t.Context(), r); err == nil {
			t.Errorf("%q was sent", r.Token)
		}
	}
	if len(server.calls) > 0 {
		t.Errorf("%d requests were sent", len(server.calls))
	}
}

func TestRefreshRepeatsLostRequestInsideItsBound(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := play(hangs, answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "same"}))
		began := time.Now()
		set, err := testClient(t, "", server).Refresh(t.Context(), RefreshRequest{Token: testToken})
		if err != nil || set.RefreshToken != "same" || len(server.calls) != 2 {
			t.Fatalf("got %v, %v after %d calls", set.RefreshToken, err, len(server.calls))
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		// The second must not be judged after the whole call was given up.
		if a, b := jsonMember(t, server.calls[0].Body, "composedAt"), jsonMember(t, server.calls[1].Body, "composedAt"); a != b {
			t.Errorf("composed at %s, then at %s", a, b)
		}
	})
}

func TestRefreshGivesUpBeforeHalfTheReuseWindow(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"silence": hangs, "limited": refuses(429, CodeRateLimited, false, "Retry-After", "60"),
		"down": refuses(503, CodeUnavailable, false, "Retry-After", "8"), "refused": fails(dialError()),
	} {
		bubbletest.Run(t, func(t *testing.T) {
			server := play(answer)
			began := time.Now()
			_, err := testClient(t, "", server, func(c *ClientConfig) { c.Retries = 10 }).Refresh(t.Context(), RefreshRequest{Token: testToken})
			if err == nil || IsTerminal(err) {
				t.Errorf("%s: got %v", name, err)
			}
			if took := time.Since(began); took > 9*time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			if len(server.calls) > 2 {
				t.Errorf("%s: %d requests", name, len(server.calls))
			}
		})
	}
}

func TestRefreshDropsLateAnswer(t *testing.T) {
	// The machine slept while the answer waited in the socket: no timer has fired.
	var slept time.Duration
	server := play(func(*http.Request) (*http.Response, error) {
		slept = time.Hour
		return answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "late"})(nil)
	})
	c := testClient(t, "", server, func(c *ClientConfig) {
		c.Now = func() time.Time { return time.Now().Round(0).Add(slept) }
	})
	set, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken})
	if !errors.Is(err, context.DeadlineExceeded) || set.RefreshToken != "" {
		t.Errorf("got %q, %v", set.RefreshToken, err)
	}
}

func TestRefreshCorrectsItsClock(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := func() time.Time { return time.Now().Add(time.Hour) } // the client is an hour behind
		judged := func(r *http.Request) (*http.Response, error) {
			var body RefreshBody
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				return nil, err
			}
			date := server().UTC().Format(http.TimeFormat)
			if server().Sub(body.ComposedAt) > 10*time.Second && !body.ComposedAt.IsZero() {
				return refuses(409, CodeRequestExpired, false, "Date", date)(r)
			}
			return answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "new", ServerTime: server()})(r)
		}
		n := 0
		c := testClient(t, "", roundTripper(func(r *http.Request) (*http.Response, error) { n++; return judged(r) }))
		for want := range 2 {
			if _, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken}); err != nil {
				t.Fatal(err)
			}
			if n != want+2 {
				t.Errorf("refresh %d: %d requests so far", want, n)
			}
		}
		if off := c.clock.at(time.Now()).Sub(server()).Abs(); off > time.Millisecond {
			t.Errorf("the clock is %v off", off)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRefreshWorksWhenTheStoreHasAnotherClock(t *testing.T) {
	// The Date header says the process's time, but the database judges.
	bubbletest.Run(t, func(t *testing.T) {
		store := func() time.Time { return time.Now().Add(time.Minute) }
		n := 0
		c := testClient(t, "", roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			var body RefreshBody
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				return nil, err
			}
			if store().Sub(body.ComposedAt) > 10*time.Second && !body.ComposedAt.IsZero() {
				return refuses(409, CodeRequestExpired, false, "Date", time.Now().UTC().Format(http.TimeFormat))(r)
			}
			return answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "new", ServerTime: store()})(r)
		}))
		for _, want := range []int{3, 4} { // the first learns, the second knows
			if _, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken}); err != nil || n != want {
				t.Errorf("got %v after %d requests, want %d", err, n, want)
			}
		}
	})
}

func TestRefreshTerminalOnlyOnVerdict(t *testing.T) {
	for _, test := range []struct {
		answer   func(*http.Request) (*http.Response, error)
		terminal bool
		code     Code
	}{
		{refuses(401, CodeSessionRevoked, true), true, CodeSessionRevoked},
		{refuses(401, CodeTokenReuse, true), true, CodeTokenReuse},
		{refuses(401, CodeUnauthenticated, false), false, CodeUnauthenticated},
		{refuses(403, CodeForbidden, true), false, CodeForbidden},
		{refuses(500, CodeInternal, true), false, CodeInternal},
		{answers(401, "application/json", `{"terminal":true,"code":"session_revoked"}`), false, ""},
		{answers(401, "text/html", `<h1>session_revoked</h1>`), false, ""},
		{answers(302, "text/html", ``, "Location", "https://evil.example"), false, ""},
	} {
		server := play(test.answer)
		_, err := testClient(t, "", server).Refresh(t.Context(), RefreshRequest{Token: testToken})
		if err == nil || IsTerminal(err) != test.terminal || CodeOf(err) != test.code {
			t.Errorf("got %v", err)
		}
		if len(server.calls) != 1 {
			t.Errorf("%v: %d requests", err, len(server.calls))
		}
	}
}

// An operator who rotates or forgets to renew the application's key signs nobody out: the
// user's token speaks for itself. A verdict on the session is final.
func TestRefreshWithoutAGoodKey(t *testing.T) {
	good := answersJSON(TokenSet{Session: Session{ID: "ses_1"}, RefreshToken: "r"})
	for _, test := range []struct {
		name    string
		refusal func(*http.Request) (*http.Response, error)
		request RefreshRequest
		calls   int
		fails   Code
	}{
		{"a key that isn't known", refuses(401, CodeUnauthenticated, false), RefreshRequest{Token: testToken, Device: &Device{IP: "192.0.2.7"}}, 2, ""},
		{"a key without the scope", refuses(403, CodeForbidden, false), RefreshRequest{Token: testToken}, 2, ""},
		{"an ended session", refuses(401, CodeSessionRevoked, true), RefreshRequest{Token: testToken}, 1, CodeSessionRevoked},
		{"read-only, which needs a key", refuses(401, CodeUnauthenticated, false), RefreshRequest{Token: testToken, ReadOnly: true}, 1, CodeUnauthenticated},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := play(test.refusal, good)
			_, err := testClient(t, testKey, server).Refresh(t.Context(), test.request)
			if CodeOf(err) != test.fails || (err == nil) != (test.fails == "") || len(server.calls) != test.calls {
				t.Fatalf("%v after %d calls", err, len(server.calls))
			}
			last := server.calls[len(server.calls)-1]
			if test.calls == 2 && (last.Authorization != "Bearer "+testToken || strings.Contains(last.Body, "refreshToken") || strings.Contains(last.Body, "device")) {
				t.Errorf("sent %+v", last)
			}
		})
	}
	// A token that nobody can read isn't better without the key.
	server := play(refuses(401, CodeUnauthenticated, false))
	if _, err := testClient(t, testKey, server).Refresh(t.Context(), RefreshRequest{Token: testToken}); CodeOf(err) != CodeUnauthenticated || len(server.calls) != 2 {
		t.Errorf("%v after %d calls", err, len(server.calls))
	}
}
