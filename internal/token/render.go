package token

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// pages are the documents of a project that tokens are made with, ready for use.
type pages map[document.Kind]page

// page is one kind: its state and the versions that are in use.
type page struct {
	state    document.State
	versions map[int]compiled
}

// compiled is one version. Of both at most one is set; neither is of a version that this
// server can't use, which another one has saved.
type compiled struct {
	kind     document.Kind
	n        int // 0: it isn't saved
	template *template.Template
	actions  *template.Actions
}

// pages reads and compiles the documents of a project.
func (s *Service) pages(ctx context.Context, p id.Project) (pages, error) {
	all, err := s.d.Documents.InUse(ctx, p)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	out := make(pages, len(all))
	for _, current := range all {
		page := page{current.State, map[int]compiled{}}
		for _, v := range current.Versions {
			// One that doesn't compile here was saved by a newer server. Nobody's refresh
			// waits for that to be sorted out.
			page.versions[v.N], _ = s.compile(current.Kind, v.N, v.Document)
		}
		out[current.Kind] = page
	}
	return out, nil
}

// compile makes a document of a kind ready for use; the error is fault.TemplateInvalid.
func (s *Service) compile(k document.Kind, n int, doc json.RawMessage) (compiled, error) {
	const pointer = "/document"
	c := compiled{kind: k, n: n}
	var err error
	switch k {
	case document.SignIn:
		c.actions, err = s.compiler.Actions(doc, pointer)
	case document.AccessKey:
		c.template, err = s.compiler.Template(doc, template.AccessKey, pointer)
	default:
		c.template, err = s.compiler.Template(doc, template.User, pointer)
	}
	return c, err
}

// unusable reports whether the version is there and this server can't use it.
func (c compiled) unusable() bool { return c.n > 0 && c.template == nil && c.actions == nil }

// of returns the version of a kind for a session or access key, by its identifier.
func (d pages) of(k document.Kind, about string) compiled {
	page, ok := d[k]
	if !ok {
		return compiled{}
	}
	return page.versions[page.state.For(latchkey.Share(about))]
}

// acts reports whether there are sign-in actions for a session. Every refresh asks.
func (d pages) acts(of id.Session) bool {
	_, there := d[document.SignIn]
	return there && d.of(document.SignIn, of.String()).n > 0
}

// asks reports whether some version of a template has expressions: only then the holder
// of a token has to be known.
func (d pages) asks(k document.Kind) bool {
	for _, c := range d[k].versions {
		if c.template != nil && !c.template.Constant() {
			return true
		}
	}
	return false
}

// failed is a part of a document that couldn't be had; without kind, grants that a token
// lacks.
type failed struct {
	kind    document.Kind
	version int
	denied  string // instead: the code with which sign-in actions don't let somebody in
	template.Failure
}

func (f failed) event(p id.Project, now time.Time) audit.Event {
	switch {
	case f.kind == "":
		return audit.New(p, now, audit.GrantsLeftOut, audit.Origin{Actor: audit.System}).With("reason", f.Reason)
	case f.denied != "":
		return audit.New(p, now, audit.SignInDenied, audit.Origin{Actor: audit.System}).
			With("code", f.denied).With("version", float64(f.version))
	}
	return audit.New(p, now, audit.TemplateFailed, audit.Origin{Actor: audit.System}).
		With("kind", string(f.kind)).With("version", float64(f.version)).With("path", f.Path).With("reason", f.Reason)
}

func (c compiled) failed(list []template.Failure) []failed {
	var out []failed
	for _, f := range list {
		out = append(out, failed{kind: c.kind, version: c.n, Failure: f})
	}
	return out
}

// quiet is how long nothing more is told of a failure that was told.
const quiet = time.Minute

// maxTold bounds how many failures are remembered as told. A document has a few hundred
// places at most; beyond the bound nothing is told until some are forgotten.
const maxTold = 10_000

// maxToldOfOne is the part of it that one project may have: who denies thousands of users
// in one doesn't keep what happens in others from being told.
const maxToldOfOne = 1000

// told remembers which failures were told, so that a template that fails for everybody
// doesn't fill the log: one event a minute for each place of a version. The zero value
// is ready to use; it is safe for concurrent use.
type told struct {
	mu    sync.Mutex
	m     map[place]time.Time
	of    map[id.Project]int // how many places of each
	swept time.Time          // when it was last looked through for what can be forgotten
}

// place is a place in a version of a document.
type place struct {
	project id.Project
	kind    document.Kind
	version int
	path    string
}

// due reports whether a failure is to be told at now, and notes that it was.
func (t *told) due(at place, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.m[at]; ok && now.Sub(last).Abs() < quiet {
		return false
	}
	if t.full(at.project) {
		if t.sweep(now); t.full(at.project) {
			return false
		}
	}
	if t.m == nil {
		t.m, t.of = map[place]time.Time{}, map[id.Project]int{}
	}
	if _, again := t.m[at]; !again {
		t.of[at.project]++
	}
	t.m[at] = now
	return true
}

func (t *told) full(p id.Project) bool { return len(t.m) >= maxTold || t.of[p] >= maxToldOfOne }

func (t *told) drop(at place) {
	if _, ok := t.m[at]; !ok {
		return
	}
	delete(t.m, at)
	if t.of[at.project]--; t.of[at.project] == 0 {
		delete(t.of, at.project)
	}
}

// sweep forgets what may be told again. A full memory isn't looked through for each
// failure anew.
func (t *told) sweep(now time.Time) {
	if now.Sub(t.swept).Abs() < time.Second {
		return
	}
	t.swept = now
	for p, last := range t.m {
		if now.Sub(last).Abs() >= quiet {
			t.drop(p)
		}
	}
}

// forget makes a failure due again.
func (t *told) forget(at place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(at)
}

// tell writes an event for each failure that is due. What can't be written now is due
// again: a token is never refused because of it.
func (s *Service) tell(ctx context.Context, p id.Project, of id.Session, user id.User, list []failed) {
	if len(list) == 0 {
		return
	}
	now := s.d.Now()
	var events []audit.Event
	var places []place
	for _, f := range list {
		at := place{p, f.kind, f.version, f.Path}
		if !s.told.due(at, now) {
			continue
		}
		places = append(places, at)
		events = append(events, f.event(p, now).Of(of, user))
	}
	if len(events) == 0 {
		return
	}
	if err := s.d.Events.Append(ctx, events...); err != nil {
		for _, at := range places {
			s.told.forget(at)
		}
	}
}
