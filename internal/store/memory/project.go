package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
)

type projects struct{ *Store }

func (s projects) Insert(ctx context.Context, p directory.Project, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	if _, taken := tx.projects[p.ID]; taken {
		return fault.New(fault.Conflict, "There is a project with this id already.")
	}
	p = copyProject(p)
	p.Version, p.Epoch, p.Status, p.DeletedAt = 1, 0, directory.Enabled, time.Time{}
	tx.projects[p.ID] = &project{
		Project:        p,
		users:          map[id.User]directory.User{},
		tenants:        map[id.Tenant]directory.Tenant{},
		roles:          map[id.Role]directory.Role{},
		permissions:    map[string]directory.Permission{},
		stripped:       map[string]id.Role{},
		lost:           map[directory.Place]bool{},
		managementKeys: map[id.ManagementKey]directory.ManagementKey{},
		accessKeys:     map[id.AccessKey]directory.AccessKey{},
		keys:           map[id.Key]key.Key{},
		sessions:       map[id.Session]session.Row{},
		documents:      map[document.Kind]shelf{},
	}
	tx.log(e)
	return nil
}

func (s projects) Find(ctx context.Context, p id.Project) (directory.Project, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Project{}, err
	}
	defer tx.end()
	found, err := tx.find(p)
	if err != nil {
		return directory.Project{}, err
	}
	return copyProject(found.Project), nil
}

func (s projects) Version(ctx context.Context, p id.Project) (int64, error) {
	found, err := s.Find(ctx, p)
	return found.Version, err
}

func (s projects) List(ctx context.Context, after id.Project, limit int) ([]directory.Project, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	var page []directory.Project
	for _, p := range ascending(maps.Keys(tx.projects), after, limit) {
		page = append(page, copyProject(tx.projects[p].Project))
	}
	return page, nil
}

func (s projects) Domains(ctx context.Context, after string, limit int) ([]directory.Domain, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	var page []directory.Domain
	for _, p := range tx.projects {
		if d := p.Settings.CustomDomain; d != "" && d > after {
			page = append(page, directory.Domain{Host: d, Project: p.ID})
		}
	}
	slices.SortFunc(page, func(a, b directory.Domain) int { return strings.Compare(a.Host, b.Host) })
	return page[:min(max(limit, 0), len(page))], nil
}

func (s projects) ChangeSettings(ctx context.Context, p id.Project, version int64, settings latchkey.Settings, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	found, err := tx.find(p)
	if err != nil {
		return err
	}
	if found.Version != version {
		return fault.New(fault.Conflict, "The project has changed in the meantime.")
	}
	for other, taken := range tx.projects {
		if d := settings.CustomDomain; d != "" && other != p && taken.Settings.CustomDomain == d {
			return directory.DomainTaken()
		}
	}
	found.tokensUntil = found.life().Shortened(directory.LifeUnder(settings), tx.now).Before
	found.Settings = copySettings(settings)
	found.Version++
	tx.log(e)
	return nil
}

func (s projects) Reseal(ctx context.Context, p id.Project, old, sealed []byte, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	found, err := tx.find(p)
	if err != nil {
		return err
	}
	if !bytes.Equal(found.SealedMAC, old) {
		return errResealed()
	}
	found.SealedMAC = slices.Clone(sealed)
	tx.log(e)
	return nil
}

func errResealed() error {
	return fault.New(fault.Conflict, "What was to be resealed has changed in the meantime.")
}

type identifier[T any] interface {
	comparable
	Compare(T) int
}

// ascending returns the first limit of the identifiers that are greater than after, in
// order.
func ascending[T identifier[T]](all func(func(T) bool), after T, limit int) []T {
	page := slices.SortedFunc(all, T.Compare)
	page = slices.DeleteFunc(page, func(v T) bool { return v.Compare(after) <= 0 })
	return page[:min(max(limit, 0), len(page))]
}
