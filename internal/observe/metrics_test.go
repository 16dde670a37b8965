package observe

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func metrics(t testing.TB) *Metrics {
	t.Helper()
	m, err := NewMetrics("v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape returns what a Prometheus server would get.
func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v: %s", w.Code, w.Header(), w.Body)
	}
	return w.Body.String()
}

// wantSeries demands these lines, and no other of the same metric.
func wantSeries(t testing.TB, page, metric string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, metric); ok && (rest[0] == '{' || rest[0] == ' ') {
			got = append(got, strings.TrimSpace(rest))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", metric, got, want)
	}
}

// use touches everything once.
func use(m *Metrics) {
	m.Route("/{project}/session/refresh").Served(http.MethodPost, 200, time.Millisecond)
	for rule := range session.Rule(20) {
		m.Refreshed(rule)
	}
	m.SessionCreated()
	m.SessionsEnded(session.Logout, 1)
	m.RateLimited(SessionLimit)
	m.ClaimsFlagged(claim.LintWarn)
	m.Committed(64, 3*time.Millisecond)
	m.Swept(Sessions, 10)
	m.TaskRan(Sweep, nil, time.UnixMilli(1_500))
	m.TaskRan(Keys, errors.New("x"), time.UnixMilli(1_500))
}

// At most 24 metrics, all of them there from the start, named as Prometheus advises.
func TestMetricsAreFewAndWellNamed(t *testing.T) {
	t.Parallel()
	m := metrics(t)
	use(m)
	page := scrape(t, m)
	families := regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(page, -1)
	if len(families) > 24 || len(families) < 13 {
		t.Errorf("%d metrics", len(families))
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, f := range families {
		name, kind := f[1], f[2]
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
		if !strings.HasPrefix(name, "latchkey_") && !slices.Contains(processNames(), name) {
			t.Errorf("%s isn't ours", name)
		}
		if !strings.Contains(page, "\n# HELP "+name+" ") && !strings.HasPrefix(page, "# HELP "+name+" ") {
			t.Errorf("%s has no help", name)
		}
	}
	t.Logf("%d metrics", len(families))
}

// What nobody has counted yet is zero, not absent; but for routes, which are mounted.
func TestSeriesExistFromTheStart(t *testing.T) {
	t.Parallel()
	page := scrape(t, metrics(t))
	wantSeries(t, page, "latchkey_refreshes_total", `{verdict="replay"} 0`, `{verdict="rotate"} 0`, `{verdict="recover"} 0`,
		`{verdict="adopt"} 0`, `{verdict="theft"} 0`, `{verdict="stale"} 0`, `{verdict="revoked"} 0`, `{verdict="expired"} 0`,
		`{verdict="limited"} 0`, `{verdict="read"} 0`, `{verdict="other"} 0`)
	wantSeries(t, page, "latchkey_sessions_created_total", "0")
	wantSeries(t, page, "latchkey_sessions_ended_total", `{reason="logout"} 0`, `{reason="revoked"} 0`, `{reason="token_reuse"} 0`,
		`{reason="user_disabled"} 0`, `{reason="user_deleted"} 0`, `{reason="session_limit"} 0`, `{reason="superseded"} 0`,
		`{reason="key_revoked"} 0`, `{reason="tenant_disabled"} 0`, `{reason="tenant_deleted"} 0`, `{reason="project_disabled"} 0`, `{reason="other"} 0`)
	wantSeries(t, page, "latchkey_rate_limited_total", `{limit="session"} 0`, `{limit="network"} 0`)
	wantSeries(t, page, "latchkey_claims_flagged_total", `{policy="warn"} 0`, `{policy="reject"} 0`)
	wantSeries(t, page, "latchkey_feed_subscribers", "0")
	wantSeries(t, page, "latchkey_feed_snapshots_total", "0")
	wantSeries(t, page, "latchkey_feed_entries_sent_total", "0")
	wantSeries(t, page, "latchkey_feed_lag_seconds_count", "0")
	wantSeries(t, page, "latchkey_swept_total", `{kind="session"} 0`, `{kind="event"} 0`, `{kind="delivery"} 0`, `{kind="grant"} 0`, `{kind="permission"} 0`, `{kind="project"} 0`, `{kind="revocation"} 0`)
	wantSeries(t, page, "latchkey_webhook_attempts_total", `{outcome="delivered"} 0`, `{outcome="failed"} 0`, `{outcome="dead"} 0`)
	wantSeries(t, page, "latchkey_task_failures_total", `{task="sweep"} 0`, `{task="keys"} 0`)
	wantSeries(t, page, "latchkey_task_last_success_timestamp_seconds", `{task="sweep"} 0`, `{task="keys"} 0`)
	wantSeries(t, page, "latchkey_http_in_flight_requests", "0")
	wantSeries(t, page, "latchkey_store_commit_duration_seconds_count", "0")
	wantSeries(t, page, "latchkey_build_info", fmt.Sprintf(`{goversion=%q,version="v1.2.3"} 1`, runtime.Version()))
}

func TestCounting(t *testing.T) {
	t.Parallel()
	m := metrics(t)
	m.Refreshed(session.Rotate)
	m.Refreshed(session.Rotate)
	m.Refreshed(session.Theft)
	m.Refreshed(session.Create) // no verdict on a refresh
	m.Refreshed(session.Rule(200))
	m.SessionCreated()
	m.SessionsEnded(session.Superseded, 5)
	m.SessionsEnded(session.Logout, 0)
	m.SessionsEnded(session.Logout, -3)
	m.SessionsEnded("whatever", 2)
	m.RateLimited(NetworkLimit)
	m.RateLimited("nothing")
	m.ClaimsFlagged(claim.LintReject)
	m.ClaimsFlagged("nothing")
	m.Swept(Events, 500)
	m.Swept("nothing", 1)
	m.TaskRan(Sweep, nil, time.UnixMilli(1_767_322_445_250))
	m.TaskRan(Sweep, errors.New("disk full"), time.UnixMilli(1_767_322_999_000))
	m.TaskRan("nothing", nil, time.UnixMilli(1))
	m.TaskRan("nothing", io.EOF, time.UnixMilli(1))
	page := scrape(t, m)
	for _, want := range []string{
		`refreshes_total{verdict="rotate"} 2`, `refreshes_total{verdict="theft"} 1`, `refreshes_total{verdict="other"} 2`,
		`sessions_created_total 1`, `sessions_ended_total{reason="superseded"} 5`, `sessions_ended_total{reason="logout"} 0`,
		`sessions_ended_total{reason="token_reuse"} 1`, `sessions_ended_total{reason="other"} 2`,
		`rate_limited_total{limit="network"} 1`, `rate_limited_total{limit="session"} 0`, `claims_flagged_total{policy="reject"} 1`, `swept_total{kind="event"} 500`,
		`task_last_success_timestamp_seconds{task="sweep"} 1.76732244525e+09`, `task_failures_total{task="sweep"} 1`,
	} {
		if !strings.Contains(page, "\nlatchkey_"+want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(page, "nothing") || strings.Contains(page, "whatever") {
		t.Error("a label came from outside")
	}
}

func TestCommits(t *testing.T) {
	t.Parallel()
	m := metrics(t)
	m.Committed(1, 90*time.Microsecond)
	m.Committed(512, 2*time.Second)
	page := scrape(t, m)
	wantSeries(t, page, "latchkey_store_commit_batch_size_bucket", `{le="1"} 1`, `{le="2"} 1`, `{le="4"} 1`, `{le="8"} 1`, `{le="16"} 1`,
		`{le="32"} 1`, `{le="64"} 1`, `{le="128"} 1`, `{le="256"} 1`, `{le="512"} 2`, `{le="+Inf"} 2`)
	wantSeries(t, page, "latchkey_store_commit_duration_seconds_bucket", `{le="0.0001"} 1`, `{le="0.00025"} 1`, `{le="0.0005"} 1`,
		`{le="0.001"} 1`, `{le="0.0025"} 1`, `{le="0.005"} 1`, `{le="0.01"} 1`, `{le="0.025"} 1`, `{le="0.05"} 1`, `{le="0.1"} 1`,
		`{le="0.25"} 1`, `{le="0.5"} 1`, `{le="1"} 1`, `{le="+Inf"} 2`)
	wantSeries(t, page, "latchkey_store_commit_duration_seconds_sum", "2.00009")
}

// Each reason that package session knows has a series of its own.
func TestReasonsAreComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../session/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	inspect := func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" || len(spec.Values) != 1 {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !slices.Contains(reasons(), session.Reason(word)) {
			t.Errorf("%s is counted as other", word)
		}
		found++
		return true
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, inspect)
	}
	if found == 0 || found != len(reasons()) {
		t.Errorf("%d reasons in package session, %d here", found, len(reasons()))
	}
}

