package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
	"github.com/latchkey-dev/latchkey/internal/token"
)

const publicURL = "https://auth.example.com"

var operator = audit.Origin{Actor: audit.CLI}

// world is a whole server on the memory store.
type world struct {
	t       testing.TB
	clock   *storetest.Clock
	store   *fragile
	app     *server.App
	metrics *observe.Metrics
	log     *lines
	logger  *slog.Logger
	server  *server.Server
}

// newApp returns the domain on the memory store, without a server.
func newApp(t testing.TB, level slog.Level) *world {
	t.Helper()
	w := &world{t: t, clock: storetest.NewClock(), log: new(lines)}
	w.store = &fragile{Store: memory.Open(w.clock.Now)}
	master, err := secret.ParseRing(secret.NewMasterKey())
	w.must(err)
	w.app, err = server.Assemble(w.store, master, publicURL, w.clock.Now)
	w.must(err)
	w.metrics, err = observe.NewMetrics("1.2.3")
	w.must(err)
	w.logger = observe.Logger(w.log, config.LogJSON, level)
	return w
}

// newWorld returns a server that logs from a level on, and whose Deps others may change
// before it is made.
func newWorld(t testing.TB, level slog.Level, others ...func(*server.Deps)) *world {
	t.Helper()
	w := newApp(t, level)
	d := server.Deps{Config: config.Defaults(), App: w.app, Log: w.logger, Metrics: w.metrics, PublicURL: publicURL, Version: "1.2.3"}
	for _, change := range others {
		change(&d)
	}
	var err error
	w.server, err = server.New(d)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// project adds a project with its first key.
func (w *world) project() directory.Project {
	w.t.Helper()
	p, err := w.app.CreateProject(w.t.Context(), "acme", operator)
	w.must(err)
	return p
}

// signIn adds a session of a user of that login id, and the user when there is none.
func (w *world) signIn(p directory.Project, login string) token.Set {
	w.t.Helper()
	u, err := w.app.Directory.Upsert(w.t.Context(), p.ID, directory.UserChange{LoginIDs: &[]string{login}}, operator)
	w.must(err)
	set, err := w.app.Tokens.SignIn(w.t.Context(), token.SignIn{Project: p.ID, User: u.ID, AMR: []string{"pwd"}, Origin: operator})
	w.must(err)
	return set
}

// key adds a management key that may do everything.
func (w *world) key(p directory.Project) string {
	w.t.Helper()
	_, clear, err := w.app.Directory.CreateKey(w.t.Context(), p.ID, directory.NewKey{Name: "k", Kind: secret.Management}, directory.ManagementKey{}, operator)
	w.must(err)
	return clear.Reveal()
}

// ask sends a request; headers are "Name: value".
func (w *world) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	out := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(out, r)
	return out
}

// problem reads a refusal and fails unless it is one of this status and code.
func problem(t testing.TB, status int, header http.Header, body []byte, wantStatus int, code latchkey.Code) latchkey.Problem {
	t.Helper()
	var p latchkey.Problem
	if err := json.Unmarshal(body, &p); err != nil || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s isn't a problem: %s", status, header.Get("Content-Type"), body)
	}
	if status != wantStatus || p.Status != wantStatus || p.Code != code || p.RequestID == "" || p.RequestID != header.Get("X-Request-Id") {
		t.Errorf("%d %+v, want %d %s", status, p, wantStatus, code)
	}
	return p
}

func (w *world) refused(out *httptest.ResponseRecorder, status int, code latchkey.Code) latchkey.Problem {
	w.t.Helper()
	return problem(w.t, out.Code, out.Header(), out.Body.Bytes(), status, code)
}

// lines keeps what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns the lines since the last call, each as JSON, and their text.
func (l *lines) take(t *testing.T) (entries []map[string]any, text string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	text = l.text.String()
	l.text.Reset()
	for line := range strings.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries, text
}

// fragile is a store that can be made to fail.
type fragile struct {
	store.Store
	ping    func(context.Context) error
	find    func(id.Project) error // of a project
	domains func() error
	apply   func(id.Project) error         // of a change of keys
	sweep   func(limit, removed int) error // of sessions
	after   atomic.Pointer[error]          // of reading the revocation feed
}

func (s *fragile) Revocations() revocation.Store { return fragileRevocations{s.Store.Revocations(), s} }

type fragileRevocations struct {
	revocation.Store
	s *fragile
}

func (f fragileRevocations) After(ctx context.Context, seq int64, limit int) ([]revocation.Entry, error) {
	if err := f.s.after.Load(); err != nil {
		return nil, *err
	}
	return f.Store.After(ctx, seq, limit)
}

func (s *fragile) Ping(ctx context.Context) error {
	if s.ping != nil {
		return s.ping(ctx)
	}
	return s.Store.Ping(ctx)
}

func (s *fragile) Projects() directory.ProjectStore { return fragileProjects{s.Store.Projects(), s} }
func (s *fragile) Keys() key.Store                  { return fragileKeys{s.Store.Keys(), s} }
func (s *fragile) Bulk() session.BulkStore          { return fragileBulk{s.Store.Bulk(), s} }

type fragileProjects struct {
	directory.ProjectStore
	s *fragile
}

func (f fragileProjects) Find(ctx context.Context, p id.Project) (directory.Project, error) {
	if f.s.find != nil {
		if err := f.s.find(p); err != nil {
			return directory.Project{}, err
		}
	}
	return f.ProjectStore.Find(ctx, p)
}

func (f fragileProjects) Domains(ctx context.Context, after string, limit int) ([]directory.Domain, error) {
	if f.s.domains != nil {
		if err := f.s.domains(); err != nil {
			return nil, err
		}
	}
	return f.ProjectStore.Domains(ctx, after, limit)
}

type fragileKeys struct {
	key.Store
	s *fragile
}

func (f fragileKeys) Apply(ctx context.Context, p id.Project, version int64, c key.Change) error {
	if f.s.apply != nil {
		if err := f.s.apply(p); err != nil {
			return err
		}
	}
	return f.Store.Apply(ctx, p, version, c)
}

type fragileBulk struct {
	session.BulkStore
	s *fragile
}

func (f fragileBulk) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	n, err := f.BulkStore.Sweep(ctx, cutoff, limit)
	if err == nil && f.s.sweep != nil {
		err = f.s.sweep(limit, n)
	}
	return n, err
}

// series returns the value of each series whose line starts with name.
func (w *world) series(name string) map[string]string {
	w.t.Helper()
	out := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(out, httptest.NewRequest("GET", "/metrics", nil))
	found := map[string]string{}
	for line := range strings.Lines(out.Body.String()) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(key, name) {
			found[key] = value
		}
	}
	return found
}

func read(t testing.TB, body io.ReadCloser) []byte {
	t.Helper()
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	return b
}

func jsonInto(out *httptest.ResponseRecorder, into any) error {
	if out.Code >= 400 {
		return fmt.Errorf("%d %s", out.Code, out.Body)
	}
	return json.Unmarshal(out.Body.Bytes(), into)
}
