package directory

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Deleted is the status of a project that nobody can use any more, for as long as its
// tokens may still be in somebody's hands: verifiers find its keys and its feed until then.
//
//	          ──Disable──▶
//	enabled                disabled
//	   │      ◀──Enable───    │
//	   └──────Delete──────────┴──▶ deleted ──Erase──▶ (gone)
const Deleted Status = "deleted"

// LifeStore keeps whether projects are in use.
type LifeStore interface {
	// Change is like UserStore.Change for the name and the status of a project; all
	// else is kept, and what isn't different isn't written. Project.Turned says what
	// comes of it. When the sessions end, verifiers are told in the same transaction.
	// Unknown project: fault.NotFound.
	Change(ctx context.Context, p id.Project, change func(Project) (Project, []audit.Event, error)) (Project, error)

	// Erase removes at most limit rows of deleted projects whose last token has expired
	// and whose feed has been forgotten entry by entry, and returns how many. Everything
	// that belongs to a project goes, its events included, and its own row at the very
	// end, together with its signing keys. Fewer than limit: none is left.
	Erase(ctx context.Context, limit int) (int, error)
}

// Turned returns what a store writes when the project has changed to to at now: name and
// status are taken from there. A change of either makes a new version, so that nobody goes
// on with what they have read before. A project that is enabled no longer has a greater
// epoch, which ends its sessions for good: enabling it again doesn't bring them back. A
// deleted one gives its custom domain back.
func (p Project) Turned(to Project, now time.Time) Project {
	if p.Name == to.Name && p.Status == to.Status {
		return p
	}
	next := p
	next.Name, next.Status = to.Name, to.Status
	next.Version++
	if p.Status == Enabled && to.Status != Enabled {
		next.Epoch++
	}
	if to.Status == Deleted && p.Status != Deleted {
		next.DeletedAt = millis(now)
		next.Settings.CustomDomain = ""
	}
	return next
}

// Revocation is what verifiers are told when all sessions of the project end at now.
func (p Project) Revocation(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(p.ID, revocation.Project, p.ID.String(), now)
}

// Outlived reports whether no token of a deleted project can be valid any more at now.
func (p Project) Outlived(l revocation.Life, now time.Time) bool {
	return p.Status == Deleted && !now.Before(p.Revocation(l, p.DeletedAt).Until)
}

// ProjectChange is what a caller says of a project. Members that are nil stay as they are.
type ProjectChange struct {
	Name   *string
	Status *Status // Enabled or Disabled
}

// Check returns everything that is wrong with the change.
func (c ProjectChange) Check() []fault.Field {
	_, err := c.apply(Project{})
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return refusal.Fields
	}
	return nil
}

func (c ProjectChange) apply(p Project) (Project, error) {
	var bad []fault.Field
	if c.Name != nil {
		if p.Name = *c.Name; p.Name == "" || !plain(p.Name, maxName) {
			bad = append(bad, fault.Field{Pointer: "/name", Code: "format", Detail: "A name of 1 to 200 characters is wanted."})
		}
	}
	if c.Status != nil {
		if p.Status = *c.Status; p.Status != Enabled && p.Status != Disabled {
			bad = append(bad, fault.Field{Pointer: "/status", Code: "format", Detail: "enabled or disabled is wanted."})
		}
	}
	if len(bad) > 0 {
		return p, fault.New(fault.Invalid, "The project can't be changed like this.").WithFields(bad...)
	}
	return p, nil
}

// errGone is the refusal of whatever would change a deleted project.
func errGone() error { return fault.New(fault.NotFound, "The project was deleted.") }

// ChangeProject renames a project, disables or enables it. Disabling ends its sessions for
// good and refuses sign-ins; management goes on. A deleted project is fault.NotFound.
func (s *Service) ChangeProject(ctx context.Context, p id.Project, c ProjectChange, o audit.Origin) (Project, error) {
	now := s.now()
	return s.lives.Change(ctx, p, func(old Project) (Project, []audit.Event, error) {
		if old.Status == Deleted {
			return old, nil, errGone()
		}
		next, err := c.apply(old)
		if err != nil {
			return old, nil, err
		}
		var events []audit.Event
		if next.Name != old.Name {
			events = append(events, audit.New(p, now, audit.ProjectRenamed, o).With("from", old.Name).With("to", next.Name))
		}
		switch {
		case next.Status == old.Status:
		case next.Status == Disabled:
			events = append(events, audit.New(p, now, audit.ProjectDisabled, o))
		default:
			events = append(events, audit.New(p, now, audit.ProjectEnabled, o))
		}
		return next, events, nil
	})
}

// DeleteProject ends a project for good: its sessions end, and nothing of it can be read
// or changed any more but what verifiers need, until the server's workers remove all that
// it has. Deleting it again changes nothing and is no error.
func (s *Service) DeleteProject(ctx context.Context, p id.Project, o audit.Origin) (Project, error) {
	now := s.now()
	deleted, err := s.lives.Change(ctx, p, func(old Project) (Project, []audit.Event, error) {
		if old.Status == Deleted {
			return old, nil, nil
		}
		next := old
		next.Status = Deleted
		return next, []audit.Event{audit.New(p, now, audit.ProjectDeleted, o).With("name", old.Name)}, nil
	})
	if err == nil {
		s.domains.forget() // a custom domain leads nowhere now
	}
	return deleted, err
}
