package directory_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// contested lets others change the settings just before the service does.
type contested struct {
	directory.ProjectStore
	rivals int // how many changes meet a rival
	tries  int
	rival  func()
	broken error
}

func (s *contested) ChangeSettings(ctx context.Context, p id.Project, version int64, n latchkey.Settings, e audit.Event) error {
	if s.tries++; s.tries <= s.rivals {
		s.rival()
	}
	if s.broken != nil {
		return s.broken
	}
	return s.ProjectStore.ChangeSettings(ctx, p, version, n, e)
}

func (w *world) contested(rivals int) *contested {
	s := &contested{ProjectStore: w.store.Projects(), rivals: rivals}
	s.rival = func() {
		p, err := s.Find(w.t.Context(), w.project)
		if err != nil {
			w.t.Fatal(err)
		}
		p.Settings.Audience = append(p.Settings.Audience, "rival")
		if err := s.ProjectStore.ChangeSettings(w.t.Context(), w.project, p.Version, p.Settings, w.event(audit.SettingsChanged)); err != nil {
			w.t.Fatal(err)
		}
	}
	d := w.deps()
	d.Projects = s
	w.on(d)
	return s
}

func (w *world) patch(patch string) (latchkey.SettingsAnswer, error) {
	w.t.Helper()
	return w.ChangeSettings(w.t.Context(), w.project, []byte(patch), operator)
}

func (w *world) settings() latchkey.SettingsAnswer {
	w.t.Helper()
	answer, err := w.Settings(w.t.Context(), w.project)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	want := latchkey.SettingsAnswer{Settings: policy.Defaults(), Warnings: []latchkey.Warning{}, Version: 1}
	if got := w.settings(); !reflect.DeepEqual(got, want) {
		t.Errorf("a new project has\n%+v, want\n%+v", got, want)
	}
	for _, step := range []struct {
		patch string
		apply func(*latchkey.Settings)
		warns int
	}{
		{`{"sessionTokenTTL":"5m"}`, func(s *latchkey.Settings) { s.SessionTokenTTL = latchkey.Duration(5 * time.Minute) }, 0},
		{`{"cookies":{"path":"/app"}}`, func(s *latchkey.Settings) { s.Cookies.Path = "/app" }, 0},
		{`{"sessionTokenTTL":"2h","reuseWindow":"off"}`, func(s *latchkey.Settings) {
			s.SessionTokenTTL, s.ReuseWindow = latchkey.Duration(2*time.Hour), 0
		}, 2},
		{`{"audience":["api"]}`, func(s *latchkey.Settings) { s.Audience = []string{"api"} }, 2},
		{`{"sessionTokenTTL":null,"reuseWindow":null,"audience":null,"cookies":null}`, func(s *latchkey.Settings) { *s = policy.Defaults() }, 0},
	} {
		want.Version++
		step.apply(&want.Settings)
		got, err := w.patch(step.patch)
		if err != nil {
			t.Fatalf("%s: %v", step.patch, err)
		}
		if len(got.Warnings) != step.warns || got.Warnings == nil {
			t.Errorf("%s warns %+v", step.patch, got.Warnings)
		}
		want.Warnings = got.Warnings
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s answers\n%+v, want\n%+v", step.patch, got, want)
		}
		if stored := w.settings(); !reflect.DeepEqual(stored, want) {
			t.Errorf("%s stores\n%+v, want\n%+v", step.patch, stored, want)
		}
		if e := w.expect(audit.SettingsChanged)[0]; !reflect.DeepEqual(e.Data, map[string]any{"patch": step.patch}) {
			t.Errorf("the event says %v", e.Data)
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	w := newWorld(t)
	before := w.settings()
	for patch, c := range map[string]struct {
		kind  fault.Kind
		wrong string
	}{
		``:        {fault.Invalid, ""},
		`[]`:      {fault.Invalid, ""},
		`{"a":1}`: {fault.Invalid, "/a"},
		`{"sessionTokenTTL":"5m","SessionTokenTTL":"5m"}`:        {fault.Invalid, "/SessionTokenTTL"},
		`{"sessionTokenTTL":"5m","reuseWindow":7}`:               {fault.Invalid, "/reuseWindow"},
		`{"sessionTokenTTL":"30s","clockSkew":"1h"}`:             {fault.OutOfRange, "/sessionTokenTTL /clockSkew"},
		`{"sessionTokenTTL":"10m","absoluteTimeout":"5m"}`:       {fault.Contradiction, "/sessionTokenTTL /absoluteTimeout"},
		`{"absoluteTimeout":"5m"}`:                               {fault.Contradiction, "/sessionTokenTTL /absoluteTimeout"},
		`{"onLimit":"maybe","cookies":{"sessionName":"DSR"}}`:    {fault.OutOfRange, "/onLimit /cookies/sessionName /cookies/refreshName"},
		`{"audience":["ok",""],"approvedOrigins":["http://a/"]}`: {fault.Invalid, "/audience/1 /approvedOrigins/0"},
	} {
		answer, err := w.patch(patch)
		refused(t, err, c.kind)
		if got := at(err); got != c.wrong {
			t.Errorf("%s is wrong at %q, want %q", patch, got, c.wrong)
		}
		if !reflect.DeepEqual(answer, latchkey.SettingsAnswer{}) {
			t.Errorf("%s is answered %+v", patch, answer)
		}
	}
	w.expect()
	if after := w.settings(); !reflect.DeepEqual(after, before) {
		t.Errorf("refused changes made\n%+v of\n%+v", after, before)
	}
}

// What was stored under wider ranges can still be read, with the reason in a warning.
func TestSettingsOutsideTodaysRanges(t *testing.T) {
	w := newWorld(t)
	s := policy.Defaults()
	s.ClockSkew = latchkey.Duration(time.Hour)
	if err := w.store.Projects().ChangeSettings(t.Context(), w.project, 1, s, w.event(audit.SettingsChanged)); err != nil {
		t.Fatal(err)
	}
	got := w.settings()
	if !reflect.DeepEqual(got.Settings, s) || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0].Detail, "/clockSkew") {
		t.Errorf("%+v", got)
	}
	_, err := w.patch(`{"audience":["api"]}`)
	refused(t, err, fault.OutOfRange)
	if _, err := w.patch(`{"clockSkew":null,"audience":["api"]}`); err != nil {
		t.Errorf("the way back is closed: %v", err)
	}
}

