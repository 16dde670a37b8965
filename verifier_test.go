package latchkey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func algorithms() []string { return []string{algES256, algEdDSA, algRS256} }

func TestVerify(t *testing.T) {
	for _, alg := range algorithms() {
		t.Run(alg, func(t *testing.T) {
			s := newTokenSigner(t, alg, "key_1")
			v := newTestVerifier(t, s.keySet(t))
			token := s.mint(t, map[string]any{"plan": "pro"})
			for range 3 { // cold, then from the cache
				c, err := v.Verify(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				var plan string
				if _, err := c.Claim("plan", &plan); err != nil || plan != "pro" || c.Subject != "usr_1" || c.KeyID != "key_1" || c.SessionID != "ses_1" {
					t.Errorf("%+v, %v", c, err)
				}
			}
			if st := v.Status().Cache; st.Hits != 2 || st.Misses != 1 || st.Entries != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// Every claim that is checked, wrong in turn.
func TestVerifyClaims(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	v := newTestVerifier(t, s.keySet(t))
	at := func(d time.Duration) int64 { return testNoon.Add(d).Unix() }
	for what, c := range map[string]struct {
		changes map[string]any
		want    Reason
	}{
		"good":                        {nil, ""},
		"no nbf":                      {map[string]any{"nbf": nil}, ""},
		"a single audience":           {map[string]any{"aud": ourProject}, ""},
		"one audience of several":     {map[string]any{"aud": []string{"x", ourProject}}, ""},
		"expired inside the skew":     {map[string]any{"exp": at(-time.Minute + time.Second)}, ""},
		"expired":                     {map[string]any{"exp": at(-time.Minute)}, ReasonExpired},
		"expired at the epoch":        {map[string]any{"exp": 0}, ReasonExpired},
		"no exp":                      {map[string]any{"exp": nil}, ReasonMalformed},
		"nbf inside the skew":         {map[string]any{"nbf": at(time.Minute)}, ""},
		"nbf later":                   {map[string]any{"nbf": at(time.Minute + time.Second)}, ReasonNotYetValid},
		"iat inside the skew":         {map[string]any{"iat": at(time.Minute)}, ""},
		"iat later":                   {map[string]any{"iat": at(time.Minute + time.Second)}, ReasonNotYetValid},
		"iat later, nbf not":          {map[string]any{"iat": at(time.Hour), "nbf": at(0)}, ReasonNotYetValid},
		"no iat":                      {map[string]any{"iat": nil}, ReasonMalformed},
		"no sub":                      {map[string]any{"sub": nil}, ReasonMalformed},
		"an empty sub":                {map[string]any{"sub": ""}, ReasonMalformed},
		"no iss":                      {map[string]any{"iss": nil}, ReasonIssuer},
		"another issuer":              {map[string]any{"iss": "https://auth.example.com/prj_2"}, ReasonIssuer},
		"no aud":                      {map[string]any{"aud": nil}, ReasonAudience},
		"an empty aud":                {map[string]any{"aud": []string{}}, ReasonAudience},
		"an empty text as aud":        {map[string]any{"aud": ""}, ReasonAudience},
		"another audience":            {map[string]any{"aud": []string{"prj_2"}}, ReasonAudience},
		"a prefix of the audience":    {map[string]any{"aud": ourProject[:10]}, ReasonAudience},
		"an audience in capitals":     {map[string]any{"aud": strings.ToUpper(ourProject)}, ReasonAudience},
		"audiences in one text":       {map[string]any{"aud": "x " + ourProject}, ReasonAudience},
		"an audience of another type": {map[string]any{"aud": []any{ourProject, 1}}, ReasonMalformed},
		"bound to a key":              {map[string]any{"cnf": map[string]string{"jkt": "x"}}, ReasonType},
	} {
		token := s.mint(t, c.changes)
		if c.want != "" {
			refusedAs(t, v, what, token, c.want)
			refusedAs(t, v, what+", again", token, c.want)
		} else if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Time goes on between a token's first check and its next one.
func TestVerifyCachedInTime(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	var now atomic.Int64
	now.Store(testNoon.Unix())
	v := newTestVerifier(t, s.keySet(t), func(c *VerifierConfig) {
		c.Now = func() time.Time { return time.Unix(now.Load(), 0) }
		c.ClockSkew = -1
	})
	token := s.mint(t, nil)
	for _, c := range []struct {
		after time.Duration
		want  Reason
	}{{0, ""}, {10*time.Minute - time.Second, ""}, {10 * time.Minute, ReasonExpired}, {5 * time.Minute, ""}, {-time.Second, ReasonNotYetValid}, {0, ""}} {
		now.Store(testNoon.Add(c.after).Unix())
		if _, err := v.Verify(t.Context(), token); ReasonOf(err) != c.want {
			t.Errorf("after %v: %v, want %q", c.after, err, c.want)
		}
	}
	if st := v.Status().Cache; st.Misses != 1 {
		t.Errorf("%+v: the token was checked anew", st)
	}
}

func TestVerifyRequirements(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	v := newTestVerifier(t, s.keySet(t))
	token := s.mint(t, map[string]any{"roles": []string{"member"}})
	for range 2 {
		if _, err := v.Verify(t.Context(), token, Requirement{Roles: []string{"member"}}, Requirement{}); err != nil {
			t.Error(err)
		}
		c, err := v.Verify(t.Context(), token, Requirement{Roles: []string{"member"}}, Requirement{Roles: []string{"admin"}})
		if ReasonOf(err) != ReasonRole || c != nil {
			t.Errorf("%v, %v", c, err)
		}
		// There is no feed, so nothing is known of revocations.
		if c, err := v.Verify(t.Context(), token, Requirement{Strict: true}); ReasonOf(err) != ReasonFeedSilent || c != nil {
			t.Errorf("%v, %v", c, err)
		}
	}
}

// testFeed is a feed that says what a test wants.
type testFeed struct {
	edits    atomic.Uint64
	verdict  atomic.Pointer[Reason]
	judged   atomic.Int64
	silent   atomic.Int64
	saved    []byte
	restored []byte
	key      func()
	runErr   error
}

func (f *testFeed) Run(ctx context.Context) error {
	if f.runErr != nil {
		return f.runErr
	}
	<-ctx.Done()
	return nil
}
func (f *testFeed) Status() FeedStatus {
	return FeedStatus{Mode: feedStream, Complete: true, Silence: f.silence(time.Time{}), Lag: 250 * time.Millisecond, Entries: 3, Reconnects: 2}
}
func (f *testFeed) version() uint64 { return f.edits.Load() }
func (f *testFeed) judge(*Claims) Reason {
	f.judged.Add(1)
	if r := f.verdict.Load(); r != nil {
		return *r
	}
	return ""
}
func (f *testFeed) silence(time.Time) time.Duration { return time.Duration(f.silent.Load()) }
func (f *testFeed) onKey(revoked func())            { f.key = revoked }
func (f *testFeed) export() []byte                  { return f.saved }
func (f *testFeed) restore(b []byte) error {
	if string(b) == "damaged" {
		return errors.New("damaged")
	}
	f.restored = b
	return nil
}

func (f *testFeed) say(r Reason) {
	f.verdict.Store(&r)
	f.edits.Add(1)
}

// withFeed returns a Verifier that follows a testFeed.
func withFeed(t testing.TB, c VerifierConfig, f *testFeed) *Verifier {
	t.Helper()
	v, err := c.withDefaults().verifier(f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func staticConfig(t testing.TB, jwks []byte) VerifierConfig {
	t.Helper()
	keys, err := StaticKeySet(jwks)
	if err != nil {
		t.Fatal(err)
	}
	return VerifierConfig{Issuer: ourIssuer, Keys: keys, Now: func() time.Time { return testNoon }}
}

func TestVerifyRevoked(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	f := &testFeed{}
	v := withFeed(t, staticConfig(t, s.keySet(t)), f)
	token := s.mint(t, nil)
	for range 3 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.judged.Load(); n != 1 {
		t.Errorf("nothing has changed, and the token was judged %d times", n)
	}
	for _, want := range []Reason{ReasonOutdated, ReasonRevoked} {
		f.say(want)
		refusedAs(t, v, "cached", token, want)
		refusedAs(t, v, "cached, again", token, want)
		refusedAs(t, v, "never seen", s.mint(t, map[string]any{"jti": string(want)}), want)
	}
	// An entry that concerns others is judged once.
	f.say("")
	before := f.judged.Load()
	for range 3 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	if n := f.judged.Load() - before; n != 1 {
		t.Errorf("judged %d times", n)
	}
}

func TestVerifyStrict(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	f := &testFeed{}
	c := staticConfig(t, s.keySet(t))
	c.MaxSilence = 30 * time.Second
	v := withFeed(t, c, f)
	token := s.mint(t, nil)
	for silence, want := range map[time.Duration]Reason{0: "", 30 * time.Second: "", 30*time.Second + 1: ReasonFeedSilent, 1<<63 - 1: ReasonFeedSilent} {
		f.silent.Store(int64(silence))
		if _, err := v.Verify(t.Context(), token, Requirement{Strict: true}); ReasonOf(err) != want {
			t.Errorf("after %v of silence: %v", silence, err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("a check that isn't strict: %v", err)
		}
	}
}

func TestNewVerifierReportsEverything(t *testing.T) {
	keys, err := NewKeySet(KeySetConfig{URL: "https://other.example.com/jwks.json"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewVerifier(VerifierConfig{
		Issuer: "http://auth.example.com/", ClockSkew: 6 * time.Minute, MaxSilence: -1, Keys: keys,
		Key: "lk_verify_canary", Revocations: &Revocations{},
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, part := range []string{"Issuer: https is needed", "Audience", "ClockSkew", "MaxSilence", "Keys: the key set isn't on the issuer's host", "Key and Revocations"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't reported in %q", part, err)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Error("the error shows the key")
	}
}

func TestNewVerifierIssuer(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://auth.example.com/prj_1": true, "http://localhost:8080/prj_1": true, "http://127.0.0.1:1/prj_1": true, "http://[::1]:1/prj_1": true,
		"": false, "prj_1": false, "/prj_1": false, "auth.example.com/prj_1": false, "http://auth.example.com/prj_1": false, "http://localhost.example.com/prj_1": false,
		"ftp://auth.example.com/prj_1": false, "https://user@auth.example.com/prj_1": false, "https://auth.example.com/prj_1?x": false,
		"https://auth.example.com/prj_1#x": false, "https:///prj_1": false, "https://:80/prj_1": false, "https://auth.example.com/": false, "http://128.0.0.1/prj_1": false,
	} {
		v, err := NewVerifier(VerifierConfig{Issuer: issuer})
		if (err == nil) != ok || (v != nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	v, err := NewVerifier(VerifierConfig{Issuer: ourIssuer})
	if err != nil || v.audience != ourProject || v.keys.url != ourIssuer+"/.well-known/jwks.json" || v.skew != time.Minute || v.feed != nil {
		t.Errorf("%+v, %v", v, err)
	}
	v, err = NewVerifier(VerifierConfig{Issuer: ourIssuer, Audience: "api", Key: "lk_verify_" + strings.Repeat("a", 43)})
	if err == nil && (v.audience != "api" || v.feed == nil) {
		t.Errorf("%+v", v)
	}
	if _, err := NewVerifier(VerifierConfig{Issuer: ourIssuer, Key: "canary"}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a key that is none: %v", err)
	}
}

// A configuration holds a key, which must not get into a log with it.
func TestVerifierConfigRedacts(t *testing.T) {
	c := VerifierConfig{Issuer: ourIssuer, Key: "lk_verify_canary", HTTPClient: &http.Client{}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&log, verb, c)
		fmt.Fprintf(&log, verb, &c)
	}
	if strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), ourIssuer) {
		t.Error(log.String())
	}
}

func TestVerifierRunsOnce(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	f := &testFeed{runErr: errors.New("no such project")}
	v := withFeed(t, staticConfig(t, s.keySet(t)), f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	for !v.running.Load() {
		runtime.Gosched()
	}
	if err := v.Run(ctx); !errors.Is(err, errRunning) {
		t.Errorf("run twice: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, f.runErr) {
		t.Errorf("it ends with %v", err)
	}
	f.runErr = nil
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := v.Run(ctx); err != nil {
		t.Errorf("run again: %v", err)
	}
}
