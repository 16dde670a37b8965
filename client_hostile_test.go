package latchkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// Nothing that a log may get shows a credential, whatever the server echoes.
func TestNothingShowsCredentials(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	shown := func(values ...any) {
		for _, v := range values {
			fmt.Fprintf(&log, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
			logger.Info("value", "v", v)
		}
	}
	echo := func(r *http.Request) (*http.Response, error) {
		b, _ := json.Marshal(Problem{
			Status: 400, Code: Code("x " + testToken), Detail: r.Header.Get("Authorization") + " " + testToken + strings.Repeat("x", 2000) + testKey,
			Title: "cut: " + testToken[:30], RequestID: testKey, Type: testToken,
			Errors: []FieldError{{Pointer: testToken, Code: testKey, Detail: testToken + "\x00" + testKey[:20]}},
		})
		return response(400, "application/problem+json", string(b)), nil
	}
	broken := func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("sending %v failed", r.Header) }
	page := answers(502, "text/html", "<pre>Authorization: Bearer "+testKey+" "+testToken+"</pre>")
	garbled := answers(200, "application/json", `{"session":"`+testToken+`"}`)
	foreign := answers(200, "text/plain", testKey)
	away := answers(307, "text/html", "", "Location", "https://evil.example/?token="+testToken)
	for _, answer := range []func(*http.Request) (*http.Response, error){echo, broken, page, garbled, foreign, away} {
		c := testClient(t, testKey, play(answer), func(c *ClientConfig) { c.Retries = -1 })
		_, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken})
		shown(err, errors.Unwrap(err), second(c.Settings(t.Context())), c.Logout(t.Context(), testToken), c, struct{ C *Client }{c}, struct{ c *Client }{c})
		if err == nil {
			t.Error("no error")
		}
	}
	config := ClientConfig{Issuer: testIssuer, Key: testKey}
	shown(config, &config, RefreshRequest{Token: testToken}, []RefreshRequest{{Token: testToken}},
		TokenSet{SessionToken: testToken, RefreshToken: testToken}, &TokenSet{SessionToken: testToken}, NewManagementKey{Secret: testKey}, (*Client)(nil))
	for _, secret := range []string{testToken, testKey} {
		for i := 0; i+12 <= len(secret); i += 6 {
			part := secret[i : i+12]
			if strings.Contains(log.String(), part) || strings.Contains(log.String(), fmt.Sprintf("%x", part)) {
				at := max(strings.Index(log.String(), part)-200, 0)
				t.Fatalf("%q of a credential is in …%.300s", part, log.String()[at:])
			}
		}
	}
	if !strings.Contains(log.String(), testIssuer) || !strings.Contains(log.String(), redacted) {
		t.Errorf("what may be shown isn't: %s", log.String())
	}
}

func TestHostileAnswers(t *testing.T) {
	long := strings.Repeat("x", maxAnswer+1)
	for name, test := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   string
	}{
		"endless":         {func(*http.Request) (*http.Response, error) { return stream(endless{}), nil }, "larger than"},
		"too long":        {answers(200, "application/json", `{"detail":"`+long+`"}`), "larger than"},
		"a sign-in page":  {answers(200, "text/html", "<html>"), "isn't JSON"},
		"no type":         {answers(200, "", "{}"), "isn't JSON"},
		"cut":             {answers(200, "application/json", `{"settings":{`), "can't be read"},
		"another type":    {answers(200, "application/json", `{"version":"x"}`), "can't be read"},
		"deep":            {answers(200, "application/json", strings.Repeat("[", 20000)), "can't be read"},
		"endless refusal": {func(*http.Request) (*http.Response, error) { r := stream(endless{}); r.StatusCode = 400; return r, nil }, "status 400"},
		"redirect":        {answers(301, "text/html", "", "Location", "https://evil.example/"), "Redirects aren't followed"},
		"long problem":    {answers(400, "application/problem+json", `{"code":"`+long+`"}`), "status 400: Bad Request"},
		"no problem":      {answers(401, "application/problem+json", `]`), "status 401: Unauthorized"},
	} {
		server := play(test.answer)
		_, err := testClient(t, testKey, server).Settings(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 3*maxText {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if len(server.calls) != 1 {
			t.Errorf("%s: %d calls", name, len(server.calls))
		}
	}
}

// A 200 from a network that wants a sign-in must not pass for a logout.
func TestLogoutBelievesTheServerOnly(t *testing.T) {
	for answer, want := range map[string]bool{"application/json {}": true, "text/html <html>": false, "application/json <": false} {
		kind, body, _ := strings.Cut(answer, " ")
		if err := testClient(t, "", play(answers(200, kind, body))).Logout(t.Context(), testToken); (err == nil) != want {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// A dry-run of many sessions takes longer than other calls may.
func TestDryRunIsWaitedFor(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		slow := func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(5 * time.Minute):
				return answersJSON(DryRun{Sessions: 7})(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		server := play(slow, slow)
		c := testClient(t, testKey, server)
		for name, ask := range map[string]func() (DryRun, error){
			"project": func() (DryRun, error) { return c.DryRunSettings(t.Context(), SettingsPatch{}) },
			"tenant":  func() (DryRun, error) { return c.DryRunTenantSettings(t.Context(), "ten_1", SettingsPatch{}) },
		} {
			if got, err := ask(); err != nil || got.Sessions != 7 {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		if len(server.calls) != 2 {
			t.Errorf("%d calls", len(server.calls))
		}
		began := time.Now()
		mute := testClient(t, testKey, play(hangs), func(c *ClientConfig) { c.Retries = -1 })
		if _, err := mute.DryRunSettings(t.Context(), SettingsPatch{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != dryRunTime {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestSlowServerIsGivenUp(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		began := time.Now()
		c := testClient(t, testKey, play(hangs), func(c *ClientConfig) { c.Retries = 1 })
		if _, err := c.Settings(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < callTime || took > 2*callTime+time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began = time.Now()
		if _, err := c.Settings(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestClientNeitherFollowsNorKeepsCookies(t *testing.T) {
	// Through real connections, with a client of the caller's that would do both.
	var reached, cookies int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies += len(r.Cookies())
		http.SetCookie(w, &http.Cookie{Name: "DSR", Value: "another-user"})
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := NewClient(ClientConfig{Issuer: server.URL + "/prj_1", Key: testKey, HTTPClient: &http.Client{Jar: jar{}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Refresh(t.Context(), RefreshRequest{Token: testToken}); err == nil || IsTerminal(err) {
			t.Errorf("got %v", err)
		}
	}
	if reached != 0 || cookies != 0 {
		t.Errorf("%d requests elsewhere, %d cookies sent back", reached, cookies)
	}
}

func stream(r io.Reader) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(r)}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// jar keeps every cookie for every address.
type jar map[string][]*http.Cookie

func (j jar) SetCookies(_ *url.URL, cookies []*http.Cookie) { j[""] = append(j[""], cookies...) }
func (j jar) Cookies(*url.URL) []*http.Cookie               { return j[""] }
