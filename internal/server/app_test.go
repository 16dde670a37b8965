package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
)

func TestUnlock(t *testing.T) {
	w := newApp(t, slog.LevelError)
	text := secret.NewMasterKey().Reveal()
	// unlock tries master keys on the store, and leaves them with it.
	unlock := func(keys string) error {
		t.Helper()
		ring, err := secret.ParseRing(secret.New(keys))
		w.must(err)
		app, err := server.Assemble(w.store, ring, publicURL, w.clock.Now)
		w.must(err)
		w.app = app
		return app.Unlock(t.Context())
	}
	if err := unlock(text); err != nil {
		t.Fatalf("without a project: %v", err)
	}
	first := w.project()
	if err := unlock(text); err != nil {
		t.Errorf("with the right key: %v", err)
	}
	other := secret.NewMasterKey().Reveal()
	if err := unlock(other); err == nil || !strings.Contains(err.Error(), first.ID.String()) || strings.Contains(err.Error(), other) {
		t.Errorf("with another key: %v", err)
	}
	// While the first line seals, those below still open.
	if err := unlock(other + "\n" + text); err != nil {
		t.Errorf("with the right key below another: %v", err)
	}
	second := w.project()
	if err := unlock(text); err == nil || !strings.Contains(err.Error(), second.ID.String()) {
		t.Errorf("with the key of the first project alone: %v", err)
	}
}

// A project whose creation was cut off before its first key gets one.
func TestUnlockCompletesAProject(t *testing.T) {
	w := newApp(t, slog.LevelError)
	p, err := w.app.Directory.CreateProject(t.Context(), "cut off", w.app.Master, audit.Origin{Actor: audit.CLI})
	w.must(err)
	if keys, err := w.app.Keys.List(t.Context(), p.ID); err != nil || len(keys) != 0 {
		t.Fatalf("it has keys already: %v, %v", keys, err)
	}
	w.must(w.app.Unlock(t.Context()))
	w.must(w.app.Unlock(t.Context()))
	if keys, err := w.app.Keys.List(t.Context(), p.ID); err != nil || len(keys) != 1 || keys[0].State != key.Active {
		t.Errorf("keys %+v, %v", keys, err)
	}
}

func TestGoneCallerIsNoFailure(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	w.store.ping = func(context.Context) error { return context.Canceled }
	if out := w.ask("GET", "/readyz", ""); out.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	if entries, text := w.log.take(t); len(entries) != 0 {
		t.Errorf("it is logged as a failure: %s", text)
	}
}
