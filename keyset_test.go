package latchkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// keyServer answers for {issuer}/.well-known/jwks.json without a network, so that time in
// tests can stand still.
type keyServer struct {
	mu       sync.Mutex
	body     string
	tag      string
	header   http.Header
	status   int
	err      error
	delay    time.Duration
	requests []*http.Request
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	delay := s.delay
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	h := http.Header{}
	if s.header != nil {
		h = s.header.Clone()
	}
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	status, body := s.status, s.body
	if status == 0 {
		status = http.StatusOK
	}
	if s.tag != "" {
		h.Set("ETag", s.tag)
		if status == http.StatusOK && r.Header.Get("If-None-Match") == s.tag {
			status, body = http.StatusNotModified, ""
		}
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *keyServer) set(change func(*keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *keyServer) publish(jwks []byte) { s.set(func(s *keyServer) { s.body = string(jwks) }) }

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func (s *keyServer) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

func (s *keyServer) keySet(t testing.TB) *KeySet {
	t.Helper()
	set, err := NewKeySet(KeySetConfig{URL: ourIssuer + keySetPath, HTTPClient: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// has reports whether a key is found.
func (s *KeySet) has(t testing.TB, kid string) bool {
	t.Helper()
	k, _, err := s.find(t.Context(), s.now(), kid)
	if err != nil {
		t.Errorf("key %s: %v", kid, err)
	}
	return k != nil
}

func TestKeySetIsFetchedOnce(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t)), delay: time.Second}
		set := server.keySet(t)
		if st := set.Status(); server.count() != 0 || st.Keys != 0 || !st.FetchedAt.IsZero() {
			t.Error("something is fetched before it is needed")
		}
		var found atomic.Int32
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if set.has(t, "k1") {
					found.Add(1)
				}
			})
		}
		callers.Wait()
		if found.Load() != 100 || server.count() != 1 {
			t.Errorf("%d of 100 callers got the key, by %d fetches", found.Load(), server.count())
		}
		if st := set.Status(); st.Keys != 1 || st.Fetches != 1 || st.Failures != 0 || st.LastError != "" || st.ClockOffset.Abs() > time.Second {
			t.Errorf("%+v", st)
		}
	})
}

// Who gives up leaves the fetch to the others.
func TestKeySetCallerGivesUp(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t)), delay: 5 * time.Second}
		set := server.keySet(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var others sync.WaitGroup
		if _, err := set.current(ctx, time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		for range 3 {
			others.Go(func() {
				if !set.has(t, "k1") {
					t.Error("the fetch was given up for all")
				}
			})
		}
		others.Wait()
		if server.count() != 1 {
			t.Errorf("%d fetches", server.count())
		}
	})
}

// Without Run a set that is past its age is renewed in the background, and one that is
// long past it before it is used.
func TestKeySetIsRenewedOnDemand(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		old, next := newTokenSigner(t, algEdDSA, "old"), newTokenSigner(t, algEdDSA, "next")
		server := &keyServer{body: string(old.keySet(t)), header: http.Header{"Cache-Control": {"public, max-age=300"}}}
		set := server.keySet(t)
		set.has(t, "old")
		server.publish(next.keySet(t))
		server.set(func(s *keyServer) { s.delay = time.Second })
		time.Sleep(299 * time.Second)
		if !set.has(t, "old") || server.count() != 1 {
			t.Error("renewed before its age")
		}
		time.Sleep(2 * time.Second)
		start := time.Now()
		for range 50 {
			if !set.has(t, "old") {
				t.Error("the old set isn't used meanwhile")
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("callers waited %v", time.Since(start))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if ring := set.ring.Load(); server.count() != 2 || ring.keys["old"] != nil || ring.keys["next"] == nil {
			t.Errorf("%d fetches; the set wasn't renewed", server.count())
		}
		// Nobody asks for hours; meanwhile the key is revoked.
		server.publish(old.keySet(t))
		time.Sleep(5 * time.Hour)
		if ring, err := set.current(t.Context(), time.Now()); err != nil || ring.keys["next"] != nil || server.count() != 3 {
			t.Errorf("%v, %v: a set of hours ago is used without a look", ring, err)
		}
	})
}

