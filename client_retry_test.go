package latchkey

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func TestRepeatsOnlyWhatIsSafe(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	untrusted := &tls.CertificateVerificationError{Err: errors.New("unknown authority")}
	cut := func(*http.Request) (*http.Response, error) {
		return stream(io.MultiReader(strings.NewReader(`{"`), broken{})), nil
	}
	failures := []struct {
		name         string
		answer       func(*http.Request) (*http.Response, error)
		read, create int // calls with two repetitions allowed
	}{
		{"refused connection", fails(dialError()), 3, 3},
		{"reset", fails(reset), 3, 1},
		{"closed", fails(io.EOF), 3, 1},
		{"cut answer", cut, 3, 1},
		{"429", refuses(429, CodeRateLimited, false), 3, 1},
		{"502 of a proxy", answers(502, "text/html", "<h1>"), 3, 1},
		{"503", refuses(503, CodeUnavailable, false, "Retry-After", "1"), 3, 1},
		{"504 of a proxy", answers(504, "text/html", "<h1>"), 3, 1},
		{"500", refuses(500, CodeInternal, false), 1, 1},
		{"400", refuses(400, CodeInvalidRequest, false), 1, 1},
		{"401", refuses(401, CodeSessionRevoked, true), 1, 1},
		{"404", refuses(404, CodeNotFound, false), 1, 1},
		{"409", refuses(409, CodeConflict, false), 1, 1},
		{"certificate", fails(untrusted), 1, 1},
		{"not JSON", answers(200, "text/html", ""), 1, 1},
		{"long Retry-After", refuses(503, CodeUnavailable, false, "Retry-After", "3600"), 1, 1},
	}
	safe := map[string]func(context.Context, *Client) error{
		"get":         func(ctx context.Context, c *Client) error { return second(c.Settings(ctx)) },
		"list":        func(ctx context.Context, c *Client) error { return drain(c.Sessions(ctx, SessionFilter{})) },
		"logout":      func(ctx context.Context, c *Client) error { return c.Logout(ctx, testToken) },
		"logout all":  func(ctx context.Context, c *Client) error { return c.LogoutAll(ctx, testToken) },
		"acknowledge": func(ctx context.Context, c *Client) error { return second(c.Acknowledge(ctx, testToken)) },
		"own":         func(ctx context.Context, c *Client) error { return second(c.Own(ctx, testToken)) },
		"end own":     func(ctx context.Context, c *Client) error { return c.EndOwnSession(ctx, testToken, "ses_1") },
		"revoke":      func(ctx context.Context, c *Client) error { return second(c.RevokeSession(ctx, "ses_1")) },
		"revoke user": func(ctx context.Context, c *Client) error { return second(c.RevokeUserSessions(ctx, "usr_1")) },
		"revoke some": func(ctx context.Context, c *Client) error {
			return second(c.RevokeSessions(ctx, EndSessionsRequest{All: true}))
		},
		"dry-run": func(ctx context.Context, c *Client) error { return second(c.DryRunSettings(ctx, nil)) },
		"dry-run of a tenant": func(ctx context.Context, c *Client) error {
			return second(c.DryRunTenantSettings(ctx, "ten_1", nil))
		},
		"revoke key":   func(ctx context.Context, c *Client) error { return second(c.RevokeSigningKey(ctx, "key_1")) },
		"delete a key": func(ctx context.Context, c *Client) error { return c.DeleteManagementKey(ctx, "mk_1") },
	}
	unsafe := map[string]func(context.Context, *Client) error{
		"sign in": func(ctx context.Context, c *Client) error {
			return second(c.CreateSession(ctx, SignInRequest{User: UserNamed("a")}))
		},
		"create user": func(ctx context.Context, c *Client) error { return second(c.CreateUser(ctx, UserRequest{})) },
		"change user": func(ctx context.Context, c *Client) error { return second(c.ChangeUser(ctx, "usr_1", UserRequest{})) },
		"claims": func(ctx context.Context, c *Client) error {
			return second(c.UpdateSessionClaims(ctx, "ses_1", ClaimsPatch{}))
		},
		"settings": func(ctx context.Context, c *Client) error { return second(c.ChangeSettings(ctx, nil)) },
		"tenant settings": func(ctx context.Context, c *Client) error {
			return second(c.ChangeTenantSettings(ctx, "ten_1", nil))
		},
		"create key": func(ctx context.Context, c *Client) error {
			return second(c.CreateManagementKey(ctx, ManagementKeyRequest{}))
		},
		"rotate key":  func(ctx context.Context, c *Client) error { return second(c.RotateManagementKey(ctx, "mk_1")) },
		"signing key": func(ctx context.Context, c *Client) error { return second(c.RotateSigningKey(ctx, RotateKeyRequest{})) },
	}
	for _, f := range failures {
		for want, calls := range map[int]map[string]func(context.Context, *Client) error{f.read: safe, -f.create: unsafe} {
			for name, call := range calls {
				bubbletest.Run(t, func(t *testing.T) {
					server := play(f.answer)
					began := time.Now()
					if err := call(t.Context(), testClient(t, testKey, server)); err == nil {
						t.Errorf("%s of %s: no error", f.name, name)
					}
					if len(server.calls) != max(want, -want) {
						t.Errorf("%s of %s: %d calls, want %d", f.name, name, len(server.calls), max(want, -want))
					}
					if took := time.Since(began); took > 3*time.Second {
						t.Errorf("%s of %s took %v", f.name, name, took)
					}
				})
			}
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRepetitionSucceeds(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := play(fails(io.EOF), refuses(503, CodeUnavailable, false, "Retry-After", "2"), answersJSON(SettingsAnswer{Version: 7}))
		began := time.Now()
		s, err := testClient(t, testKey, server).Settings(t.Context())
		if err != nil || s.Version != 7 {
			t.Errorf("got %v, %v", s.Version, err)
		}
		// At random up to 100 ms, then what was asked for and up to 200 ms.
		if took := time.Since(began); took < 2*time.Second || took > 2300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRepetitionsSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for n := range 12 {
		limit := min(firstDelay<<n, maxDelay)
		for range 50 {
			d := delay(io.EOF, n)
			if d < 0 || d >= limit {
				t.Fatalf("repetition %d after %v, want less than %v", n, d, limit)
			}
			seen[d] = true
		}
	}
	if len(seen) < 500 {
		t.Errorf("%d different delays of 600", len(seen))
	}
	asked := &Error{RetryAfter: 3 * time.Second}
	if d := delay(asked, 0); d < 3*time.Second || d > 3*time.Second+firstDelay {
		t.Errorf("got %v although 3s were asked for", d)
	}
}

func TestRetriesAreAsConfigured(t *testing.T) {
	for retries, want := range map[int]int{-1: 1, 0: 3, 1: 2, 5: 6} {
		bubbletest.Run(t, func(t *testing.T) {
			server := play(fails(io.EOF))
			c := testClient(t, testKey, server, func(c *ClientConfig) { c.Retries = retries })
			if _, err := c.Settings(t.Context()); !errors.Is(err, io.EOF) || len(server.calls) != want {
				t.Errorf("Retries %d: %d calls, want %d, %v", retries, len(server.calls), want, err)
			}
		})
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := play(refuses(503, CodeUnavailable, false, "Retry-After", "5"))
		c := testClient(t, testKey, server)
		// It can't be waited for: the refusal is returned at once.
		short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Settings(short); CodeOf(err) != CodeUnavailable || time.Since(began) > 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		// The caller gives up in the middle.
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		began = time.Now()
		if _, err := c.Settings(ctx); CodeOf(err) != CodeUnavailable || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		var refusal *Error
		if _, err := c.Settings(short); !errors.As(err, &refusal) || refusal.RetryAfter != 5*time.Second {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeletionWhoseAnswerGotLost(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		c := testClient(t, testKey, play(fails(io.EOF), refuses(404, CodeNotFound, false)))
		if err := c.DeleteUser(t.Context(), "usr_1"); err != nil {
			t.Errorf("deleted by the first attempt: %v", err)
		}
		c = testClient(t, testKey, play(refuses(404, CodeNotFound, false)))
		if err := c.DeleteUser(t.Context(), "usr_1"); CodeOf(err) != CodeNotFound {
			t.Errorf("never there: %v", err)
		}
	})
}

var retryAfterCases = []struct {
	header, date string
	want         time.Duration
}{
	{"", "", 0},
	{"0", "", 0},
	{"7", "", 7 * time.Second},
	{" 7 ", "", 7 * time.Second},
	{"+7", "", 0},
	{"-7", "", 0},
	{"7.5", "", 0},
	{"7s", "", 0},
	{"86400", "", maxRetry},
	{"86401", "", maxRetry},
	{"99999999999999999999999", "", maxRetry},
	{"Thu, 01 Jan 2026 00:01:00 GMT", "", time.Minute},
	{"Thu, 01 Jan 2026 00:01:00 GMT", "Thu, 01 Jan 2026 00:00:50 GMT", 10 * time.Second}, // by the server's clock
	{"Thu, 01 Jan 2026 00:01:00 GMT", "garbage", time.Minute},
	{"Thursday, 01-Jan-26 00:01:00 GMT", "", time.Minute},
	{"Thu, 01 Jan 2025 00:00:00 GMT", "", 0},
	{"Thu, 01 Jan 2099 00:00:00 GMT", "", maxRetry},
	{"soon", "", 0},
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range retryAfterCases {
		h := http.Header{"Retry-After": {test.header}, "Date": {test.date}}
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("%q with %q: got %v, want %v", test.header, test.date, got, test.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, test := range retryAfterCases {
		f.Add(test.header, test.date)
	}
	f.Fuzz(func(t *testing.T, header, date string) {
		h := http.Header{"Retry-After": {header}, "Date": {date}}
		if got := retryAfter(h, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); got < 0 || got > maxRetry {
			t.Errorf("got %v", got)
		}
	})
}

func FuzzProblem(f *testing.F) {
	f.Add(401, "application/problem+json", []byte(`{"type":"/docs/errors/session_revoked","title":"Over","status":401,"code":"session_revoked","terminal":true,"requestId":"r"}`))
	f.Add(400, "application/problem+json; charset=utf-8", []byte(`{"errors":[{"pointer":"/a","code":"b","detail":"`+testToken+`"}]}`))
	f.Add(502, "text/html", []byte(`<html>`+testKey))
	f.Add(409, "application/problem+json", []byte("{\"detail\":\"\\u001b[31m\\u202e\xff"+testToken+"\",\"terminal\":1}"))
	f.Add(503, "", []byte(`[`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		res := response(status, contentType, "")
		e := readProblem(res, body, time.Unix(0, 0), []string{testToken, testKey})
		if e.Status != status || e.Terminal && status != 401 || len(e.Errors) > maxErrors {
			t.Errorf("got %+v", e)
		}
		text := e.Error()
		if strings.Contains(text, testToken) || strings.Contains(text, testKey) {
			t.Errorf("a credential is in %q", text)
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q isn't printable", text)
		}
		if e.Code != "" && contentType == "text/html" {
			t.Errorf("%q was believed", text)
		}
		if b, err := json.Marshal(e.Problem); err != nil || len(b) > 8*(5+3*maxErrors)*maxText {
			t.Errorf("%d bytes were kept, %v", len(b), err)
		}
	})
}
