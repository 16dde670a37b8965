package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// shelf is what a project has of one kind of document.
type shelf struct {
	state    document.State
	versions map[int]document.Version
}

type documents struct{ *Store }

func (s documents) InUse(ctx context.Context, p id.Project) ([]document.Current, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, known := tx.projects[p]
	if !known {
		return nil, nil
	}
	var all []document.Current
	for _, k := range document.Kinds() {
		have := owner.documents[k]
		c := document.Current{Kind: k, State: have.state}
		for _, n := range []int{have.state.Stable, have.state.Candidate} {
			if v, ok := have.versions[n]; ok {
				c.Versions = append(c.Versions, copyVersion(v))
			}
		}
		if len(c.Versions) > 0 {
			all = append(all, c)
		}
	}
	return all, nil
}

func (s documents) Find(ctx context.Context, p id.Project, k document.Kind) (document.State, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return document.State{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return document.State{}, err
	}
	return owner.documents[k].state, nil
}

func (s documents) Version(ctx context.Context, p id.Project, k document.Kind, n int) (document.Version, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return document.Version{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return document.Version{}, err
	}
	v, ok := owner.documents[k].versions[n]
	if !ok {
		return document.Version{}, fault.New(fault.NotFound, "There is no such version.")
	}
	return copyVersion(v), nil
}

func (s documents) List(ctx context.Context, p id.Project, k document.Kind, before, limit int) ([]document.Version, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, known := tx.projects[p]
	if !known {
		return nil, nil
	}
	var page []document.Version
	for v := range maps.Values(owner.documents[k].versions) {
		if before == 0 || v.N < before {
			page = append(page, copyVersion(v))
		}
	}
	slices.SortFunc(page, func(a, b document.Version) int { return cmp.Compare(b.N, a.N) })
	return page[:min(max(limit, 0), len(page))], nil
}

func (s documents) Change(ctx context.Context, p id.Project, k document.Kind, step func(document.State) (document.Step, error)) (document.State, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return document.State{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return document.State{}, err
	}
	have := owner.documents[k]
	to, err := step(have.state)
	if err != nil {
		return document.State{}, err
	}
	before := have.state
	have.state = to.State
	if have.versions == nil || to.Clear {
		have.versions = map[int]document.Version{}
	}
	if to.Save != nil {
		v := copyVersion(*to.Save)
		v.N = to.State.Last
		have.versions[v.N] = v
	}
	for _, n := range slices.Sorted(maps.Keys(have.versions)) {
		if len(have.versions) > document.MaxVersions && !to.State.Uses(n) {
			delete(have.versions, n)
		}
	}
	owner.documents[k] = have
	owner.Version++
	tx.revoke(document.Entries(p, k, before, to.State, owner.life(), tx.now)...)
	tx.log(to.Event)
	return to.State, nil
}

// outdate tells verifiers what a change of a role or tenant of the project asks for, and
// what a template asks for besides: document.Version.Conceals.
func (tx transaction) outdate(p *project, entries ...revocation.Entry) {
	tx.revoke(entries...)
	have := p.documents[document.User]
	concealed := have.versions[have.state.Stable].Conceals || have.versions[have.state.Candidate].Conceals
	if concealed && slices.ContainsFunc(entries, revocation.Entry.ByName) {
		tx.revoke(directory.Outdated(p.ID, p.life(), tx.now))
	}
}

func copyVersion(v document.Version) document.Version {
	v.Document = slices.Clone(v.Document)
	v.CreatedAt = session.Instant(v.CreatedAt)
	return v
}
