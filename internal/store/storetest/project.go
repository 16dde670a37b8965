package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func projectChecks() []check {
	return []check{
		{"a new one has version 1 and epoch 0", projectStarts},
		{"an unknown one is not found", projectUnknown},
		{"an id is taken once", projectTaken},
		{"are listed ascending, page by page", projectPages},
		{"settings change when the version is still right", projectSettings},
		{"settings don't change when the version is old", projectOldVersion},
		{"one of many concurrent changes wins", projectRace},
		{"the MAC key is resealed when it is still the old one", projectReseal},
		{"custom domains are listed ascending, page by page", projectDomains},
		{"of many that want one custom domain, one gets it", projectDomainRace},
	}
}

func projectStarts(t *testing.T, w *world) {
	p := filled[directory.Project](t) // with a version and an epoch that aren't its to choose
	p.ID, p.Name, p.SealedMAC = id.NewProject(w.clock.Now()), "Ω & söhne", []byte{0, 1, 0xff}
	e := w.event(p.ID, audit.ProjectCreated)
	ok(t, w.Projects().Insert(w.ctx, p, e))
	p.Version, p.Epoch, p.Status, p.DeletedAt = 1, 0, directory.Enabled, time.Time{}
	got, err := w.Projects().Find(w.ctx, p.ID)
	ok(t, err)
	same(t, "the project", p, got)
	v, err := w.Projects().Version(w.ctx, p.ID)
	ok(t, err)
	same(t, "the version", int64(1), v)
	w.told(t) // it is another project's event
	events, err := w.Events().List(w.ctx, audit.Query{Project: p.ID, Limit: 9})
	ok(t, err)
	same(t, "the events", []audit.Event{e}, events)
}

func projectUnknown(t *testing.T, w *world) {
	unknown := id.NewProject(w.clock.Now())
	_, err := w.Projects().Find(w.ctx, unknown)
	refused(t, err, fault.NotFound)
	_, err = w.Projects().Version(w.ctx, unknown)
	refused(t, err, fault.NotFound)
	err = w.Projects().ChangeSettings(w.ctx, unknown, 1, w.project.Settings, w.event(unknown, audit.SettingsChanged))
	refused(t, err, fault.NotFound)
	events, err := w.Events().List(w.ctx, audit.Query{Project: unknown, Limit: 1})
	ok(t, err)
	same(t, "the events", []audit.Event{}, events)
}

func projectTaken(t *testing.T, w *world) {
	p := w.project
	p.Name = "an impostor"
	refused(t, w.Projects().Insert(w.ctx, p, w.event(p.ID, audit.ProjectCreated)), fault.Conflict)
	got, err := w.Projects().Find(w.ctx, p.ID)
	ok(t, err)
	same(t, "the project", w.project, got)
	w.told(t)
}

func projectPages(t *testing.T, w *world) {
	all := []directory.Project{w.project}
	for range 6 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newProject(t))
	}
	pages(t, all, func(after id.Project, limit int) ([]directory.Project, error) {
		return w.Projects().List(w.ctx, after, limit)
	}, func(p directory.Project) id.Project { return p.ID })
}

// pages reads a list with pages of several sizes; all is the whole, ascending.
func pages[T any, I interface{ Compare(I) int }](t *testing.T, all []T, list func(I, int) ([]T, error), key func(T) I) {
	t.Helper()
	slices.SortFunc(all, func(a, b T) int { return key(a).Compare(key(b)) })
	for _, limit := range []int{1, 2, len(all) - 1, len(all), len(all) + 1} {
		var got []T
		var after I
		for range len(all) + 1 {
			page, err := list(after, limit)
			ok(t, err)
			if len(page) > limit {
				t.Fatalf("a page of at most %d has %d", limit, len(page))
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = key(page[len(page)-1])
		}
		same(t, "the list", all, got)
	}
}

// strange are settings that differ from the default in every member.
func strange(t testing.TB) latchkey.Settings {
	s := filled[latchkey.Settings](t)
	s.AutoTenant, s.ClaimsInRefreshToken = false, false
	return s
}

func projectSettings(t *testing.T, w *world) {
	e := w.event(w.project.ID, audit.SettingsChanged).With("patch", `{"onLimit":"deny"}`)
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, 1, strange(t), e))
	want := w.project
	want.Settings, want.Version = strange(t), 2
	got, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the project", want, got)
	same(t, "the version", int64(2), w.version(t))
	w.told(t, e)
}

func projectOldVersion(t *testing.T, w *world) {
	e := w.event(w.project.ID, audit.SettingsChanged)
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, 1, w.project.Settings, e))
	w.told(t, e)
	for _, version := range []int64{0, 1, 3, -1} {
		err := w.Projects().ChangeSettings(w.ctx, w.project.ID, version, strange(t), w.event(w.project.ID, audit.SettingsChanged))
		refused(t, err, fault.Conflict)
	}
	got, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the settings", w.project.Settings, got.Settings)
	same(t, "the version", int64(2), got.Version)
	w.told(t)
}