func TestRoute(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		m := metrics(t)
		inside := ""
		answers := map[string]http.HandlerFunc{
			"nothing": func(http.ResponseWriter, *http.Request) { inside = scrape(t, m) },
			"body":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") },
			"created": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) },
			"hints":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) },
			"slow":    func(w http.ResponseWriter, _ *http.Request) { <-time.After(30 * time.Millisecond); w.WriteHeader(204) },
			"panic":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) },
			"flush": func(w http.ResponseWriter, _ *http.Request) {
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			},
		}
		for _, name := range []string{"nothing", "body", "created", "hints", "slow", "panic", "flush"} {
			h := m.Route("/" + name).Wrap(answers[name])
			func() {
				defer func() {
					if p := recover(); (p != nil) != (name == "panic") {
						t.Errorf("%s: panic %v", name, p)
					}
				}()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/asked/for", nil))
			}()
		}
		page := scrape(t, m)
		wantSeries(t, page, "latchkey_http_requests_total",
			`{method="POST",route="/nothing",status="200"} 1`, `{method="POST",route="/body",status="200"} 1`,
			`{method="POST",route="/created",status="201"} 1`, `{method="POST",route="/hints",status="404"} 1`,
			`{method="POST",route="/slow",status="204"} 1`, `{method="POST",route="/panic",status="aborted"} 1`,
			`{method="POST",route="/flush",status="200"} 1`)
		for _, want := range []string{`_bucket{route="/slow",le="0.025"} 0`, `_bucket{route="/slow",le="0.05"} 1`, `_sum{route="/slow"} 0.03`,
			`_bucket{route="/body",le="0.0005"} 1`, `_bucket{route="/body",le="5"} 1`} {
			if !strings.Contains(page, "latchkey_http_request_duration_seconds"+want+"\n") {
				t.Errorf("%s is missing", want)
			}
		}
		wantSeries(t, inside, "latchkey_http_in_flight_requests", "1")
		wantSeries(t, page, "latchkey_http_in_flight_requests", "0")
	})
}

