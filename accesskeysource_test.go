package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

const testAccessKey = "lk_ak_accessaccessaccessCANARY"

// machineServer is a transport that plays the server of access keys and an API.
type machineServer struct {
	life      time.Duration
	exchanges atomic.Int64
	takes     time.Duration                // that an exchange takes
	refuse    func(n int64) *http.Response // instead of the n-th exchange; nil: none
	accept    func(token string) bool
	seen      sync.Map // host -> Authorization
	bodies    chan string
}

func (m *machineServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/access-keys/exchange") {
		return m.api(r)
	}
	n := m.exchanges.Add(1)
	if m.takes > 0 {
		timer := time.NewTimer(m.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if m.refuse != nil {
		if res := m.refuse(n); res != nil {
			return res, nil
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+testAccessKey {
		return response(401, "application/problem+json", `{"code":"unauthenticated"}`), nil
	}
	// The server's clock is wrong by years, or ours is.
	now := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	b, _ := json.Marshal(MachineToken{SessionToken: fmt.Sprintf("token%d", n), SessionExpiresAt: now.Add(m.life), AccessKey: "ak_1", ServerTime: now})
	return response(200, "application/json", string(b)), nil
}

func (m *machineServer) api(r *http.Request) (*http.Response, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	m.seen.Store(r.URL.Host, token)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		if m.bodies != nil {
			m.bodies <- string(body)
		}
	}
	if m.accept != nil && !m.accept(token) {
		return response(401, "text/plain", "no"), nil
	}
	return response(200, "text/plain", "hello "+token), nil
}

func testSource(t *testing.T, server http.RoundTripper) *AccessKeySource {
	t.Helper()
	s, err := NewAccessKeySource(AccessKeySourceConfig{Client: testClient(t, "", server), Key: testAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantToken(t *testing.T, s *AccessKeySource, want string) {
	t.Helper()
	if got, err := s.Token(t.Context()); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAccessKeySourceRenewsAhead(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: 8 * time.Minute, takes: time.Second}
		s := testSource(t, m)
		wantToken(t, s, "token1")
		pass(6*time.Minute - 2*time.Second)
		wantToken(t, s, "token1")
		if n := m.exchanges.Load(); n != 1 {
			t.Fatalf("%d exchanges of a token that is young", n)
		}
		pass(2 * time.Second)
		began := time.Now()
		for range 10 {
			wantToken(t, s, "token1") // which is good: nobody waits
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("callers have waited %v while there was a good token", d)
		}
		pass(2 * time.Second)
		wantToken(t, s, "token2")
		pass(time.Hour)
		wantToken(t, s, "token3")
		if n := m.exchanges.Load(); n != 3 {
			t.Errorf("%d exchanges", n)
		}
	})
}

// However many ask at once, the server is asked once; and who gives up takes nothing from
// the others.
func TestAccessKeySourceHasOneFlight(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: time.Minute, takes: 2 * time.Second}
		s := testSource(t, m)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := s.Token(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			work.Go(func() { wantToken(t, s, "token1") })
		}
		work.Wait()
		if n := m.exchanges.Load(); n != 1 {
			t.Errorf("%d exchanges", n)
		}
	})
}

// A server that is down doesn't end a token that is good, isn't asked again by every
// caller, and is found again when it is back.
func TestAccessKeySourceThroughAnOutage(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		var down atomic.Bool
		m := &machineServer{life: 20 * time.Minute, refuse: func(int64) *http.Response {
			if down.Load() {
				return response(503, "application/problem+json", `{"code":"unavailable"}`)
			}
			return nil
		}}
		s := testSource(t, m)
		wantToken(t, s, "token1")
		down.Store(true)
		for range 15 * 60 { // every second
			pass(time.Second)
			wantToken(t, s, "token1")
		}
		before := m.exchanges.Load()
		for range 4 * 60 * 10 { // ten times a second, in the last minutes of the token
			pass(100 * time.Millisecond)
			wantToken(t, s, "token1")
		}
		if n := m.exchanges.Load() - before; n < 4 || n > 4*20 {
			t.Errorf("%d exchanges in four minutes of an outage", n)
		}
		pass(2 * time.Minute)
		if _, err := s.Token(t.Context()); CodeOf(err) != CodeUnavailable {
			t.Errorf("once the token is over: %v", err)
		}
		down.Store(false)
		pass(longestRest)
		if token, err := s.Token(t.Context()); err != nil || token == "token1" {
			t.Errorf("%q, %v", token, err)
		}
	})
}

