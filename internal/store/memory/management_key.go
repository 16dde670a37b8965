package memory

import (
	"context"
	"maps"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

type managementKeys struct{ *Store }

func (p *project) managementKey(k id.ManagementKey) (directory.ManagementKey, error) {
	found, ok := p.managementKeys[k]
	if !ok {
		return directory.ManagementKey{}, fault.New(fault.NotFound, "This project has no such management key.")
	}
	return found, nil
}

// byDigest looks at the keys of all projects.
func (tx transaction) byDigest(d secret.Digest) (directory.ManagementKey, bool) {
	for _, p := range tx.projects {
		for _, k := range p.managementKeys {
			if k.Digest.Equal(d) {
				k.ProjectDeleted = p.Status == directory.Deleted
				return k, true
			}
		}
	}
	return directory.ManagementKey{}, false
}

func (s managementKeys) Insert(ctx context.Context, k directory.ManagementKey, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	p, err := tx.find(k.Project)
	if err != nil {
		return err
	}
	_, taken := p.managementKeys[k.ID]
	if _, same := tx.byDigest(k.Digest); taken || same {
		return fault.New(fault.Conflict, "There is such a management key already.")
	}
	p.managementKeys[k.ID] = copyManagementKey(k)
	tx.log(e)
	return nil
}

func (s managementKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.ManagementKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.ManagementKey{}, err
	}
	defer tx.end()
	found, ok := tx.byDigest(d)
	if !ok {
		return directory.ManagementKey{}, fault.New(fault.NotFound, "There is no such management key.")
	}
	return copyManagementKey(found), nil
}

func (s managementKeys) List(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]directory.ManagementKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return nil, nil
	}
	var page []directory.ManagementKey
	for _, k := range ascending(maps.Keys(owner.managementKeys), after, limit) {
		page = append(page, copyManagementKey(owner.managementKeys[k]))
	}
	return page, nil
}

func (s managementKeys) Rotate(ctx context.Context, p id.Project, k id.ManagementKey, d secret.Digest, e audit.Event) (directory.ManagementKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.ManagementKey{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.ManagementKey{}, err
	}
	found, err := owner.managementKey(k)
	if err != nil {
		return directory.ManagementKey{}, err
	}
	if other, same := tx.byDigest(d); same && other.ID != k {
		return directory.ManagementKey{}, fault.New(fault.Conflict, "Another management key has this secret.")
	}
	found.Digest = d
	owner.managementKeys[k] = found
	tx.log(e)
	return copyManagementKey(found), nil
}

func (s managementKeys) Delete(ctx context.Context, p id.Project, k id.ManagementKey, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	if _, err := owner.managementKey(k); err != nil {
		return err
	}
	delete(owner.managementKeys, k)
	tx.log(e)
	return nil
}
