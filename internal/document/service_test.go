package document_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// world is the service on the memory store, with a project. refuse is what the check says.
type world struct {
	*document.Service
	store   *memory.Store
	project id.Project
	refuse  error
	unclear error // what Conceals says
}

// concealing is the one document that conceals something.
const concealing = `{"authorization":"none"}`

var origin = audit.Origin{Actor: audit.CLI, IP: "192.0.2.7", RequestID: "req-1"}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := storetest.NewClock()
	w := &world{store: memory.Open(clock.Now), project: id.NewProject(clock.Now())}
	must(t, w.store.Projects().Insert(t.Context(), directory.Project{ID: w.project, Settings: policy.Defaults(), Status: directory.Enabled},
		audit.New(w.project, clock.Now(), audit.ProjectCreated, origin)))
	var err error
	w.Service, err = document.New(document.Deps{Store: w.store.Documents(), Now: clock.Now,
		Check: func(context.Context, id.Project, document.Kind, json.RawMessage, *latchkey.TemplateSample) error {
			return w.refuse
		},
		Conceals: func(_ document.Kind, doc json.RawMessage) (bool, error) { return string(doc) == concealing, w.unclear }})
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func (w *world) save(t *testing.T, percent int) document.State {
	t.Helper()
	s, v, err := w.Save(t.Context(), w.project, document.User, document.Draft{Document: json.RawMessage(`{}`), Percent: percent, Comment: "why"}, origin)
	must(t, err)
	if v.N != s.Last || v.Comment != "why" || v.Actor != audit.CLI || v.CreatedAt.IsZero() {
		t.Errorf("saved %+v", v)
	}
	return s
}

func TestLifeOfADocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.save(t, 100)
	w.save(t, 20)
	state, versions, err := w.Find(ctx, w.project, document.User)
	must(t, err)
	if state != (document.State{Stable: 1, Candidate: 2, Percent: 20, Last: 2}) || len(versions) != 2 || versions[0].N != 2 {
		t.Errorf("%+v %+v", state, versions)
	}
	state, err = w.RollOut(ctx, w.project, document.User, 60, origin)
	must(t, err)
	if state.Percent != 60 {
		t.Errorf("%+v", state)
	}
	_, err = w.RollOut(ctx, w.project, document.User, 100, origin)
	must(t, err)
	state, err = w.RollBack(ctx, w.project, document.User, origin)
	must(t, err)
	if state != (document.State{Stable: 1, Last: 2}) {
		t.Errorf("%+v", state)
	}
	list, err := w.List(ctx, w.project, document.User, 0, 10)
	must(t, err)
	one, err := w.Version(ctx, w.project, document.User, 1)
	must(t, err)
	if len(list) != 2 || one.N != 1 {
		t.Errorf("%+v %+v", list, one)
	}
	must(t, w.Delete(ctx, w.project, document.User, origin))
	_, _, err = w.Find(ctx, w.project, document.User)
	refused(t, "find", err, fault.NotFound)
	refused(t, "delete again", w.Delete(ctx, w.project, document.User, origin), fault.NotFound)
	if s := w.save(t, 100); s.Stable != 3 {
		t.Errorf("a number comes twice: %+v", s)
	}

	events, err := w.store.Events().List(ctx, audit.Query{Project: w.project, Limit: 99})
	must(t, err)
	told := map[audit.Type]int{}
	for _, e := range events {
		told[e.Type]++
		if e.Type != audit.ProjectCreated && (e.Data["kind"] != "user" || e.Origin != origin) {
			t.Errorf("%+v", e)
		}
		if e.Type == audit.TemplateRolledBack && e.Data["version"] != 2.0 {
			t.Errorf("which version goes isn't said: %+v", e)
		}
	}
	for kind, n := range map[audit.Type]int{audit.TemplateSaved: 3, audit.TemplateRolledOut: 2, audit.TemplateRolledBack: 1, audit.TemplateDeleted: 1} {
		if told[kind] != n {
			t.Errorf("%d events %s, want %d", told[kind], kind, n)
		}
	}
}

// What a version conceals is kept with it.
func TestConceals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, doc := range []string{concealing, `{}`} {
		_, saved, err := w.Save(t.Context(), w.project, document.User, document.Draft{Document: json.RawMessage(doc), Percent: 100}, origin)
		must(t, err)
		kept, err := w.Version(t.Context(), w.project, document.User, saved.N)
		must(t, err)
		if want := doc == concealing; saved.Conceals != want || kept.Conceals != want {
			t.Errorf("%s conceals something: %v, %v", doc, saved.Conceals, kept.Conceals)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	draft := document.Draft{Document: json.RawMessage(`{}`), Percent: 100}
	unknown := id.NewProject(storetest.NewClock().Now().AddDate(1, 0, 0))

	_, _, err := w.Save(ctx, w.project, "users", draft, origin)
	refused(t, "kind", err, fault.NotFound)
	_, _, err = w.Save(ctx, unknown, document.User, draft, origin)
	refused(t, "project", err, fault.NotFound)
	_, _, err = w.Save(ctx, w.project, document.User, document.Draft{Percent: 101, Comment: strings.Repeat("é", 501)}, origin)
	refused(t, "percent and comment", err, fault.OutOfRange)
	var f *fault.Error
	if !errors.As(err, &f) || !slices.Equal([]string{f.Fields[0].Pointer, f.Fields[len(f.Fields)-1].Pointer}, []string{"/percent", "/comment"}) {
		t.Errorf("%v", err)
	}
	w.refuse = fault.New(fault.TemplateInvalid, "no")
	_, _, err = w.Save(ctx, w.project, document.User, draft, origin)
	refused(t, "check", err, fault.TemplateInvalid)

	w.refuse, w.unclear = nil, fault.New(fault.TemplateInvalid, "no")
	_, _, err = w.Save(ctx, w.project, document.User, draft, origin)
	refused(t, "whether it conceals something", err, fault.TemplateInvalid)

	_, err = w.RollOut(ctx, w.project, document.User, -1, origin)
	refused(t, "rollout of less than nothing", err, fault.OutOfRange)
	_, err = w.RollOut(ctx, w.project, document.User, 50, origin)
	refused(t, "rollout of nothing", err, fault.Conflict)
	_, err = w.RollOut(ctx, w.project, "users", 50, origin)
	refused(t, "rollout of no kind", err, fault.NotFound)
	_, err = w.RollBack(ctx, w.project, document.User, origin)
	refused(t, "rollback of nothing", err, fault.Conflict)
	refused(t, "delete no kind", w.Delete(ctx, w.project, "users", origin), fault.NotFound)
	_, _, err = w.Find(ctx, w.project, "users")
	refused(t, "find no kind", err, fault.NotFound)
	_, err = w.Version(ctx, w.project, "users", 1)
	refused(t, "version of no kind", err, fault.NotFound)
	_, err = w.List(ctx, w.project, "users", 0, 1)
	refused(t, "list no kind", err, fault.NotFound)

	// Nothing is half done by any of these.
	events, err := w.store.Events().List(ctx, audit.Query{Project: w.project, Limit: 99})
	must(t, err)
	if len(events) != 1 {
		t.Errorf("%+v", events)
	}
}

func TestNewNeedsItsDependencies(t *testing.T) {
	t.Parallel()
	if _, err := document.New(document.Deps{}); err == nil {
		t.Error("a service that stands on nothing")
	}
}
