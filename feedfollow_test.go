package latchkey

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func refuseFeed(status int, code Code, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":%q,"status":%d,"detail":"you sent %s"}`, code, status, r.Header.Get("Authorization"))
	}
}

// A wrong key is said clearly, isn't tried again soon, and isn't shown.
func TestWrongKey(t *testing.T) {
	for _, status := range []int{401, 403} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = refuseFeed(status, CodeUnauthenticated)
			log, logged := logFeed(slog.LevelDebug)
			r := s.client(logged)
			runFeed(t, r)
			got := r.Status()
			if !strings.Contains(got.LastError, "refuses the key") || !strings.Contains(got.LastError, fmt.Sprint(status)) || got.Complete {
				t.Errorf("%+v", got)
			}
			pass(10 * time.Minute)
			if asked := len(s.requests()); asked < 10 || asked > 20 {
				t.Errorf("asked %d times in ten minutes", asked)
			}
			text := log.take()
			if strings.Count(text, "level=ERROR") != 1 || strings.Contains(text+got.LastError, "CANARY") {
				t.Errorf("%s\n%s", got.LastError, text)
			}
			s.with(func() { s.handler = nil })
			pass(2 * keyPause)
			if got := r.Status(); got.LastError != "" || !got.Complete {
				t.Errorf("with a key that is good again: %+v", got)
			}
		})
	}
}

// The key goes nowhere but to the issuer.
func TestRedirectsAreRefused(t *testing.T) {
	for _, target := range []string{"http://evil.example.com/feed", "https://localhost/" + feedProject + "/revocations", "//other.example.com/", "/elsewhere"} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target, http.StatusTemporaryRedirect)
			}
			r := s.client(func(c *RevocationsConfig) {
				c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			})
			runFeed(t, r) // a connection elsewhere fails the test
			if got := r.Status(); !strings.Contains(got.LastError, "307") || !strings.Contains(got.LastError, "redirect") {
				t.Errorf("%s: %+v", target, got)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for text, want := range map[string]time.Duration{"60": time.Minute, "31536000": longestWish} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = refuseFeed(503, CodeUnavailable, "Retry-After", text)
			runFeed(t, s.client())
			pass(want - time.Millisecond)
			if asked := len(s.requests()); asked != 1 {
				t.Errorf("%s: asked %d times before it was time", text, asked)
			}
			pass(firstPause + time.Millisecond)
			if asked := len(s.requests()); asked != 1 {
				t.Errorf("%s: asked %d times when it was time", text, asked)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	f := newFollower(newTestFeed(t))
	lost := errors.New("lost")
	for _, bound := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30} {
		var least, most time.Duration = time.Hour, 0
		failures := f.failures
		for range 300 {
			f.failures = failures
			d := f.delay(lost)
			least, most = min(least, d), max(most, d)
		}
		bound *= time.Second
		if most >= bound || most < bound*9/10 || least > bound/10 {
			t.Errorf("after %d failures from %v to %v, want from 0 to %v", failures, least, most, bound)
		}
	}
	f.failures = 1 << 40
	if d := f.delay(lost); d >= longestPause {
		t.Errorf("after very many failures: %v", d)
	}
	f.failures = 0
	for range 100 {
		if d := f.delay(&Error{Problem: Problem{Status: 403}}); d < keyPause || d >= 2*keyPause {
			t.Errorf("a refused key: %v", d)
		}
	}
}

// The server's retry replaces the first pause, within reason.
func TestRetryOfTheStream(t *testing.T) {
	for text, want := range map[string]time.Duration{"5000": 5 * time.Second, "0": firstPause, "1": shortPause, "2147483647": longestPause} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprintf(w, "retry: %s\n\ndata: 1\n\n", text)
			}
			f := newFollower(s.client())
			if err := f.follow(t.Context()); !errors.Is(err, errIncomplete) || f.pause != want {
				t.Errorf("%s: %v, pause %v", text, err, f.pause)
			}
		})
	}
}

// A server that ends every stream at once isn't asked in a tight loop.
func TestStreamsThatEndAtOnce(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: live\nid: 1.a\ndata: {}\n\n")
		}
		r := s.client()
		runFeed(t, r)
		pass(10 * time.Minute)
		if asked := len(s.requests()); asked > 100 {
			t.Errorf("asked %d times in ten minutes", asked)
		}
		if got := r.Status(); !got.Complete || got.LastError != "" {
			t.Errorf("%+v", got)
		}
	})
}

// A stream whose time was over is followed by the next one before anybody could notice.
func TestTheNextStreamFollowsAtOnce(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		r := s.client()
		runFeed(t, r)
		pass(15 * time.Minute)
		s.with(func() { close(s.end); s.end = make(chan struct{}) })
		pass(time.Millisecond)
		s.revoke("session", "ses_1")
		pass(shortPause)
		if got := r.Status(); !r.revoked("ses_1") || got.Reconnects != 1 {
			t.Errorf("%v after the end of the stream a revocation isn't known: %+v", shortPause, got)
		}
	})
}

// A connection that the server closes without an answer is a failure, and no stream that
// ended in good order.
func TestConnectionClosedWithoutAnAnswer(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.handler = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		r := s.client()
		runFeed(t, r)
		if got := r.Status(); got.LastError == "" || got.Complete {
			t.Errorf("%+v", got)
		}
	})
}

func TestRunTwice(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		r := s.client()
		stop := runFeed(t, r)
		if err := r.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		stop()
		stop = runFeed(t, r)
		if got := r.Status(); got.Mode != "stream" {
			t.Errorf("it doesn't run again: %+v", got)
		}
		stop()
	})
}

func TestOnKey(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.revoke("session", "ses_1")
		r := s.client()
		calls := 0
		r.onKey(func() {
			calls++
			if r.judge(&Claims{KeyID: "key_1"}) != ReasonRevoked {
				t.Error("called before the key counts as revoked")
			}
		})
		runFeed(t, r)
		if calls != 0 {
			t.Error("called without a key")
		}
		s.revoke("key", "key_1")
		s.revoke("key", "key_1")
		synctest.Wait()
		if calls != 1 {
			t.Errorf("called %d times", calls)
		}
	})
}
