package latchkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// feedServer is a server of the revocation feed in memory: real HTTP over pipes, so that
// the tests' clock stands still while nothing happens.
type feedServer struct {
	t       *testing.T
	conns   chan net.Conn
	handler http.HandlerFunc // replaces the feed when set
	down    bool

	mu      sync.Mutex
	entries []Revocation
	store   string // part of cursors: another store doesn't know them
	changed chan struct{}
	end     chan struct{} // closed: streams end in good order
	mute    bool          // streams send nothing more
	asked   []string      // "stream after" or "poll after wait"
	open    int           // requests under way
}

// newFeedServer starts a server that stops with the test. Call it inside a bubble.
func newFeedServer(t *testing.T) *feedServer {
	s := &feedServer{t: t, conns: make(chan net.Conn), store: "a", changed: make(chan struct{}), end: make(chan struct{})}
	h := &http.Server{Handler: s}
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.Serve(s)
	}()
	t.Cleanup(func() {
		h.Close()
		<-served
	})
	return s
}

func (s *feedServer) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *feedServer) Close() error   { close(s.conns); return nil }
func (s *feedServer) Addr() net.Addr { return &net.TCPAddr{} }

func (s *feedServer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	if address != "localhost:80" {
		s.t.Errorf("a connection to %s", address)
	}
	near, far := net.Pipe()
	select {
	case s.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *feedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.open++
	handler := s.handler
	s.mu.Unlock()
	defer s.with(func() { s.open-- })
	if r.URL.Path != "/"+feedProject+"/revocations" || r.Header.Get("Authorization") != "Bearer "+feedTestKey || r.Method != "GET" {
		s.t.Errorf("%s %s with %q", r.Method, r.URL, r.Header)
	}
	stream := r.Header.Get("Accept") == "text/event-stream"
	what := "stream " + r.FormValue("after")
	if !stream {
		what = "poll " + r.FormValue("after") + " " + r.FormValue("wait")
	}
	s.with(func() { s.asked = append(s.asked, what) })
	switch {
	case handler != nil:
		handler(w, r)
	case stream:
		s.stream(w, r)
	default:
		s.list(w, r)
	}
}

func (s *feedServer) with(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// add appends entries, which get their numbers here.
func (s *feedServer) add(entries ...Revocation) {
	s.with(func() {
		for _, e := range entries {
			e.Seq = int64(len(s.entries) + 1)
			s.entries = append(s.entries, e)
		}
		close(s.changed)
		s.changed = make(chan struct{})
	})
}

// revoke adds an entry of this moment.
func (s *feedServer) revoke(kind, id string) {
	now := time.Now()
	s.add(Revocation{Kind: kind, ID: id, At: now, Until: now.Add(15 * time.Minute)})
}

// endStreams ends what is open, as the server does at a shutdown.
func (s *feedServer) endStreams() {
	s.with(func() {
		close(s.end)
		s.end = make(chan struct{})
	})
}

// behind returns the entries behind a cursor, and whether the cursor is known.
func (s *feedServer) behind(cursor string) (entries []Revocation, known bool, changed, end chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, store, _ := strings.Cut(cursor, ".")
	seq, err := strconv.Atoi(number)
	if err != nil || store != s.store || seq > len(s.entries) {
		return s.entries, false, s.changed, s.end
	}
	return s.entries[seq:], true, s.changed, s.end
}

func (s *feedServer) cursor(seq int64) string { return fmt.Sprintf("%d.%s", seq, s.store) }

func (s *feedServer) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(format string, a ...any) {
		if !s.mute {
			fmt.Fprintf(w, format, a...)
			w.(http.Flusher).Flush()
		}
	}
	live, _ := json.Marshal(map[string]time.Time{"serverTime": time.Now()})
	send("retry: 1000\n\n")
	cursor := r.FormValue("after")
	beat := time.NewTicker(10 * time.Second)
	defer beat.Stop()
	for {
		entries, known, changed, end := s.behind(cursor)
		if !known {
			send("event: snapshot\ndata: %s\n\n", live)
			cursor = s.cursor(0)
		}
		for _, e := range entries {
			cursor = s.cursor(e.Seq)
			text, _ := json.Marshal(e)
			send("event: revocation\nid: %s\ndata: %s\n\n", cursor, text)
		}
		live, _ = json.Marshal(map[string]time.Time{"serverTime": time.Now()})
		send("event: live\nid: %s\ndata: %s\n\n", cursor, live)
		select {
		case <-changed:
		case <-beat.C:
		case <-end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *feedServer) list(w http.ResponseWriter, r *http.Request) {
	wait, _ := time.ParseDuration(r.FormValue("wait"))
	cursor := r.FormValue("after")
	entries, known, changed, _ := s.behind(cursor)
	if known && len(entries) == 0 && wait > 0 {
		select {
		case <-changed:
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
		entries, _, _, _ = s.behind(cursor)
	}
	list := RevocationList{Snapshot: !known, Entries: entries, Cursor: cursor, ServerTime: time.Now()}
	if !known {
		list.Cursor = s.cursor(0)
	}
	if len(entries) > 3 { // small, so that there is more
		list.Entries, list.More = entries[:3], true
	}
	if n := len(list.Entries); n > 0 {
		list.Cursor = s.cursor(list.Entries[n-1].Seq)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(list)
}

// requests returns what was asked for since the last call.
func (s *feedServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

// feedLog keeps what was logged.
type feedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *feedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *feedLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// client returns a client of s that isn't running.
func (s *feedServer) client(others ...func(*RevocationsConfig)) *Revocations {
	transport := &http.Transport{DialContext: s.dial}
	s.t.Cleanup(transport.CloseIdleConnections)
	return newTestFeed(s.t, append([]func(*RevocationsConfig){func(c *RevocationsConfig) {
		c.Issuer = "http://localhost/" + feedProject
		// The timeout is one that a stream wouldn't survive.
		c.HTTPClient = &http.Client{Transport: transport, Timeout: time.Second}
	}}, others...)...)
}

// runFeed follows the feed until the returned function is called.
func runFeed(t *testing.T, r *Revocations) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if mode := r.Status().Mode; mode != "off" {
			t.Errorf("mode %q after the end", mode)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

// logFeed makes a client log into the returned log.
func logFeed(level slog.Level) (*feedLog, func(*RevocationsConfig)) {
	l := new(feedLog)
	return l, func(c *RevocationsConfig) {
		c.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
	}
}

// pass lets time pass until everything that follows from it has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// revoked reports whether a session is known to be revoked.
func (r *Revocations) revoked(session string) bool {
	return r.judge(&Claims{SessionID: session}) == ReasonRevoked
}
