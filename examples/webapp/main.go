// Command webapp is a web application with sign-in, whose sessions Latchkey looks after.
// The application's own server keeps the tokens in cookies of its own host; there is
// nothing to set up at the Latchkey server, and it works on localhost.
//
// Start a server with "go run ./cmd/latchkey dev", copy its ISSUER and KEY, and run
//
//	LATCHKEY_ISSUER=$ISSUER LATCHKEY_KEY=$KEY go run ./examples/webapp
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/examples/webapp/site"
)

func main() {
	addr := flag.String("addr", "localhost:8000", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, log, *addr, os.Getenv("LATCHKEY_ISSUER"), os.Getenv("LATCHKEY_KEY")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, addr, issuer, key string) error {
	// A verifier checks session tokens without asking anybody.
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key, Logger: log})
	if err != nil {
		return err
	}
	users := site.NewUsers(site.Rounds)
	// The users of the demo. Yours are in a database.
	for _, u := range []site.User{{ID: "1", Email: "alice@example.com", Name: "Alice Example"}, {ID: "2", Email: "bob@example.com", Name: "Bob Example"}} {
		if err := users.Add(u, demoPassword); err != nil {
			return err
		}
	}
	handler, err := newSite(log, issuer, key, verifier, users)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	// Follows the revocation feed, so that a session that ends elsewhere ends here within a
	// second.
	go verifier.Run(ctx)
	host, _, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	log.Info("serving", "url", "http://"+net.JoinHostPort(host, port))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		// Requests under way are finished.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(ending)
	}
}

// newSite puts the site together: a client speaks to the server, and the middleware stands
// in front of pages.
func newSite(log *slog.Logger, issuer, key string, verifier *latchkey.Verifier, users *site.Users) (http.Handler, error) {
	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
	if err != nil {
		return nil, err
	}
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{
		Verifier: verifier, Client: client, SignInURL: site.SignInPath, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return site.New(site.Config{
		Title: "Webapp", Hint: "For this demo: alice@example.com or bob@example.com with the password “" + demoPassword + "”.",
		Sessions: sessions, Client: client, Users: users, Log: log,
	})
}

const demoPassword = "open sesame"
