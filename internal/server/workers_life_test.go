package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// A deleted project stays for as long as verifiers may need it, its keys as they are, and
// is removed then with all that it has.
func TestRoundErasesDeletedProjects(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		gone, kept := w.project(), w.project()
		w.sessions(gone, w.user(gone), 450, 365*day)
		w.sessions(kept, w.user(kept), 3, 365*day)
		if _, err := w.app.Directory.DeleteProject(t.Context(), gone.ID, operator); err != nil {
			t.Fatal(err)
		}
		before := w.keys(gone.ID)
		workers := w.workers()
		find := func() error { _, err := w.app.Directory.Project(context.Background(), gone.ID); return err }
		for range 20 { // of the token's life and the leeway
			workers.Round(t.Context())
			if err := find(); err != nil {
				t.Fatalf("removed after %v: %v", w.clock.Now().Sub(gone.CreatedAt), err)
			}
			w.clock.Move(time.Minute)
			time.Sleep(time.Minute)
		}
		if after := w.keys(gone.ID); len(after) != len(before) || after[0] != key.Active {
			t.Errorf("the keys %v became %v", before, after)
		}
		w.clock.Move(time.Minute)
		time.Sleep(time.Minute)
		workers.Round(t.Context())
		if err := find(); fault.KindOf(err) != fault.NotFound {
			t.Fatalf("the project is still there: %v", err)
		}
		if n := w.stored(gone, ""); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		if n := w.stored(kept, session.Active); n != 3 {
			t.Errorf("the other project has %d of 3 sessions", n)
		}
		if p, err := w.app.Directory.Project(t.Context(), kept.ID); err != nil || p.Status != directory.Enabled {
			t.Errorf("the other project: %+v, %v", p, err)
		}
		if _, text := w.log.take(t); !strings.Contains(text, `"kind":"project"`) {
			t.Errorf("the log doesn't tell: %s", text)
		}
	})
}