// A key that is refused ends what was got with it, and isn't tried by every caller again.
func TestAccessKeySourceOfARefusedKey(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		var disabled atomic.Bool
		m := &machineServer{life: 8 * time.Minute, refuse: func(int64) *http.Response {
			if disabled.Load() {
				return response(401, "application/problem+json", `{"code":"unauthenticated","detail":"The access key is disabled."}`)
			}
			return nil
		}}
		s := testSource(t, m)
		wantToken(t, s, "token1")
		disabled.Store(true)
		pass(7 * time.Minute)
		wantToken(t, s, "token1")
		synctest.Wait()
		before := m.exchanges.Load()
		for range 100 {
			if token, err := s.Token(t.Context()); CodeOf(err) != CodeUnauthenticated || token != "" {
				t.Fatalf("%q, %v", token, err)
			}
		}
		if n := m.exchanges.Load(); n != before {
			t.Errorf("%d more exchanges", n-before)
		}
		disabled.Store(false)
		pass(time.Second)
		wantToken(t, s, fmt.Sprintf("token%d", before+1))
	})
}

func TestAccessKeySourceForgets(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: time.Hour}
		s := testSource(t, m)
		wantToken(t, s, "token1")
		s.Forget("token1")
		wantToken(t, s, "token1") // as new as tokens get
		pass(time.Second)
		s.Forget("another")
		wantToken(t, s, "token1")
		s.Forget("token1")
		wantToken(t, s, "token2")
	})
}

func TestAccessKeySourceConfigIsChecked(t *testing.T) {
	client := testClient(t, "", &machineServer{})
	for name, test := range map[string]struct {
		config AccessKeySourceConfig
		want   []string
	}{
		"everything":     {AccessKeySourceConfig{Key: "lk_mgmt_secret", Tenant: "no tenant"}, []string{"Client", "Key", "Tenant"}},
		"no key":         {AccessKeySourceConfig{Client: client}, []string{"Key"}},
		"key with space": {AccessKeySourceConfig{Client: client, Key: "lk_ak_secret secret"}, []string{"Key"}},
	} {
		_, err := NewAccessKeySource(test.config)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, word := range test.want {
			if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v; want %q", name, err, word)
			}
		}
	}
}

func TestAccessKeyIsShownNowhere(t *testing.T) {
	s := testSource(t, &machineServer{life: time.Hour})
	s.held.token = "tokenCANARY"
	values := []any{
		s, AccessKeySourceConfig{Key: testAccessKey}, AccessKeyExchange{Key: testAccessKey}, MachineToken{SessionToken: "tokenCANARY"}, NewAccessKey{Secret: testAccessKey},
	}
	var out strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
	}
	for _, v := range []any{AccessKeySourceConfig{Key: testAccessKey}, AccessKeyExchange{Key: testAccessKey}} {
		b, _ := json.Marshal(v)
		out.Write(b)
	}
	if strings.Contains(out.String(), "CANARY") || strings.Contains(out.String(), fmt.Sprintf("%x", "CANARY")) {
		t.Error(out.String())
	}
}

func get(t *testing.T, transport http.RoundTripper, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if len(r.Header) != 0 {
		t.Errorf("the caller's request was changed: %v", r.Header)
	}
	return string(body)
}

// The token goes to the origins that were named and to nobody else, however a host is
// spelled.
func TestAccessKeyTransportKeepsToItsOrigins(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: time.Hour}
		transport, err := testSource(t, m).Transport(m, "https://api.example.com", "http://127.0.0.1:8080/")
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{"https://api.example.com/a?b=c", "https://API.example.com:443/", "http://127.0.0.1:8080/x"} {
			if got := get(t, transport, url); got != "hello token1" {
				t.Errorf("%s: %q", url, got)
			}
		}
		for _, url := range []string{
			"http://api.example.com/", "https://api.example.com:8443/", "https://evil.example.com/", "https://api.example.com.evil.com/", "http://127.0.0.1/",
			"https://evil.com/https://api.example.com",
		} {
			if got := get(t, transport, url); got != "hello " {
				t.Errorf("%s: %q", url, got)
			}
		}
	})
}

func TestAccessKeyTransportOriginsAreChecked(t *testing.T) {
	s := testSource(t, &machineServer{})
	for _, origins := range [][]string{
		nil, {""}, {"api.example.com"}, {"https://api.example.com/v1"}, {"http://api.example.com"}, {"https://u:p@api.example.com"}, {"https://a.example.com?x"}, {"ftp://a"},
	} {
		if _, err := s.Transport(nil, origins...); err == nil {
			t.Errorf("%q: no error", origins)
		}
	}
}

