package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	good := plan{sessions: 1, clients: 1, lasts: time.Second, format: "jwt"}
	for want, change := range map[string]func(*plan){
		"":           func(*plan) {},
		"--sessions": func(p *plan) { p.sessions = 0 }, "--sessions is": func(p *plan) { p.sessions = 100_000_001 },
		"--clients": func(p *plan) { p.clients = -1 }, "--clients is": func(p *plan) { p.clients = 10_001 },
		"--duration": func(p *plan) { p.lasts = time.Second - 1 }, "--duration is": func(p *plan) { p.lasts = time.Hour + 1 },
		"--format": func(p *plan) { p.format = "JWT" },
	} {
		p := good
		change(&p)
		if err := p.check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

// generate runs the generator for a moment against a handler.
func generate(t *testing.T, clients, tokens int, lasts time.Duration, h http.HandlerFunc) (figures, []string, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	g := &generator{addr: server.Listener.Addr().String(), path: "/refresh", clients: clients, lasts: lasts, ticked: func(int64, time.Duration) {}}
	for i := range tokens {
		g.tokens = append(g.tokens, fmt.Sprintf("token-%d-0", i))
	}
	f, err := g.run(t.Context())
	return f, g.tokens, err
}

// Each refresh presents what the one before it got, and no two clients share a token.
func TestGenerator(t *testing.T) {
	var mu sync.Mutex
	last := map[string]int{}
	var wrong atomic.Int64
	f, tokens, err := generate(t, 3, 7, 50*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var in struct{ RefreshToken string }
		var i, n int
		if err := json.Unmarshal(body, &in); err != nil || r.Method != "POST" || r.URL.Path != "/refresh" || r.Header.Get("Content-Type") != "application/json" {
			wrong.Add(1)
		}
		fmt.Sscanf(in.RefreshToken, "token-%d-%d", &i, &n)
		mu.Lock()
		if key := fmt.Sprint(i); last[key] != n {
			wrong.Add(1)
		} else {
			last[key] = n + 1
		}
		mu.Unlock()
		// As the server does: the tokens somewhere in the answer, and a Content-Length.
		answer := fmt.Sprintf(`{"sessionToken":"%s","refreshToken":"token-%d-%d","serverTime":""}`, strings.Repeat("s", 500), i, n+1)
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		io.WriteString(w, answer)
	})
	if err != nil || f.Failed != 0 || wrong.Load() != 0 {
		t.Fatalf("%+v, %v, %d wrong requests", f, err, wrong.Load())
	}
	sum := 0
	for i, token := range tokens {
		n := last[fmt.Sprint(i)]
		if sum += n; token != fmt.Sprintf("token-%d-%d", i, n) {
			t.Errorf("token %d is %s after %d refreshes", i, token, n)
		}
	}
	if f.Requests != sum || f.Requests < 7 || f.PerSecond <= 0 || f.P50 <= 0 || f.P50 > f.P95 || f.P95 > f.P99 || f.P99 > f.Max {
		t.Errorf("%+v after %d requests", f, sum)
	}
}

// More clients than tokens: those without one stay idle rather than share.
func TestGeneratorWithFewTokens(t *testing.T) {
	var connections atomic.Int64
	f, _, err := generate(t, 5, 2, 20*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		connections.Add(1)
		io.WriteString(w, `{"refreshToken":"x"}`)
	})
	if err != nil || f.Requests != int(connections.Load()) || f.Failed != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

// What isn't a token set counts as failed, with the first reason.
func TestGeneratorFailures(t *testing.T) {
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code":"token_reuse"}`, http.StatusUnauthorized)
		}, "token_reuse"},
		"no token":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"sessionToken":"x"}`) }, "no refresh token"},
		"cut":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"refreshToken":"x`) }, "no refresh token"},
		"streamed":  {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); io.WriteString(w, "{}") }, "Content-Length"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		f, tokens, err := generate(t, 1, 1, 30*time.Millisecond, c.answer)
		if err == nil || !strings.Contains(f.FirstFail, c.want) || !strings.Contains(err.Error(), c.want) || f.Failed == 0 || f.Failed > 1001 {
			t.Errorf("%s: %+v, %v", what, f, err)
		}
		if !slices.Equal(tokens, []string{"token-0-0"}) {
			t.Errorf("%s: the client holds %q now", what, tokens)
		}
	}
}

// A failure now and then is counted, and the others go on over a fresh connection.
func TestGeneratorGoesOn(t *testing.T) {
	var n atomic.Int64
	f, _, err := generate(t, 2, 4, 50*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%5 == 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"refreshToken":"x"}`)
	})
	if err != nil || f.Requests == 0 || f.Failed == 0 || !strings.Contains(f.FirstFail, "503") {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestGeneratorWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	l.Close()
	g := &generator{addr: l.Addr().String(), clients: 1, lasts: time.Second, tokens: []string{"a"}, ticked: func(int64, time.Duration) {}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := g.run(ctx); err == nil || f.FirstFail == "" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestSummary(t *testing.T) {
	times := func(ms ...int) (all []time.Duration) {
		for _, n := range ms {
			all = append(all, time.Duration(n)*time.Millisecond)
		}
		return all
	}
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, 100-i)
	}
	f, err := summary([]*client{{times: times(hundred[:50]...)}, {times: times(hundred[50:]...), failed: 3, err: io.EOF}}, 2*time.Second)
	if want := (figures{Requests: 100, Failed: 3, PerSecond: 50, P50: 51, P95: 96, P99: 100, Max: 100, FirstFail: "EOF"}); err != nil || f != want {
		t.Errorf("%+v, %v, want %+v", f, err, want)
	}
	one, err := summary([]*client{{times: times(7)}}, time.Second)
	if err != nil || one.P50 != 7 || one.Max != 7 {
		t.Errorf("%+v, %v", one, err)
	}
	mean := f.mean(figures{Requests: 1, PerSecond: 100, P50: 1, Max: 7})
	if mean.Requests != 101 || mean.PerSecond != 75 || mean.P50 != 26 || mean.Max != 100 || mean.Failed != 3 {
		t.Errorf("the mean is %+v", mean)
	}
}

// The ceiling answers what the generator understands, and refuses what it can't read.
func TestCeiling(t *testing.T) {
	h, err := ceilingHandler(2)
	check(t, err)
	f, tokens, err := generate(t, 1, 1, 20*time.Millisecond, h.ServeHTTP)
	if err != nil || f.Failed != 0 || tokens[0] != "token-0-0" {
		t.Errorf("%+v, %v, %q", f, err, tokens)
	}
	out := httptest.NewRecorder()
	if h.ServeHTTP(out, httptest.NewRequest("POST", "/refresh", strings.NewReader("{"))); out.Code != http.StatusBadRequest {
		t.Errorf("%d %s", out.Code, out.Body)
	}
}

func TestProcessFigures(t *testing.T) {
	if runtime.GOOS == "linux" {
		if mib := resident(os.Getpid()); mib < 1 || mib > 10_000 {
			t.Errorf("this process takes %v MiB", mib)
		}
	}
	const none = 1 << 30 // more than any system has processes
	if cpuTime(none) != 0 || resident(none) != 0 {
		t.Error("a process that isn't there has figures")
	}
}
