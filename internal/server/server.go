package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/limit"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/outbound"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Limits on what a stranger may send and how slowly.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeader         = 32 << 10 // the largest token and room for a proxy's headers

	drainRetry = time.Second
)

// Deps is what a Server stands on.
type Deps struct {
	Config    config.Config
	App       *App
	Log       *slog.Logger
	Metrics   *observe.Metrics
	PublicURL string
	Version   string

	// Revoked is the bell that the store rings after each revocation; nil: they are
	// found by looking.
	Revoked *revocation.Bell
}

// Server is one process that serves the faces. Run it once.
type Server struct {
	deps     Deps
	edge     wire.Edge
	handler  http.Handler
	draining atomic.Bool
	feed     *revocation.Hub
	events   *audit.Watch
	webhooks *webhook.Dispatcher
	closing  chan struct{} // closed when requests under way have to come to an end
}

// New returns a Server that isn't running yet.
func New(d Deps) (*Server, error) {
	s := &Server{deps: d, closing: make(chan struct{})}
	s.edge = wire.Edge{Report: s.refused}
	authentic, err := limiter(d.Config.NetworkLimit, d.App.Now())
	if err != nil {
		return nil, err
	}
	junk, err := limiter(d.Config.NetworkLimit, d.App.Now())
	if err != nil {
		return nil, err
	}
	changes, err := limiter(changesPerMinute, d.App.Now())
	if err != nil {
		return nil, err
	}
	s.feed, err = revocation.NewHub(revocation.HubConfig{
		Store: d.App.Store.Revocations(), Now: d.App.Now, Bell: d.Revoked, Log: d.Log, MaxSubscribers: d.Config.FeedSubscribers,
	})
	if err != nil {
		return nil, err
	}
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	api, err := native.New(native.Deps{
		Tokens: d.App.Tokens, Sessions: d.App.Sessions, Directory: d.App.Directory, Keys: d.App.Keys, Documents: d.App.Documents, Events: d.App.Store.Events(), EventWatch: s.events, Webhooks: hooks,
		Limiter: authentic, Junk: junk, Changes: changes, Counter: counter{d.Metrics}, Revocations: s.feed, FeedMeter: d.Metrics, Draining: s.closing, Proxies: d.Config.TrustedProxies, Edge: s.edge,
		PublicURL: d.PublicURL, Version: d.Version, Now: d.App.Now,
	})
	if err != nil {
		return nil, err
	}
	s.handler = s.mount(api)
	return s, nil
}

// hooks makes what follows the events and delivers them to webhooks, and returns what
// applications do with theirs.
func (s *Server) hooks() (*webhook.Service, error) {
	app := s.deps.App
	var err error
	if s.events, err = audit.NewWatch(app.Store.Events(), s.deps.Log); err != nil {
		return nil, err
	}
	sender := outbound.New(outbound.Config{Networks: s.deps.Config.WebhookNetworks, Version: s.deps.Version, Now: app.Now})
	s.webhooks, err = webhook.NewDispatcher(webhook.DispatcherDeps{
		Store: app.Store.Webhooks(), Outbox: app.Store.Outbox(), Events: app.Store.Events(), Watch: s.events, Master: app.Master, Sender: sender,
		Meter: s.deps.Metrics, Now: app.Now, Log: s.deps.Log,
	})
	if err != nil {
		return nil, err
	}
	return webhook.New(webhook.Deps{
		Store: app.Store.Webhooks(), Master: app.Master, Networks: s.deps.Config.WebhookNetworks, Sender: sender, Now: app.Now,
	})
}

// counter tells the metrics what a face counts.
type counter struct{ *observe.Metrics }

func (c counter) RateLimited(by string) { c.Metrics.RateLimited(observe.Limit(by)) }

// changesPerMinute is how often the client of a session may change its claims.
const changesPerMinute = 10

// limiter bounds what one network may ask; 0 is no limit.
func limiter(perMinute int, now time.Time) (native.Limiter, error) {
	if perMinute == 0 {
		return unlimited{}, nil
	}
	return limit.New(perMinute, limit.Capacity, now)
}

type unlimited struct{}

func (unlimited) Allow(netip.Prefix, time.Time) (bool, time.Duration) { return true, 0 }

// Handler returns the whole server as a handler, for tests and benchmarks.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves on l until ctx ends, then drains: readiness fails first, requests under
// way are finished within the configured time, and the workers stop last. It owns every
// goroutine and returns when all have ended.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers sync.WaitGroup
	workers.Go(func() {
		(&Workers{
			App: s.deps.App, Log: s.deps.Log, KeepEnded: s.deps.Config.KeepEnded, KeepEvents: s.deps.Config.KeepEvents,
			Metrics: s.deps.Metrics,
		}).Run(work)
	})
	workers.Go(func() { s.feed.Run(work) })
	workers.Go(func() { s.events.Run(work) })
	workers.Go(func() { s.webhooks.Run(work) })
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
	}
	// Streams last until they are told to end: waiting for them would take the whole
	// timeout of the drain.
	srv.RegisterOnShutdown(func() { close(s.closing) })
	served := make(chan error, 1)
	workers.Go(func() { served <- srv.Serve(l) })
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.drain(srv)
	}
	stop()
	workers.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) drain(srv *http.Server) error {
	s.draining.Store(true)
	s.deps.Log.Info("draining: finishing the requests under way", "timeout", s.deps.Config.DrainTimeout.String())
	// A load balancer needs a moment to see that readiness fails.
	if d := s.deps.Config.ShutdownDelay; d > 0 {
		time.Sleep(d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.deps.Config.DrainTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		srv.Close()
		return fmt.Errorf("some requests were cut off: they took longer than the drain timeout: %w", err)
	}
	s.deps.Log.Info("drained")
	return nil
}