// A client chooses the method and, through a broken handler, might choose the status.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics(t)
	r := m.Route("/x")
	for i := range 1000 {
		r.Served(fmt.Sprint("METHOD", i), 200, 0)
		r.Served("get", 200, 0)
		r.Served(http.MethodGet, 600+i, 0)
		r.Served(http.MethodGet, -1-i, 0)
		r.Served(http.MethodGet, 1+i%99, 0)
	}
	wantSeries(t, scrape(t, m), "latchkey_http_requests_total",
		`{method="other",route="/x",status="200"} 2000`, `{method="GET",route="/x",status="other"} 3000`)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := metrics(t)
	r := m.Route("/x")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				use(m)
				r.Served(http.MethodGet, 200+(i+j)%50, time.Millisecond)
				if j%50 == 0 {
					scrape(t, m)
				}
			}
		})
	}
	all.Wait()
	var sum int
	for _, line := range regexp.MustCompile(`http_requests_total\{method="GET",route="/x",status="\d+"\} (\d+)`).FindAllStringSubmatch(scrape(t, m), -1) {
		n, err := strconv.Atoi(line[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 8*200 {
		t.Errorf("%d requests are counted, want %d", sum, 8*200)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	m := metrics(t)
	r := m.Route("/x")
	r.Served(http.MethodPost, 200, 0)
	n := testing.AllocsPerRun(100, func() {
		r.Served(http.MethodPost, 200, time.Millisecond)
		m.Refreshed(session.Rotate)
		m.Committed(8, time.Millisecond)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Two servers in one process don't share their numbers.
func TestRegistriesAreApart(t *testing.T) {
	t.Parallel()
	one, two := metrics(t), metrics(t)
	one.SessionCreated()
	if page := scrape(t, two); !strings.Contains(page, "latchkey_sessions_created_total 0\n") {
		t.Error("one server counts for the other")
	}
	if page := scrape(t, one); !strings.Contains(page, "latchkey_sessions_created_total 1\n") {
		t.Error("a session is lost")
	}
}

func BenchmarkRoute(b *testing.B) {
	m := metrics(b)
	h := m.Route("/x").Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	req := httptest.NewRequest(http.MethodPost, "/x", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.ServeHTTP(w, req)
		}
	})
}