func TestKeySetOutage(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t))}
		set := server.keySet(t)
		set.has(t, "k1")
		server.set(func(s *keyServer) { s.delay, s.err = time.Hour, errors.New("down") })
		fetches := server.count()
		for range 30 { // for 5 hours
			time.Sleep(10 * time.Minute)
			start := time.Now()
			for range 100 {
				if !set.has(t, "k1") {
					t.Fatal("a good key is refused during an outage")
				}
			}
			if waited := time.Since(start); waited > renewalWait {
				t.Errorf("callers waited %v", waited)
			}
		}
		st := set.Status()
		if st.LastError == "" || st.Age < 5*time.Hour || st.Failures == 0 {
			t.Errorf("the outage doesn't show: %+v", st)
		}
		if n := server.count() - fetches; n > 31 {
			t.Errorf("%d fetches", n)
		}
		server.set(func(s *keyServer) { s.delay, s.err = 0, nil })
		time.Sleep(time.Minute)
		set.has(t, "k1")
		synctest.Wait()
		if st := set.Status(); st.LastError != "" || st.Age > time.Minute {
			t.Errorf("the end of the outage doesn't show: %+v", st)
		}
	})
}

// A server that was never reached is asked again and again, but not by every caller.
func TestKeySetNeverReached(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		server := &keyServer{err: errors.New("no route")}
		set := server.keySet(t)
		for range 6000 { // a minute
			if _, err := set.current(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "no route") {
				t.Fatalf("%v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := server.count(); n < 4 || n > 8 {
			t.Errorf("%d fetches in a minute", n)
		}
		key := newTokenSigner(t, algEdDSA, "k1")
		server.set(func(s *keyServer) { s.err, s.body = nil, string(key.keySet(t)) })
		time.Sleep(maxBackoff * 5 / 4)
		if !set.has(t, "k1") {
			t.Error("it doesn't recover")
		}
	})
}

// What isn't a good set never takes the place of one.
func TestKeySetKeepsGoodSet(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		good := string(key.keySet(t))
		server := &keyServer{body: good}
		set := server.keySet(t)
		set.has(t, "k1")
		for what, change := range map[string]func(*keyServer){
			"an error":          func(s *keyServer) { s.status = 500 },
			"not found":         func(s *keyServer) { s.status = 404 },
			"no content":        func(s *keyServer) { s.status, s.body = 204, "" },
			"another status":    func(s *keyServer) { s.status = 203 },
			"unasked 304":       func(s *keyServer) { s.status, s.body = 304, "" },
			"an empty body":     func(s *keyServer) { s.body = "" },
			"an empty set":      func(s *keyServer) { s.body = `{"keys":[]}` },
			"a page":            func(s *keyServer) { s.body = "<html>" },
			"half a set":        func(s *keyServer) { s.body = good[:len(good)-2] },
			"too large a set":   func(s *keyServer) { s.body = good + strings.Repeat(" ", maxKeySet) },
			"ten megabytes":     func(s *keyServer) { s.body = strings.Repeat(" ", 10<<20) + good },
			"an unusable set":   func(s *keyServer) { s.body = `{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}` },
			"a broken transfer": func(s *keyServer) { s.err = io.ErrUnexpectedEOF },
		} {
			server.set(func(s *keyServer) { s.status, s.body, s.err = 0, good, nil; change(s) })
			time.Sleep(time.Hour)
			failures := set.Status().Failures
			if !set.has(t, "k1") {
				t.Errorf("%s: the good set is gone", what)
			}
			synctest.Wait()
			if st := set.Status(); st.LastError == "" || st.Failures != failures+1 {
				t.Errorf("%s: %+v", what, st)
			}
		}
	})
}

func TestKeySetTags(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		a, b := newTokenSigner(t, algEdDSA, "a"), newTokenSigner(t, algEdDSA, "b")
		server := &keyServer{body: string(a.keySet(t)), tag: `"1"`}
		set := server.keySet(t)
		set.has(t, "a")
		if server.last().Header.Get("If-None-Match") != "" {
			t.Error("a tag out of nowhere")
		}
		ring := set.ring.Load()
		time.Sleep(time.Hour)
		set.has(t, "a")
		if server.last().Header.Get("If-None-Match") != `"1"` || set.ring.Load() != ring || set.Status().Age != 0 {
			t.Errorf("%v, %+v", server.last().Header, set.Status())
		}
		server.set(func(s *keyServer) { s.body, s.tag = string(b.keySet(t)), `"2"` })
		time.Sleep(time.Hour)
		if set.has(t, "a") || !set.has(t, "b") {
			t.Error("the new set isn't there")
		}
		// The same bytes without a tag leave the keys as they are.
		ring = set.ring.Load()
		server.set(func(s *keyServer) { s.tag = "" })
		time.Sleep(time.Hour)
		set.has(t, "b")
		if set.ring.Load() != ring {
			t.Error("the same keys were taken for others")
		}
	})
}

func TestKeyAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 5 * time.Minute, "public": 5 * time.Minute, "max-age=600": 10 * time.Minute, "public, Max-Age=600": 10 * time.Minute, `max-age="600"`: 10 * time.Minute,
		"max-age=0": time.Minute, "max-age=1": time.Minute, "no-cache": time.Minute, "no-store, max-age=600": time.Minute,
		"max-age=86400": 24 * time.Hour, "max-age=31536000": 24 * time.Hour, "max-age=4294967295": 24 * time.Hour, "max-age=99999999999999999999": 5 * time.Minute,
		"max-age=-1": 5 * time.Minute, "max-age=x": 5 * time.Minute, "max-age": 5 * time.Minute, "s-maxage=600": 5 * time.Minute,
	} {
		if got := keyAge(http.Header{"Cache-Control": {text}}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := keyAge(http.Header{"Cache-Control": {"max-age=600"}, "Age": {"200"}}); got != 400*time.Second {
		t.Errorf("what a cache held back: %v", got)
	}
	if got := keyAge(http.Header{"Cache-Control": {"max-age=600"}, "Age": {"99999"}}); got != time.Minute {
		t.Errorf("what a cache held back for long: %v", got)
	}
}

// Run renews ahead of the age, so that no caller ever sees a set that is past it.
func TestKeySetRun(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t)), header: http.Header{"Cache-Control": {"max-age=600"}}}
		set := server.keySet(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { set.run(ctx); close(done) }()
		synctest.Wait()
		if server.count() != 1 || set.Status().Keys != 1 {
			t.Error("the first fetch isn't made at once")
		}
		for range 600 {
			time.Sleep(10 * time.Second)
			if time.Now().UnixNano() >= set.staleAt.Load() {
				t.Fatal("the set is past its age")
			}
		}
		// 6000 s at 375 to 450 s.
		if n := server.count(); n < 14 || n > 18 {
			t.Errorf("%d fetches", n)
		}
		server.set(func(s *keyServer) { s.err = errors.New("down") })
		time.Sleep(time.Hour)
		if n := server.count(); n < 100 || n > 160 {
			t.Errorf("%d fetches after an hour of outage", n)
		}
		cancel()
		<-done
	})
}

// A key that was revoked is fetched away at once, around the caches on the way, but not
// more than once a second.
func TestKeySetDemand(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		old, next := newTokenSigner(t, algEdDSA, "old"), newTokenSigner(t, algEdDSA, "next")
		server := &keyServer{body: string(old.keySet(t)), delay: 500 * time.Millisecond}
		set := server.keySet(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { set.run(ctx); close(done) }()
		time.Sleep(time.Minute)
		server.publish(next.keySet(t))
		set.demand()
		time.Sleep(501 * time.Millisecond)
		if ring := set.ring.Load(); ring.keys["old"] != nil || server.count() != 2 || server.last().Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%d fetches, %v", server.count(), server.last().Header)
		}
		time.Sleep(time.Minute)
		for range 100 {
			set.demand()
			time.Sleep(100 * time.Millisecond)
		}
		if n := server.count(); n < 10 || n > 13 {
			t.Errorf("%d fetches in 10 seconds", n-2)
		}
		time.Sleep(10 * time.Second)
		// A fetch that was under way when the key was revoked isn't the last word.
		n := server.count()
		server.set(func(s *keyServer) { s.delay = 2 * time.Second })
		set.demand()
		time.Sleep(time.Second)
		set.demand()
		time.Sleep(10 * time.Second)
		if server.count() != n+2 {
			t.Errorf("%d fetches", server.count()-n)
		}
		cancel()
		<-done
	})
}

func TestKeySetAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://auth.example.com/x": true, "http://localhost/x": true, "http://127.0.0.2/x": true, "http://[::1]:8080/x": true,
		"": false, "auth.example.com/x": false, "http://auth.example.com/x": false, "file:///etc/passwd": false, "https://a:b@auth.example.com/x": false, "https:x": false,
	} {
		if set, err := NewKeySet(KeySetConfig{URL: address}); (err == nil) != ok || (set != nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestStaticKeySet(t *testing.T) {
	key := newTokenSigner(t, algEdDSA, "k1")
	set, err := StaticKeySet(key.keySet(t))
	if err != nil || !set.has(t, "k1") || set.has(t, "k2") {
		t.Errorf("%v", err)
	}
	set.demand()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set.run(ctx)
	if st := set.Status(); st.Keys != 1 || st.Fetches != 0 || st.Age != 0 {
		t.Errorf("%+v", st)
	}
	if err := set.restore(key.keySet(t), "", time.Now()); err == nil {
		t.Error("a static set is replaced")
	}
	if set, err := StaticKeySet([]byte(`{"keys":[]}`)); err == nil || set != nil {
		t.Error("an empty set is taken")
	}
}

// Redirects stay on the host, whatever the given client thinks of them.
func TestAttack19RedirectToAnotherHost(t *testing.T) {
	key := newTokenSigner(t, algEdDSA, "k1")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(key.keySet(t)) }))
	defer evil.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) { w.Write(key.keySet(t)) })
	mux.Handle("/near", http.RedirectHandler("/keys", http.StatusFound))
	mux.Handle("/far", http.RedirectHandler(evil.URL+"/keys", http.StatusFound))
	mux.Handle("/near-far", http.RedirectHandler("/far", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	lax := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	strict := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("none at all") }}
	for _, c := range []struct {
		path   string
		client *http.Client
		want   string
	}{
		{"/keys", nil, ""}, {"/near", nil, ""}, {"/near", lax, ""}, {"/near", strict, "none at all"},
		{"/far", nil, "another host"}, {"/far", lax, "another host"}, {"/near-far", lax, "another host"}, {"/round", lax, "another host"},
	} {
		set, err := NewKeySet(KeySetConfig{URL: server.URL + c.path, HTTPClient: c.client, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.current(t.Context(), time.Now())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
}

// Kids that nobody has cause a bounded number of fetches, and cost the known ones nothing.
func TestAttack19UnknownKidFlood(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t)), delay: 100 * time.Millisecond}
		set := server.keySet(t)
		set.has(t, "k1")
		var waiting sync.WaitGroup
		for i := range 60_000 { // in a minute
			if i%10 == 0 {
				waiting.Go(func() {
					if set.has(t, fmt.Sprint("made-up-", i)) {
						t.Error("a key was made up")
					}
				})
				start := time.Now()
				if !set.has(t, "k1") || time.Since(start) != 0 {
					t.Error("the known key suffers")
				}
			}
			time.Sleep(time.Millisecond)
		}
		waiting.Wait()
		if n := server.count(); n < 4 || n > 7 {
			t.Errorf("%d fetches in a minute", n)
		}
		set.mu.Lock()
		remembered := len(set.unknown)
		set.mu.Unlock()
		if remembered > maxUnknown {
			t.Errorf("%d made-up kids are remembered", remembered)
		}
	})
}

// A kid that isn't there is asked for once, and found once it is.
func TestAttack19NegativeCache(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		key, next := newTokenSigner(t, algEdDSA, "k1"), newTokenSigner(t, algEdDSA, "next")
		server := &keyServer{body: string(key.keySet(t)), header: http.Header{"Cache-Control": {"max-age=86400"}}}
		set := server.keySet(t)
		set.has(t, "k1")
		if set.has(t, "next") || server.count() != 1 {
			t.Error("a set that was fetched a moment ago is fetched again")
		}
		time.Sleep(unknownInterval * 6 / 5)
		if set.has(t, "next") || server.count() != 2 {
			t.Errorf("%d fetches", server.count())
		}
		for range 5 {
			time.Sleep(unknownMemory / 6)
			set.has(t, "next")
		}
		if server.count() != 2 {
			t.Errorf("the same kid caused %d fetches within a minute", server.count()-1)
		}
		server.publish(keySetOf(key.jwk(t, nil), next.jwk(t, nil)))
		time.Sleep(unknownMemory)
		if !set.has(t, "next") || server.count() != 3 {
			t.Error("the new key isn't found")
		}
		// When the server can't be asked, it isn't known that there is no such key.
		server.set(func(s *keyServer) { s.err = errors.New("down") })
		time.Sleep(unknownInterval * 6 / 5)
		for range 3 {
			if _, _, err := set.find(t.Context(), time.Now(), "other"); err == nil {
				t.Error("a key is called unknown without being looked for")
			}
		}
	})
}
