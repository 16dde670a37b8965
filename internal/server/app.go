// Package server owns the running process: it wires the domain to a store, mounts the
// faces, serves, runs the workers and drains. It decides nothing itself.
package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/token"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// App is the domain on a store: what both the server and the command line act with.
type App struct {
	Store     store.Store
	Master    *secret.Ring
	Directory *directory.Service
	Sessions  *session.Service
	Keys      *key.Service
	Tokens    *token.Service
	Documents *document.Service
	Webhooks  *webhook.Service // sends nothing: a Server has one of its own
	Now       func() time.Time
}

// Nowhere is the public URL of who acts on a store without serving it, and doesn't know
// where the server is: nothing that is minted under it is shown to anybody.
const Nowhere = "http://nowhere.invalid"

// Assemble wires the domain. publicURL is without a slash at its end.
func Assemble(st store.Store, master *secret.Ring, publicURL string, now func() time.Time) (*App, error) {
	a := &App{Store: st, Master: master, Now: now}
	known := publicURL
	if publicURL == Nowhere {
		known = ""
	}
	var err error
	if a.Directory, err = directory.New(directory.Deps{
		Projects: st.Projects(), Lives: st.Lives(), Users: st.Users(), Batches: st.Batches(), Holders: st.Holders(), Tenants: st.Tenants(),
		Roles: st.Roles(), Permissions: st.Permissions(), Keys: st.ManagementKeys(), AccessKeys: st.AccessKeys(), Now: now, PublicURL: known,
	}); err != nil {
		return nil, err
	}
	if a.Sessions, err = session.New(session.Deps{Store: st.Sessions(), Bulk: st.Bulk(), Now: now}); err != nil {
		return nil, err
	}
	if a.Keys, err = key.New(key.Deps{Store: st.Keys(), Master: master, Terms: a.terms, Now: now}); err != nil {
		return nil, err
	}
	if a.Webhooks, err = webhook.New(webhook.Deps{Store: st.Webhooks(), Master: master, Now: now}); err != nil {
		return nil, err
	}
	a.Tokens, err = token.New(token.Deps{
		Projects: st.Projects(), Keys: st.Keys(), Sessions: st.Sessions(), Holders: st.Holders(), Tenants: st.Tenants(),
		Bulk: st.Bulk(), Documents: st.Documents(), Events: st.Events(), AccessKeys: st.AccessKeys(),
		Master: master, PublicURL: publicURL, Now: now,
	})
	if err != nil {
		return nil, err
	}
	a.Documents, err = document.New(document.Deps{Store: st.Documents(), Check: a.Tokens.CheckDocument, Conceals: a.Tokens.Conceals, Now: now})
	return a, err
}

// terms is what a project's settings ask of its keys.
func (a *App) terms(ctx context.Context, p id.Project) (key.Terms, error) {
	project, err := a.Store.Projects().Find(ctx, p)
	if err != nil {
		return key.Terms{}, err
	}
	s := project.Settings
	return key.Terms{
		Version: project.Version, Algorithm: key.Algorithm(s.SigningAlgorithm), Rotation: s.KeyRotation.Std(),
		Longest: max(policy.Of(s).AbsoluteTimeout, s.SessionTokenTTL.Std(), s.StepUpTTL.Std(), s.AccessKeyTokenTTL.Std()),
	}, nil
}

// Unlock proves that the master keys open what the store holds. Whoever is about to
// seal or open keys asks first: with another master key every request would fail, and a
// key made with it would be one that the right one doesn't open.
func (a *App) Unlock(ctx context.Context) error {
	return a.EachProject(ctx, func(p directory.Project) error {
		_, err := a.Master.Open(p.SealedMAC, directory.MACContext(p.ID))
		if err == nil {
			err = a.complete(ctx, p.ID)
		}
		if err == nil {
			_, err = a.Tokens.Settings(ctx, p.ID)
		}
		if errors.Is(err, secret.ErrSealed) {
			return fmt.Errorf("the master key doesn't fit the store: it doesn't open the keys of project %s. Give the key that the store was made with; of one that was replaced, the old key stays below the new one", p.ID)
		}
		return err
	})
}

// complete makes the first key of a project whose creation was cut off.
func (a *App) complete(ctx context.Context, p id.Project) error {
	keys, err := a.Keys.List(ctx, p)
	if err != nil || slices.ContainsFunc(keys, func(k key.Key) bool { return k.State == key.Active }) {
		return err
	}
	_, err = a.Keys.Tend(ctx, p)
	return err
}

// CreateProject adds a project with its first signing key.
func (a *App) CreateProject(ctx context.Context, name string, o audit.Origin) (directory.Project, error) {
	return a.CreateProjectAs(ctx, id.NewProject(a.Now()), name, o)
}

// CreateProjectAs is CreateProject with an id that the project has already.
func (a *App) CreateProjectAs(ctx context.Context, as id.Project, name string, o audit.Origin) (directory.Project, error) {
	p, err := a.Directory.CreateProjectAs(ctx, as, name, a.Master, o)
	if err != nil {
		return p, err
	}
	// Should this fail, the server's next round makes the key.
	_, err = a.Keys.Tend(ctx, p.ID)
	return p, err
}

// EachProject calls do for every project, in pages, and stops at its first error.
func (a *App) EachProject(ctx context.Context, do func(directory.Project) error) error {
	for after := (id.Project{}); ; {
		page, err := a.Directory.Projects(ctx, after, projectPage)
		if err != nil {
			return err
		}
		for _, p := range page {
			if err := do(p); err != nil {
				return err
			}
			after = p.ID
		}
		if len(page) < projectPage {
			return nil
		}
	}
}

const projectPage = 100
