// Command vault is the web application of examples/webapp with its tokens in a vault: the
// browser holds an opaque cookie, the tokens stay on the application's server (a backend
// for frontend). It also passes requests on to another service, with the session's token.
//
// Start a server with "go run ./cmd/latchkey dev", copy its ISSUER and KEY, and run
//
//	LATCHKEY_ISSUER=$ISSUER LATCHKEY_KEY=$KEY go run ./examples/vault
//
// Beside it run examples/api: what is under /api/ here goes there.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/examples/webapp/site"
	"github.com/latchkey-dev/latchkey/vault"
)

func main() {
	addr := flag.String("addr", "localhost:8002", "where to listen")
	upstream := flag.String("upstream", "http://localhost:8001", "the service behind /api/")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, log, *addr, *upstream, os.Getenv("LATCHKEY_ISSUER"), os.Getenv("LATCHKEY_KEY")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, addr, upstream, issuer, key string) error {
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key, Logger: log})
	if err != nil {
		return err
	}
	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
	if err != nil {
		return err
	}
	users := site.NewUsers(site.Rounds)
	if err := users.Add(demoUser(), demoPassword); err != nil {
		return err
	}
	handler, err := newHandler(log, upstream, verifier, client, users)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	// Follows the revocation feed, so that a session that ends elsewhere ends here within a
	// second.
	go verifier.Run(ctx)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
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

// newHandler is the site of examples/webapp, with one difference: MiddlewareConfig.Tokens
// is a vault.
func newHandler(log *slog.Logger, upstream string, verifier *latchkey.Verifier, client *latchkey.Client, users *site.Users) (http.Handler, error) {
	tokens, err := newVault()
	if err != nil {
		return nil, err
	}
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{
		Verifier: verifier, Client: client, Tokens: tokens, SignInURL: site.SignInPath, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	pages, err := site.New(site.Config{
		Title: "Webapp with a vault", Hint: "For this demo: alice@example.com with the password “" + demoPassword + "”.",
		Sessions: sessions, Client: client, Users: users, Log: log,
	})
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	proxy, err := tokens.Proxy(vault.ProxyConfig{Target: target, Logger: log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	// The service gets the token, the page gets the answer.
	mux.Handle("/api/", sessions.Required(http.StripPrefix("/api", proxy)))
	return mux, nil
}

// newVault keeps everything in the memory of this process, key included: whoever is signed
// in is signed out when it ends. Take one of the other stores of scs (PostgreSQL, Redis,
// …) and a key from where your secrets are, and sessions outlive a restart.
func newVault() (*vault.Store, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return vault.New(vault.Config{Entries: memstore.New(), Keys: []string{hex.EncodeToString(key)}})
}

// demoUser is the user of the demo. Yours are in a database.
func demoUser() site.User {
	return site.User{ID: "1", Email: "alice@example.com", Name: "Alice Example"}
}

const demoPassword = "open sesame"
