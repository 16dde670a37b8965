package directory

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// macLen is the length of the key that authenticates opaque refresh tokens
// (HMAC-SHA256).
const macLen = 32

// CreateProject adds a project with default settings. It has no signing key yet: the
// key life cycle makes its first one (key.Service.Tend).
func (s *Service) CreateProject(ctx context.Context, name string, master *secret.Ring, o audit.Origin) (Project, error) {
	now := s.now()
	return s.addProject(ctx, id.NewProject(now), name, now, master, o)
}

// CreateProjectAs adds a project that has an id already, such as one that comes from another
// store. An id that is taken is fault.Conflict.
func (s *Service) CreateProjectAs(ctx context.Context, p id.Project, name string, master *secret.Ring, o audit.Origin) (Project, error) {
	return s.addProject(ctx, p, name, s.now(), master, o)
}

func (s *Service) addProject(ctx context.Context, p id.Project, name string, now time.Time, master *secret.Ring, o audit.Origin) (Project, error) {
	if name == "" || !plain(name, maxName) {
		return Project{}, fault.New(fault.Invalid, "The project can't be made like this.").
			WithFields(fault.Field{Pointer: "/name", Code: "format", Detail: "A name of 1 to 200 characters is wanted."})
	}
	made := Project{ID: p, Name: name, Status: Enabled, Settings: policy.Defaults(), Version: 1, CreatedAt: millis(now)}
	mac := make([]byte, macLen)
	rand.Read(mac)
	made.SealedMAC = master.Seal(mac, MACContext(p))
	return made, s.projects.Insert(ctx, made, audit.New(p, now, audit.ProjectCreated, o).With("name", name))
}

// ResealMAC seals a project's MAC key under the first key of master, and reports whether
// that was to be done: one that already is stays as it is. Servers that know both master
// keys notice nothing. A MAC key that master doesn't open is secret.ErrSealed.
func (s *Service) ResealMAC(ctx context.Context, p id.Project, master *secret.Ring, o audit.Origin) (bool, error) {
	var lost error
	for range attempts {
		project, err := s.projects.Find(ctx, p)
		if err != nil {
			return false, err
		}
		if master.Current(project.SealedMAC) {
			return false, nil
		}
		sealed, err := master.Reseal(project.SealedMAC, MACContext(p))
		if err != nil {
			return false, fmt.Errorf("the MAC key of project %s: %w", p, err)
		}
		e := audit.New(p, s.now(), audit.MasterKeyResealed, o).With("macKeys", 1.0)
		err = s.projects.Reseal(ctx, p, project.SealedMAC, sealed, e)
		if fault.KindOf(err) != fault.Conflict {
			return err == nil, err
		}
		lost = err // somebody else reseals, too
	}
	return false, lost
}

// Projects lists projects, ascending.
func (s *Service) Projects(ctx context.Context, after id.Project, limit int) ([]Project, error) {
	return s.projects.List(ctx, after, limit)
}

// millis returns t as stores keep times: UTC in whole milliseconds.
func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
