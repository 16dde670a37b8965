package latchkey

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func TestNewRevocationsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		config RevocationsConfig
		want   []string
	}{
		"nothing":      {RevocationsConfig{}, []string{"Issuer", "Key"}},
		"no project":   {RevocationsConfig{Issuer: "https://auth.example.com", Key: feedTestKey}, []string{"Issuer"}},
		"password":     {RevocationsConfig{Issuer: "https://u:CANARY@auth.example.com/prj_1", Key: feedTestKey}, []string{"Issuer"}},
		"no https":     {RevocationsConfig{Issuer: "http://auth.example.com/prj_1", Key: feedTestKey}, []string{"Issuer"}},
		"no address":   {RevocationsConfig{Issuer: "ftp://auth.example.com/prj_1", Key: feedTestKey}, []string{"Issuer"}},
		"access key":   {RevocationsConfig{Issuer: feedIssuer, Key: "lk_ak_CANARY"}, []string{"Key"}},
		"split header": {RevocationsConfig{Issuer: feedIssuer, Key: "lk_verify_CANARY\r\nX: y"}, []string{"Key"}},
	} {
		_, err := NewRevocations(c.config)
		if err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, word := range []string{"Issuer", "Key"} {
			if strings.Contains(err.Error(), word) != slices.Contains(c.want, word) {
				t.Errorf("%s: %v; want %q", name, err, c.want)
			}
		}
	}
}

func TestRevocationsDontShowTheKey(t *testing.T) {
	c := RevocationsConfig{Issuer: feedIssuer, Key: feedTestKey}
	r := newTestFeed(t)
	var out bytes.Buffer
	for _, v := range []any{c, &c, r, (*Revocations)(nil)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("made", "config", c, "feed", r)
	if strings.Contains(out.String(), "CANARY") || strings.Contains(out.String(), fmt.Sprintf("%x", "CANARY")) {
		t.Errorf("%s", out.String())
	}
}

// What a transport puts into its errors isn't shown unread.
func TestErrorsOfTransportsDontShowTheKey(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		log, logged := logFeed(slog.LevelDebug)
		r := newTestFeed(t, logged, func(c *RevocationsConfig) {
			c.HTTPClient = &http.Client{Transport: feedTransport(func(req *http.Request) (*http.Response, error) {
				return nil, errors.New("sent \x1b[1m" + req.Header.Get("Authorization") + strings.Repeat("x", 1<<20))
			})}
		})
		runFeed(t, r)
		pass(time.Minute)
		got := r.Status().LastError
		if text := log.take(); got == "" || len(got) > maxText || strings.Contains(got+text, "CANARY") || strings.Contains(got, "\x1b") {
			t.Errorf("%q\n%s", got, text)
		}
	})
}

type feedTransport func(*http.Request) (*http.Response, error)

func (f feedTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// One verifier's trouble is in its own status, and in no other's.
func TestAttack37ErrorsStayApart(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		good, bad := newFeedServer(t), newFeedServer(t)
		bad.handler = refuseFeed(403, CodeForbidden)
		a, b := good.client(), bad.client()
		runFeed(t, a)
		runFeed(t, b)
		good.revoke("session", "ses_1")
		pass(time.Minute)
		if s := a.Status(); s.LastError != "" || s.Entries != 1 || s.Reconnects != 0 {
			t.Errorf("the good one: %+v", s)
		}
		if s := b.Status(); s.LastError == "" || s.Entries != 0 || s.Complete {
			t.Errorf("the bad one: %+v", s)
		}
	})
}