// What is refused as outdated is sent once more with a new token, and not for ever.
func TestAccessKeyTransportTriesOnceMore(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: time.Hour, bodies: make(chan string, 10)}
		transport, err := testSource(t, m).Transport(m, "https://api.example.com")
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: transport}
		post := func(body io.Reader) int {
			t.Helper()
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/", body)
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		if got := post(strings.NewReader("one")); got != 200 || <-m.bodies != "one" {
			t.Fatalf("%d", got)
		}
		pass(time.Minute)
		m.accept = func(token string) bool { return token != "token1" }
		if got := post(strings.NewReader("two")); got != 200 || <-m.bodies != "two" || <-m.bodies != "two" {
			t.Errorf("with a body that can be had again: %d", got)
		}
		pass(time.Minute)
		m.accept = func(string) bool { return false }
		before := m.exchanges.Load()
		if got := post(io.MultiReader(strings.NewReader("three"))); got != 401 || <-m.bodies != "three" {
			t.Errorf("with a body that can't: %d", got)
		}
		for range 20 {
			if got := post(nil); got != 401 {
				t.Errorf("an API that refuses everything: %d", got)
			}
		}
		if n := m.exchanges.Load() - before; n > 2 {
			t.Errorf("%d exchanges for an API that refuses everything", n)
		}
		if len(m.bodies) != 0 {
			t.Errorf("%d requests too many", len(m.bodies))
		}
	})
}

// A request that can't have a token isn't sent, and its body is closed.
func TestAccessKeyTransportWithoutToken(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := &machineServer{life: time.Hour, refuse: func(int64) *http.Response {
			return response(401, "application/problem+json", `{"code":"unauthenticated"}`)
		}}
		transport, err := testSource(t, m).Transport(m, "https://api.example.com")
		if err != nil {
			t.Fatal(err)
		}
		body := &closeNoted{Reader: strings.NewReader("x")}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/", body)
		if _, err := transport.RoundTrip(r); CodeOf(err) != CodeUnauthenticated || !body.closed {
			t.Errorf("%v, closed: %v", err, body.closed)
		}
		if _, sent := m.seen.Load("api.example.com"); sent {
			t.Error("the request was sent without a token")
		}
	})
}

type closeNoted struct {
	io.Reader
	closed bool
}

func (c *closeNoted) Close() error { c.closed = true; return nil }

func TestExchangeAccessKey(t *testing.T) {
	ok := MachineToken{SessionToken: "a.b.c", AccessKey: "ak_1", ServerTime: testNoon, SessionExpiresAt: testNoon.Add(time.Minute)}
	server := play(answersJSON(ok))
	c := testClient(t, testKey, server)
	got, err := c.ExchangeAccessKey(t.Context(), AccessKeyExchange{Key: testAccessKey, Tenant: "ten_1", Claims: json.RawMessage(`{"job":"x"}`)})
	if err != nil || got != ok {
		t.Fatalf("%v, %v", got, err)
	}
	if call := server.calls[0]; call.Method != "POST" || call.URL != testIssuer+"/access-keys/exchange" ||
		call.Authorization != "Bearer "+testAccessKey || call.Body != `{"claims":{"job":"x"},"tenant":"ten_1"}` {
		t.Errorf("%+v", call)
	}
	for _, key := range []string{"", testKey, "lk_ak_", "lk_ak_a b", "x"} {
		if _, err := c.ExchangeAccessKey(t.Context(), AccessKeyExchange{Key: key}); err == nil || len(server.calls) != 1 {
			t.Errorf("%q was sent", key)
		}
	}
	for name, answer := range map[string]any{
		"nothing": struct{}{}, "no token": MachineToken{ServerTime: testNoon, SessionExpiresAt: testNoon.Add(1)},
		"over": MachineToken{SessionToken: "a.b.c", ServerTime: testNoon, SessionExpiresAt: testNoon},
	} {
		if _, err := testClient(t, "", play(answersJSON(answer))).ExchangeAccessKey(t.Context(), AccessKeyExchange{Key: testAccessKey}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	lost := play(fails(errors.New("reset by peer "+testAccessKey)), answersJSON(ok))
	if _, err := testClient(t, "", lost).ExchangeAccessKey(t.Context(), AccessKeyExchange{Key: testAccessKey}); err != nil || len(lost.calls) != 2 {
		t.Errorf("an answer that got lost: %v, %d calls", err, len(lost.calls))
	}
	gone := play(fails(errors.New("reset by peer " + testAccessKey)))
	if _, err := testClient(t, "", gone).ExchangeAccessKey(t.Context(), AccessKeyExchange{Key: testAccessKey}); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("the error of a transport: %v", err)
	}
}
