package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/server"
)

// pipes is a listener without a network, so that a synctest bubble holds all of it.
type pipes struct {
	connections chan net.Conn
	once        sync.Once
	closed      chan struct{}
}

func newPipes() *pipes { return &pipes{connections: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.connections <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running is a server that serves in a synctest bubble.
type running struct {
	*world
	client  *http.Client
	pipes   *pipes
	sigterm context.CancelFunc
	ended   chan error
}

func run(t *testing.T, change func(*server.Deps)) *running {
	t.Helper()
	w := newWorld(t, slog.LevelInfo, change)
	p := newPipes()
	transport := &http.Transport{DialContext: p.dial}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{world: w, pipes: p, client: &http.Client{Transport: transport}, sigterm: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- w.server.Run(ctx, p) }()
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
	})
	return r
}

// get asks and returns the answer, whose body is still to be read.
func (r *running) get(path string) (*http.Response, error) {
	return r.client.Get("http://latchkey" + path)
}

func (r *running) answers(path string, status int) *http.Response {
	r.t.Helper()
	answer, err := r.get(path)
	if err != nil {
		r.t.Fatal(err)
	}
	body := read(r.t, answer.Body)
	if answer.StatusCode != status {
		r.t.Errorf("%s answers %d %s, want %d", path, answer.StatusCode, body, status)
	}
	return answer
}

// hold makes requests for /readyz wait, with what else they do, and returns what lets
// them go on.
func (r *running) hold() (release func()) {
	gate := make(chan struct{})
	r.store.ping = func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

// inFlight starts a request that waits, and returns what it will have been answered.
func (r *running) inFlight() (answered chan int) {
	answered = make(chan int, 1)
	go func() {
		answer, err := r.get("/readyz")
		if err != nil {
			answered <- 0
			return
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			answered <- -1
			return
		}
		answered <- answer.StatusCode
	}()
	synctest.Wait()
	return answered
}

func quick(d *server.Deps) { d.Config.DrainTimeout = 20 * time.Second }

func TestDrainFinishesWhatIsUnderWay(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, quick)
		r.answers("/livez", http.StatusOK)
		release := r.hold()
		answered := r.inFlight()

		r.sigterm()
		synctest.Wait()
		select {
		case err := <-r.ended:
			t.Fatalf("ended over a request: %v", err)
		case status := <-answered:
			t.Fatalf("the request was answered %d", status)
		default:
		}
		fresh := http.Client{Transport: &http.Transport{DialContext: r.pipes.dial}}
		if _, err := fresh.Get("http://latchkey/livez"); err == nil {
			t.Error("a new connection is taken while draining")
		}

		release()
		if status := <-answered; status != http.StatusOK {
			t.Errorf("the request was answered %d", status)
		}
		if err := <-r.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if _, text := r.log.take(t); !strings.Contains(text, `"draining`) || !strings.Contains(text, `"drained"`) {
			t.Errorf("the log doesn't tell: %s", text)
		}
	})
}

// Readiness fails first, so that a load balancer turns away before anything is refused.
func TestDrainFailsReadinessFirst(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, func(d *server.Deps) { d.Config.ShutdownDelay = 10 * time.Second })
		r.answers("/readyz", http.StatusOK)
		start := time.Now()
		r.sigterm()
		synctest.Wait()
		answer, err := r.get("/readyz")
		r.must(err)
		problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusServiceUnavailable, latchkey.CodeUnavailable)
		if answer.Header.Get("Retry-After") == "" {
			t.Error("it doesn't say when to try again")
		}
		// Whoever hasn't noticed yet is served.
		for range 3 {
			r.answers("/livez", http.StatusOK)
			r.answers("/docs", http.StatusOK)
		}
		if err := <-r.ended; err != nil || time.Since(start) < 10*time.Second || time.Since(start) > 11*time.Second {
			t.Errorf("ended after %v with %v", time.Since(start), err)
		}
	})
}

func TestDrainTimeout(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, quick)
		r.hold()
		answered := r.inFlight()
		start := time.Now()
		r.sigterm()
		err := <-r.ended
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") || time.Since(start) != 20*time.Second {
			t.Errorf("ended after %v with %v", time.Since(start), err)
		}
		if status := <-answered; status > 0 {
			t.Errorf("the request was answered %d", status)
		}
	})
}

// A connection on which nothing is asked doesn't hold the drain up.
func TestDrainClosesIdleConnections(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, quick)
		silent, err := r.pipes.dial(t.Context(), "", "")
		r.must(err)
		defer silent.Close()
		idle, err := r.pipes.dial(t.Context(), "", "")
		r.must(err)
		defer idle.Close()
		go io.WriteString(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(idle), nil)
		r.must(err)
		read(t, answer.Body)
		start := time.Now()
		r.sigterm()
		if err := <-r.ended; err != nil || time.Since(start) > 10*time.Second {
			t.Errorf("ended after %v with %v", time.Since(start), err)
		}
		if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the idle connection: %v", err)
		}
	})
}

// Somebody who sends a request a byte at a time is cut off.
func TestSlowHeaders(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, quick)
		c, err := r.pipes.dial(t.Context(), "", "")
		r.must(err)
		start := time.Now()
		_, err = io.WriteString(c, "GET /livez HTTP/1.1\r\n")
		r.must(err)
		b, err := io.ReadAll(c)
		if took := time.Since(start); err != nil || took > 15*time.Second {
			t.Errorf("%q after %v, %v", b, took, err)
		}
	})
}

// Run returns what Serve met, with its workers stopped.
func TestListenerFails(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		r := run(t, quick)
		r.answers("/livez", http.StatusOK)
		r.pipes.Close()
		if err := <-r.ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	})
}
