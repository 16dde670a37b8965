// Command api is a service that others call with a session token in the Authorization
// header. It only verifies: nothing is asked of the Latchkey server for a request, and it
// needs no key that could do more than follow revocations.
//
// Start a server with "go run ./cmd/latchkey dev", copy its ISSUER and KEY, and run
//
//	LATCHKEY_ISSUER=$ISSUER LATCHKEY_KEY=$KEY go run ./examples/api
//
// In production give it a key of the kind verify instead.
package main

import (
	"context"
	"encoding/json"
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
)

func main() {
	addr := flag.String("addr", "localhost:8001", "where to listen")
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
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key, Logger: log})
	if err != nil {
		return err
	}
	handler, err := newAPI(verifier)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	// Keeps the key set fresh and follows the revocation feed, so that a session that ends
	// is refused here within a second.
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

// newAPI is the service. Each route says what it asks of a session.
func newAPI(verifier *latchkey.Verifier) (http.Handler, error) {
	// Callers send their token in the Authorization header. A cookie that a browser sends by
	// itself doesn't count here.
	auth, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, HeaderOnly: true})
	if err != nil {
		return nil, err
	}
	twoFactors := auth.Require(latchkey.Requirement{AMR: []string{"mfa"}})
	// Money moves: the sign-in has to be recent, and while it isn't known whether the
	// session was revoked, the answer is 503. The other routes go on through an outage.
	careful := auth.Require(latchkey.Requirement{MaxAge: 10 * time.Minute, Strict: true})

	mux := http.NewServeMux()
	mux.Handle("GET /me", auth.Required(http.HandlerFunc(me)))
	mux.Handle("GET /statements", twoFactors(http.HandlerFunc(statements)))
	mux.Handle("POST /payments", careful(http.HandlerFunc(pay)))
	return mux, nil
}

// caller is what the token says of who calls.
type caller struct {
	User    string    `json:"user"`
	Session string    `json:"session"`
	Methods []string  `json:"methods"`
	Until   time.Time `json:"until"`
}

func me(w http.ResponseWriter, r *http.Request) {
	c, _ := latchkey.FromContext(r.Context()) // Required has seen to it
	answer(w, http.StatusOK, caller{c.Subject, c.SessionID, c.AMR, c.ExpiresAt})
}

func statements(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, []string{"2026-10", "2026-11"})
}

func pay(w http.ResponseWriter, r *http.Request) {
	c, _ := latchkey.FromContext(r.Context())
	answer(w, http.StatusAccepted, map[string]string{"paidBy": c.Subject})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // it is one user's
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