func TestSettingsOfNoProject(t *testing.T) {
	w := newWorld(t)
	none := id.NewProject(start)
	_, err := w.Settings(t.Context(), none)
	refused(t, err, fault.NotFound)
	_, err = w.ChangeSettings(t.Context(), none, []byte(`{}`), operator)
	refused(t, err, fault.NotFound)
}

// A change that lost against another one is made again on what the other left.
func TestSettingsRetried(t *testing.T) {
	w := newWorld(t)
	s := w.contested(3)
	answer, err := w.patch(`{"sessionTokenTTL":"5m"}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.tries != 4 || answer.Version != 5 {
		t.Errorf("%d tries, version %d", s.tries, answer.Version)
	}
	if len(answer.Settings.Audience) != 3 || answer.Settings.SessionTokenTTL != latchkey.Duration(5*time.Minute) {
		t.Errorf("changes were lost: %+v", answer.Settings)
	}
	if stored := w.settings(); !reflect.DeepEqual(stored, answer) {
		t.Errorf("stored\n%+v, answered\n%+v", stored, answer)
	}
}

func TestSettingsGiveUp(t *testing.T) {
	w := newWorld(t)
	s := w.contested(15)
	_, err := w.patch(`{"sessionTokenTTL":"5m"}`)
	refused(t, err, fault.Conflict)
	if s.tries < 2 || s.tries > 10 {
		t.Errorf("gave up after %d tries", s.tries)
	}
	if w.settings().Settings.SessionTokenTTL != policy.Defaults().SessionTokenTTL {
		t.Error("a change that was given up was made")
	}

	s.rivals, s.tries, s.broken = 0, 0, errors.New("disk on fire")
	if _, err := w.patch(`{"sessionTokenTTL":"5m"}`); !errors.Is(err, s.broken) || s.tries != 1 {
		t.Errorf("a broken store: %v after %d tries", err, s.tries)
	}
}

// Sixteen patches of four members at once: none is lost, every version is one change,
// and a patch that changes nothing is none.
func TestSettingsTogether(t *testing.T) {
	w := newWorld(t)
	members := []string{`"audience":["api"]`, `"sessionTokenTTL":"5m"`, `"idleTimeout":"1d"`, `"clockSkew":"30s"`}
	together(t, func(i int) (struct{}, error) {
		for {
			_, err := w.patch(fmt.Sprintf("{%s}", members[i%len(members)]))
			if fault.KindOf(err) != fault.Conflict {
				return struct{}{}, err
			}
		}
	})
	got := w.settings()
	want := policy.Defaults()
	want.Audience, want.SessionTokenTTL = []string{"api"}, latchkey.Duration(5*time.Minute)
	want.IdleTimeout, want.ClockSkew = latchkey.Duration(24*time.Hour), latchkey.Duration(30*time.Second)
	if !reflect.DeepEqual(got.Settings, want) || got.Version != 5 || len(w.said()) != 4 {
		t.Errorf("version %d after 4 changes:\n%+v, want\n%+v", got.Version, got.Settings, want)
	}
}