func projectRace(t *testing.T, w *world) {
	errs := together(16, func(i int) error {
		s := w.project.Settings
		s.MaxSessions = i + 1
		return w.Projects().ChangeSettings(w.ctx, w.project.ID, 1, s, w.event(w.project.ID, audit.SettingsChanged).With("max", float64(i+1)))
	})
	winner := onlyWinner(t, errs, fault.Conflict)
	got, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the version", int64(2), got.Version)
	same(t, "the settings", winner+1, got.Settings.MaxSessions)
	w.told(t, w.event(w.project.ID, audit.SettingsChanged).With("max", float64(winner+1)))
}

func projectReseal(t *testing.T, w *world) {
	other, old := w.newProject(t), w.project.SealedMAC
	w.news(t)
	e := w.event(w.project.ID, audit.MasterKeyResealed).With("macKeys", 1.0)
	for _, wrong := range [][]byte{nil, {}, old[:len(old)-1], append(slices.Clone(old), 0)} {
		refused(t, w.Projects().Reseal(w.ctx, w.project.ID, wrong, []byte("lost"), e), fault.Conflict)
	}
	unknown := id.NewProject(w.clock.Now())
	refused(t, w.Projects().Reseal(w.ctx, unknown, old, []byte("lost"), w.event(unknown, audit.MasterKeyResealed)), fault.NotFound)
	w.told(t)
	want := w.project // with its version: nobody has to read it again
	want.SealedMAC = []byte{0, 0xff, 0, '\''}
	ok(t, w.Projects().Reseal(w.ctx, w.project.ID, old, slices.Clone(want.SealedMAC), e))
	w.told(t, e)
	refused(t, w.Projects().Reseal(w.ctx, w.project.ID, old, []byte("lost"), e), fault.Conflict)
	w.told(t)
	for _, want := range []directory.Project{want, other} {
		got, err := w.Projects().Find(w.ctx, want.ID)
		ok(t, err)
		same(t, "the project", want, got)
	}
	e = w.event(w.project.ID, audit.MasterKeyResealed)
	errs := together(8, func(i int) error {
		return w.Projects().Reseal(w.ctx, w.project.ID, want.SealedMAC, []byte{byte(i)}, e)
	})
	winner := onlyWinner(t, errs, fault.Conflict)
	got, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the MAC key", []byte{byte(winner)}, got.SealedMAC)
	w.told(t, e)
}

// atDomain gives a project a custom domain, or none.
func (w *world) atDomain(t testing.TB, p directory.Project, domain string) error {
	t.Helper()
	now, err := w.Projects().Find(w.ctx, p.ID)
	ok(t, err)
	now.Settings.CustomDomain = domain
	return w.Projects().ChangeSettings(w.ctx, p.ID, now.Version, now.Settings, w.event(p.ID, audit.SettingsChanged))
}

func projectDomains(t *testing.T, w *world) {
	all, err := w.Projects().Domains(w.ctx, "", 9)
	ok(t, err)
	same(t, "the domains of nobody", 0, len(all))
	var want []directory.Domain
	for _, host := range []string{"z.example", "a.example", "a-b.example", "m.example"} {
		p := w.newProject(t)
		ok(t, w.atDomain(t, p, host))
		want = append(want, directory.Domain{Host: host, Project: p.ID})
	}
	gone := w.newProject(t)
	ok(t, w.atDomain(t, gone, "gone.example"))
	ok(t, w.atDomain(t, gone, ""))
	slices.SortFunc(want, func(a, b directory.Domain) int { return strings.Compare(a.Host, b.Host) })
	for _, limit := range []int{0, 1, 3, 4, 5} {
		var got []directory.Domain
		for after := ""; ; {
			page, err := w.Projects().Domains(w.ctx, after, limit)
			ok(t, err)
			if len(page) > limit {
				t.Fatalf("a page of at most %d has %d", limit, len(page))
			}
			if got = append(got, page...); len(page) == 0 {
				break
			}
			after = page[len(page)-1].Host
		}
		if limit > 0 {
			same(t, "the domains", want, got)
		}
	}
	// Its own domain is in nobody's way.
	ok(t, w.atDomain(t, directory.Project{ID: want[0].Project}, want[0].Host))
	ok(t, w.atDomain(t, gone, "gone.example"))
}

func projectDomainRace(t *testing.T, w *world) {
	var all []directory.Project
	for range 8 {
		all = append(all, w.newProject(t))
	}
	w.news(t)
	errs := together(len(all), func(i int) error {
		s := all[i].Settings
		s.CustomDomain = "auth.example.com"
		return w.Projects().ChangeSettings(w.ctx, all[i].ID, 1, s, w.event(all[i].ID, audit.SettingsChanged))
	})
	winner := onlyWinner(t, errs, fault.Conflict)
	for i, p := range all {
		got, err := w.Projects().Find(w.ctx, p.ID)
		ok(t, err)
		if i == winner {
			same(t, "the winner's domain", "auth.example.com", got.Settings.CustomDomain)
			continue
		}
		same(t, "a loser", p, got)
		if !errors.Is(errs[i], directory.ErrDomainTaken) {
			t.Errorf("the refusal is %v", errs[i])
		}
	}
	found, err := w.Projects().Domains(w.ctx, "", 9)
	ok(t, err)
	same(t, "the domains", []directory.Domain{{Host: "auth.example.com", Project: all[winner].ID}}, found)
	ok(t, w.atDomain(t, all[winner], ""))
	ok(t, w.atDomain(t, all[(winner+1)%len(all)], "auth.example.com"))
}
