package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store"
)

func serveCommand(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Serve",
		Long: `Serves until SIGTERM or Ctrl-C, then finishes the requests under way.

Every flag can also be an environment variable or a key of the TOML file named by --config.
The store must have been made by latchkey migrate.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := load(c)
			if err != nil {
				return err
			}
			log := t.logger(cfg)
			for _, w := range cfg.Warnings {
				log.Warn(w)
			}
			return t.serve(c.Context(), cfg, log, func(ctx context.Context, app *server.App, url string) error {
				r := readyFile{URL: url}
				// Keys aren't kept, so they can't be shown; the project can, if it is clear which.
				if only, err := app.Directory.Projects(ctx, id.Project{}, 2); err == nil && len(only) == 1 {
					r.Project, r.Issuer = only[0].ID.String(), app.Tokens.Issuer(only[0].ID)
				}
				return writeReady(cfg.ReadyFile, r)
			})
		},
	}
	config.Flags(c.Flags())
	return c
}

func (t *terminal) logger(cfg config.Config) *slog.Logger {
	return observe.Logger(t.err, cfg.LogFormat, cfg.LogLevel)
}

// serve listens, opens the store, calls ready once requests are accepted, and runs until
// ctx ends.
func (t *terminal) serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(context.Context, *server.App, string) error) error {
	master, err := cfg.MasterRing()
	if err != nil {
		return &usageError{err}
	}
	metrics, err := observe.NewMetrics(version)
	if err != nil {
		return err
	}
	revoked := revocation.NewBell()
	st, err := openStore(ctx, cfg, store.Options{OnCommit: metrics.Committed, OnRevocation: revoked.Ring})
	if err != nil {
		return err
	}
	defer st.Close()
	l, err := net.Listen("tcp", cfg.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program: choose another address with --addr; port 0 picks a free one", cfg.Addr)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	url := cfg.URL(l.Addr())
	app, err := server.Assemble(st, master, url, time.Now)
	if err != nil {
		return err
	}
	if err := app.Unlock(ctx); err != nil {
		return err
	}
	srv, err := server.New(server.Deps{Config: cfg, App: app, Log: log, Metrics: metrics, PublicURL: url, Version: version, Revoked: revoked})
	if err != nil {
		return err
	}
	if err := ready(ctx, app, url); err != nil {
		return err
	}
	log.Info("serving", "url", url, "addr", l.Addr().String(), "version", version)
	return srv.Run(ctx, l)
}
